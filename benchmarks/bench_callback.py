"""What the callback itself costs a fast training loop, without any model: time inside its hooks over the time of `learn`.

PPO on LunarLander-v3, 64 environments, batch 1024, the `static` controller, with and without a run folder (journal, progress
and a checkpoint every interval). Timed inside one run, so that the machine's other work does not count as the callback's.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import PPO

from hyperprompt import HyperPromptCallback
from hyperprompt.envs.make import make

HOOKS = ("_on_training_start", "_on_rollout_start", "_on_step", "_on_training_end")


class Timed(HyperPromptCallback):
    """The callback with a clock around each hook."""

    seconds = 0.0


def _timed(name: str) -> Any:
    hook = getattr(HyperPromptCallback, name)

    def call(self: Timed) -> Any:
        start = time.perf_counter()
        try:
            return hook(self)
        finally:
            self.seconds += time.perf_counter() - start

    return call


for _name in HOOKS:
    setattr(Timed, _name, _timed(_name))


def share(folder: Path | None, steps: int = 400_000) -> float:
    """Share of wall time spent in the callback."""
    torch.set_num_threads(1)
    env = make("LunarLander-v3", 64, 0)
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=1024, seed=0, device="cpu")
    callback = Timed("static", run_dir=folder)
    start = time.perf_counter()
    model.learn(steps, callback=callback)
    total = time.perf_counter() - start
    env.close()
    return callback.seconds / total


def run() -> dict[str, float]:
    """Shares of wall time, in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        return {"callback": share(None), "callback with run folder": share(Path(folder) / "run")}


def main() -> None:
    for name, value in run().items():
        print(f"{name:28} {100 * value:5.2f}% of wall time (bar: 1%)")


if __name__ == "__main__":
    main()
