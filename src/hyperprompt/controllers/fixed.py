"""Controllers that follow a rule written down beforehand: static, random, annealed, by KL, by the critic, replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from hyperprompt.controllers.limits import EXPLAINED, trusted_rate
from hyperprompt.core import STEPS, MetaAction, MetaState
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.hyperparameters import Theta, for_algorithm


def random_steps(rng: np.random.Generator, names: Sequence[str]) -> dict[str, float]:
    """One of the seven steps for each hyperparameter, with equal probability, in order."""
    return {name: STEPS[rng.integers(len(STEPS))] for name in names}


class Static:
    """Keeps every hyperparameter: the baseline. A run under it equals one without HyperPrompt."""

    name = "static"

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [MetaAction() for _ in states]


class Random:
    """Takes each of the seven steps with equal probability, drawn from (seed, decision index)."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        rng = np.random.default_rng([self.seed, state.index])
        uniform = (1.0 / len(STEPS),) * len(STEPS)
        return MetaAction(
            delta=random_steps(rng, state.space.names),
            probabilities=dict.fromkeys(state.space.names, uniform),
        )


class Anneal:
    """Learning rate from its first value to its lower bound over the budget.

    With p = progress in [0, 1]: linear alpha_0 (1 - p); cosine alpha_0 (1 + cos(pi p)) / 2 (Loshchilov and Hutter 2017,
    arXiv:1608.03983, without restarts).
    """

    requires = ("learning_rate",)
    _SHAPES: Mapping[str, Callable[[float], float]] = {
        "linear": lambda p: 1.0 - p,
        "cosine": lambda p: 0.5 * (1.0 + math.cos(math.pi * p)),
    }

    def __init__(self, shape: str = "linear") -> None:
        if shape not in self._SHAPES:
            raise UnknownName("annealing shape", shape, self._SHAPES)
        self.name = f"anneal:{shape}"
        self._shape = self._SHAPES[shape]

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        first = state.space["learning_rate"].default
        return toward(state, {"learning_rate": first * self._shape(state.progress)})


class KLAdaptive:
    """Learning rate by the policy's last KL divergence, as in RL games and RSL-RL after Schulman et al. 2017.

    alpha is divided by `factor` when KL > 2 target and multiplied by it when KL < target / 2.
    """

    name = "kl-adaptive"
    requires = ("learning_rate",)

    def __init__(self, target: float = 0.01, factor: float = 1.5) -> None:
        self.target = target
        self.unit = math.log2(factor)

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        if not state.intervals:
            return MetaAction(note="no KL yet")
        kl = state.intervals[-1].signals.values.get("approx_kl", math.nan)
        if math.isnan(kl):
            return MetaAction(note="the agent reports no KL")
        if kl > 2 * self.target:
            return MetaAction({"learning_rate": -self.unit}, note=f"KL {kl:.4f} is high")
        if kl < self.target / 2:
            return MetaAction({"learning_rate": self.unit}, note=f"KL {kl:.4f} is low")
        return MetaAction(note=f"KL {kl:.4f} is on target")


class Trust:
    """The learning rate up and down again along the run, as far as the policy's KL divergence of the last interval allows.

    alpha <- min(alpha_0 2^o(p), alpha (d / KL)^(1/2)), the second at most an octave away, and an octave above before there is
    any KL: that of a small step grows with its square. o(p) is `up` until p = `held` and falls from there, straight, to `down`
    at p = 1. d is the radius of the trust region (Schulman et al. 2015, arXiv:1502.05477): what rate a KL takes differs
    tenfold between tasks.
    """

    name = "trust"
    requires = ("learning_rate",)
    up, down, held = 2.0, -1.0, 0.15

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        allowed = trusted_rate(state)
        if allowed is None:
            if state.intervals:
                return MetaAction(note="the agent reports no KL")
            allowed = 2.0 * state.theta["learning_rate"]
        share = max(0.0, state.progress - self.held) / (1.0 - self.held)
        level = state.space["learning_rate"].default * 2.0 ** (self.up + share * (self.down - self.up))
        return toward(state, {"learning_rate": min(level, allowed)})


class Horizon:
    """The discount by what the critic explains: while its explained variance is above `trusted`, the horizon 1 / (1 - gamma)
    goes up to the mean episode length, at most to `longest`, an octave a decision. It never goes down.

    All it reads stands in the last interval, and nothing of it in the first: whoever learns the rule needs one row.
    """

    name = "horizon"
    requires = ("gamma",)
    trusted, longest = EXPLAINED, 400.0

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        values = state.intervals[-1].signals.values if state.intervals else {}
        fit, length = values.get("explained_variance", math.nan), values.get("episode_length", math.nan)
        if not (fit > self.trusted and length > 1.0):
            return MetaAction(note="the critic gives no reason")
        target = 1.0 - 1.0 / min(length, self.longest)
        octaves = state.space["gamma"].delta(state.theta["gamma"], target)
        if octaves <= 0.0:
            return MetaAction(note="the horizon is long enough")
        return MetaAction({"gamma": min(octaves, 1.0)}, note=f"explained variance {fit:.2f}")


class Schedule:
    """Replays a schedule that `hyperprompt export` wrote, by share of the budget, without any language model.

    Its values; or, if `relative`, its steps from wherever the run stands: what the schedule changed since the last decision,
    at first from the algorithm's defaults. A run that was moved off the schedule then stays as far off it.

    Raises:
        InvalidValue: the file is missing, is no such schedule, or names a hyperparameter the run does not tune.
    """

    def __init__(self, path: Path, relative: bool = False) -> None:
        self.name, self.relative = f"schedule{'-steps' if relative else ''}:{path}", relative
        try:
            data = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InvalidValue(f"schedule {path}: cannot be read: {_first_line(error)}") from error
        try:
            points = [(float(p["progress"]), {str(k): float(v) for k, v in p["theta"].items()}) for p in data["schedule"]]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise InvalidValue(f"schedule {path}: expected 'schedule: [{{progress, theta}}, ...]'") from error
        if not points or not all(math.isfinite(v) for _, theta in points for v in theta.values()):
            raise InvalidValue(f"schedule {path}: needs at least one point and finite values only")
        self.points = sorted(points, key=lambda point: point[0])
        self.requires = () if relative else tuple(dict.fromkeys(name for _, theta in points for name in theta))

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        return [self._decide(state) for state in states]

    def _decide(self, state: MetaState) -> MetaAction:
        due = self._due(state.progress)
        if due is None:
            return MetaAction(note="before the schedule's first point")
        if not self.relative:
            return toward(state, due)
        own = for_algorithm(state.task.algorithm)
        last = state.intervals[-2].step if state.index > 1 else state.first_step
        before = (self._due(last / state.task.total_steps) if state.index else None) or own.defaults
        return MetaAction({n: own[n].delta(before[n], value) for n, value in due.items() if n in state.space.names})

    def _due(self, progress: float) -> Theta | None:
        """The last point that is due: update sizes need not divide both budgets alike."""
        return next((theta for at, theta in reversed(self.points) if at <= progress + 1e-9), None)


def toward(state: MetaState, target: Theta) -> MetaAction:
    """The meta-action that leads from the state's theta to `target`; names absent from the target are kept."""
    delta = {name: state.space[name].delta(state.theta[name], value) for name, value in target.items()}
    beyond = [name for name, value in target.items() if state.space[name].clip(value) != value]
    return MetaAction(delta=delta, note=f"beyond its bounds, taken as the bound: {', '.join(beyond)}" if beyond else "")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
