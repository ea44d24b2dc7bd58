"""A meta-MDP with a known answer: a run that only pretends to train, for tests of whatever learns to decide.

Its performance J in [0, 1) closes part of the gap to 1 in every interval, the more the nearer theta is to where it should be
then. On the hyperparameters' own scales, with u the distance in steps from the first value and u*_t the path of `BEST`:

    J_0 = 0,   J_{t+1} = J_t + RATE (1 - J_t) exp(-|u_t - u*_t|^2 / 2)

J_{t+1} grows with J_t and with nearness, so that to follow the path from the first decision on is best in every interval,
for any discount and for both rewards; it is the only best sequence, and ends at J_T = 1 - (1 - RATE)^T. The path rises early
and falls late, as learning rates should; no constant setting can follow it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperprompt.core import Decision, Interval, MetaAction, MetaState, Signals, Task
from hyperprompt.envs.scale import TaskScale
from hyperprompt.errors import InvalidValue
from hyperprompt.hyperparameters import HyperparameterSpace, Theta, for_algorithm
from hyperprompt.meta.run import MetaRun

if TYPE_CHECKING:
    from hyperprompt.meta.env import MetaEnv

BEST: dict[str, tuple[float, ...]] = {
    "learning_rate": (2.0, 1.0, 0.0, 0.5, 0.0, -0.5, -1.0, -2.0),
    "clip_range": (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}
"""The best steps, decision by decision."""
INTERVALS = len(BEST["learning_rate"])
RATE = 0.3
LENGTH = 1_000
"""Environment steps an interval pretends to have taken."""
SCALE = TaskScale(random=0.0, static=1.0)
OPTIMUM = 1.0 - (1.0 - RATE) ** INTERVALS
"""J at the end under BEST, and the sum of the meta-rewards `improvement`: 0.942."""


def probe_env(**arguments: Any) -> MetaEnv:
    """The probe as `meta.env.MetaEnv`; `arguments` are those of `ProbeRun`, the seed excepted, which `reset` gives."""
    from hyperprompt.meta.env import MetaEnv

    return MetaEnv(make_run=lambda seed: ProbeRun(seed, **arguments), scale=SCALE)


class ProbeAgent:
    """Holds the values of PPO's hyperparameters; there is no learner behind them."""

    algorithm, library = "ppo", "probe"
    refused: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.space: HyperparameterSpace = for_algorithm("ppo")
        self.values: dict[str, float] = dict(self.space.defaults)

    def get(self) -> dict[str, float]:
        return dict(self.values)

    def set(self, values: Theta) -> None:
        for name in values:
            self.space[name]
        self.values |= values


class ProbeRun:
    """A run of the probe, with the interface of `meta.live.LiveRun`.

    Args:
        seed: of the noise.
        noise: standard deviation of what the reported returns add to J, so that one look at a return deceives.
        best: the path to follow, in place of BEST: equally many steps of each hyperparameter under control.
    """

    def __init__(self, seed: int = 0, noise: float = 0.0, best: Mapping[str, Sequence[float]] = BEST) -> None:
        self.seed, self.noise, self.best = seed, noise, best
        self.agent = ProbeAgent()
        self.total_steps = LENGTH * min(map(len, best.values()))
        task = Task("probe", "ppo", "discrete", "vector", 1, 2, 1, self.total_steps)
        self.meta = MetaRun(self.agent, task, self.agent.space.subset(tuple(best)), f"probe/{seed}")  # type: ignore[arg-type]
        self.performance = 0.0
        self.seconds = 0.0
        self.updates = 0
        self._draws = 0

    @property
    def step(self) -> int:
        return len(self.meta.intervals) * LENGTH

    @property
    def finished(self) -> bool:
        return self.step >= self.total_steps

    def advance(self, steps: int | None = None) -> Interval:
        """One interval, whatever `steps` says.

        Raises:
            InvalidValue: the budget is spent.
        """
        if self.finished:
            raise InvalidValue(f"{self.meta.name}: the budget of {self.total_steps} steps is spent")
        begun, index = time.perf_counter(), len(self.meta.intervals)
        self.performance += RATE * (1.0 - self.performance) * math.exp(-(self._distance(index) ** 2) / 2)
        noise = self.noise * np.random.default_rng([self.seed, self._draws]).standard_normal()
        self._draws += 1
        values = {"return_mean": self.performance + noise, "return_std": self.noise, "approx_kl": 0.01}
        self.updates += 1
        self.seconds += time.perf_counter() - begun
        return self.meta.observe((index + 1) * LENGTH, Signals(values, episodes=100))

    def _distance(self, index: int) -> float:
        """|u_t - u*_t|."""
        theta = self.meta.theta()
        apart = (
            h.delta(h.at(h.position(h.default)), theta[h.name]) - sum(self.best[h.name][: index + 1]) for h in self.meta.space
        )
        return math.hypot(*apart)

    def state(self) -> MetaState:
        return self.meta.state(self.step)

    def apply(self, action: MetaAction | Exception, controller: str = "", seconds: float = 0.0) -> Decision:
        return self.meta.apply(self.state(), action, controller, seconds)

    def snapshot(self) -> dict[str, Any]:
        return {"values": self.agent.get(), "performance": self.performance, "meta": self.meta.to_dict(self.step)}

    def restore(self, snapshot: Mapping[str, Any], branch: int) -> None:
        self.agent.set(snapshot["values"])
        self.performance = snapshot["performance"]
        self.meta.load(snapshot["meta"])
        self._draws = 1_000_000 * (branch + 1)

    def fork(self, branch: int) -> ProbeRun:
        child = ProbeRun(self.seed, self.noise, self.best)
        child.restore(self.snapshot(), branch)
        return child

    def close(self) -> None:
        """There is nothing to give back."""
