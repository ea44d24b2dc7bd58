"""The nouns of HyperPrompt on one screen: signals, meta-state, meta-action, decision; Agent and Controller.

An *agent* (the inner RL learner) reports *signals* once an *interval*; the intervals so far, with the *hyperparameters* theta,
are the *meta-state*; a *controller* answers it with a *meta-action*, one step per hyperparameter on its own scale. This module
imports neither torch nor an RL library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from hyperprompt.hyperparameters import Hyperparameter, HyperparameterSpace, Theta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS: tuple[float, ...] = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"""The seven discrete steps in units of a hyperparameter's scale: factors 1/4, 1/2, 1/sqrt2, keep, sqrt2, 2, 4."""
KEEP = 3
"""Index into STEPS, and the digit in the prompt, of the step that changes nothing."""
Certain = Literal["likeliest", "mean"]
"""Which step follows from the probabilities of STEPS, of those that need no generator."""
Choice = Literal[Certain, "sample"]
"""Which step follows from the probabilities of STEPS."""


def step_sizes(p_SK: NDArray[np.float64], choice: Choice, rng: np.random.Generator | None = None) -> list[float]:
    """One step a hyperparameter from its probabilities of STEPS, (names, 7); "sample" needs a generator."""
    if choice == "mean":
        return [float(p @ STEPS) for p in p_SK]
    if choice == "likeliest":
        return [STEPS[int(k)] for k in p_SK.argmax(-1)]
    assert rng is not None
    return [STEPS[int(rng.choice(len(STEPS), p=p))] for p in p_SK]


@dataclass(frozen=True)
class Transition:
    """One sampled (o, a, r) of the inner MDP, as a few numbers; an image observation becomes its mean, spread and change."""

    observation: tuple[float, ...]
    action: tuple[float, ...]
    reward: float


@dataclass(frozen=True)
class Signals:
    """What one interval of training reported.

    `values` maps the names of `hyperprompt.agents.signals` (`return_mean`, `approx_kl`, ...) to numbers; an absent name or
    a NaN means not available. Returns are undiscounted sums of raw rewards of the episodes that ended in the interval.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    episodes: int = 0
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True)
class Interval:
    """One row of the meta-state: U environment steps under constant theta, begun by the meta-action `delta`."""

    index: int
    step: int
    """Environment steps of the run at the END of the interval."""
    theta: Theta
    delta: Theta
    signals: Signals


@dataclass(frozen=True)
class Task:
    """The description of the task in the head of a transcript."""

    env: str
    algorithm: str
    action: Literal["discrete", "continuous"]
    observation: Literal["vector", "image", "mixed"]
    observation_size: int
    action_size: int
    n_envs: int
    total_steps: int


@dataclass(frozen=True)
class MetaState:
    """s_meta_t: everything a controller may know at step t of one run. `intervals` is empty at the first decision."""

    run: str
    task: Task
    space: HyperparameterSpace
    step: int
    theta: Theta
    intervals: tuple[Interval, ...] = ()
    first_step: int = 0
    """Environment steps the model had behind it before this run, at its first decision."""

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, in [0, 1]."""
        return min(1.0, self.step / max(1, self.task.total_steps))

    @property
    def index(self) -> int:
        """Number of the decision to be taken, from 0."""
        return len(self.intervals)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MetaState:
        """Inverse of `to_dict`, also after a passage through JSON, which turns what is not available (NaN) into null."""
        return cls(
            run=data["run"],
            task=Task(**data["task"]),
            space=HyperparameterSpace(tuple(Hyperparameter(**h) for h in data["space"]["hyperparameters"])),
            step=data["step"],
            theta=data["theta"],
            intervals=tuple(_interval(i) for i in data["intervals"]),
            first_step=data.get("first_step", 0),
        )


def _interval(data: Mapping[str, Any]) -> Interval:
    signals = data["signals"]
    transitions = tuple(
        Transition(tuple(map(_number, t["observation"])), tuple(map(_number, t["action"])), _number(t["reward"]))
        for t in signals["transitions"]
    )
    values = {name: value for name, value in signals["values"].items() if value is not None}
    return Interval(
        index=data["index"],
        step=data["step"],
        theta=data["theta"],
        delta=data["delta"],
        signals=Signals(values, signals["episodes"], transitions),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True)
class MetaAction:
    """A controller's answer: delta theta, and what it is based on.

    `delta` holds one real step per hyperparameter in units of its scale; absent names are kept. `probabilities` holds, for
    controllers that choose among STEPS, the seven probabilities per hyperparameter.
    """

    delta: Theta = field(default_factory=dict)
    probabilities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    prompt_sha256: str = ""
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """One line of the journal: what was asked for, what was done, and why."""

    index: int
    step: int
    controller: str
    theta_before: Theta
    theta_after: Theta
    delta: Theta
    probabilities: Mapping[str, tuple[float, ...]]
    status: Literal["kept", "applied", "clamped", "rejected"]
    reason: str
    seconds: float
    prompt_sha256: str


@runtime_checkable
class Controller(Protocol):
    """pi_phi: meta-state -> meta-action. Several runs are decided in one call, so that a model can batch them.

    A controller keeps no state that cannot be rebuilt from the meta-states it is given: a resumed run hands over the same
    ones. Randomness is drawn from (seed, decision index).
    """

    name: str

    def decide(self, states: Sequence[MetaState]) -> Sequence[MetaAction]:
        """One meta-action per meta-state, in order."""
        ...


class Agent(Protocol):
    """The inner RL learner on its environment, seen from outside."""

    model: Any
    """The library's own object."""
    algorithm: str
    library: str
    """"sb3" or "sbx": who implements the algorithm."""
    space: HyperparameterSpace
    """Every hyperparameter that may change online, with the values at construction as defaults."""
    refused: Mapping[str, str]
    """Hyperparameters of the algorithm that cannot change online in this agent, each with the reason."""

    def get(self) -> dict[str, float]:
        """The values now in force."""
        ...

    def set(self, values: Theta) -> None:
        """Put values in force from the next update on. Only the names given are touched."""
        ...

    def describe(self, env: str, total_steps: int) -> Task:
        """The task line's content."""
        ...

    def updates(self) -> int:
        """Gradient updates done so far."""
        ...

    def seed(self, seed: int) -> None:
        """Seed every generator training draws from, the environments' included."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Weights, optimiser, counters and normalisers as a tree of plain values, arrays and tensors; no pickled code."""
        ...

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Inverse of `snapshot` on an agent constructed the same way."""
        ...
