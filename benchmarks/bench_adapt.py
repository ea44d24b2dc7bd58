"""What adaptation costs a run: seconds of the shipped controller's decisions over the seconds of the intervals between them.

The first decisions of runs at their default budget and settings, on one source or plain task of each kind; reading the model,
once a run, is apart. Ant stands for what a model costs that keeps every hyperparameter of SAC. Bars: 3 %, on fast tasks 10 %.
Both sides are timed in one run, alone on the machine: beside other jobs a decision, which takes all cores, is the dearer.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

from stable_baselines3.common.callbacks import BaseCallback

from hyperprompt.callback import HyperPromptCallback, Report
from hyperprompt.config import parse
from hyperprompt.pipeline import process
from hyperprompt.pipeline.resolve import agent, resolve

DECISIONS = 9
BARS = {"procgen/caveflyer": 0.03, "nethack/staircase": 0.03, "ant/train-0": 0.03, "LunarLander-v3": 0.1, "CartPole-v1": 0.1}


class Enough(BaseCallback):
    """Ends training after so many decisions."""

    def __init__(self, watched: HyperPromptCallback) -> None:
        super().__init__()
        self.watched = watched

    def _on_step(self) -> bool:
        return self.watched.decision is None or self.watched.decision.index < DECISIONS


@dataclass(frozen=True)
class Cost:
    """Seconds: of reading the model, of a decision and of a whole interval of length U, medians of the last ones."""

    reading: float
    decision: float
    interval: float

    @property
    def share(self) -> float:
        return self.decision / self.interval


def cost(task: str) -> Cost:
    config = resolve(parse({"env": task, "controller": "hyperprompt"}))
    model = agent(config)
    assert config.steps is not None
    assert model.env is not None
    reports: list[Report] = []
    callback = HyperPromptCallback("hyperprompt", every=config.every, seed=config.seed, listener=reports.append, env=task)
    try:
        model.learn(config.steps, callback=[callback, Enough(callback)])
    finally:
        model.env.close()
    reports = reports[:-1]  # the last one repeats the last decision
    intervals = [after.wall_seconds - before.wall_seconds for before, after in itertools.pairwise(reports)]
    decisions = [report.decision.seconds for report in reports]
    return Cost(callback.adapt_seconds - sum(decisions), statistics.median(decisions[-4:]), statistics.median(intervals[-4:]))


def main() -> None:
    process.prepare()
    for task, bar in BARS.items():
        found = cost(task)
        print(
            f"{task:20} {1000 * found.decision:5.0f} ms a decision, {found.interval:6.1f} s an interval: "
            f"{100 * found.share:4.1f}% (bar: {100 * bar:.0f}%); reading the model {found.reading:.1f} s, once",
            flush=True,
        )


if __name__ == "__main__":
    main()
