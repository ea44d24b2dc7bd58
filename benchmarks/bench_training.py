"""Training speed: SB3's PPO on LunarLander-v3 on our environments against SB3's own `make_vec_env`.

Both arms run in this process with the same PPO settings and one torch thread, in turn (A B A B ...), and the medians are
compared: absolute numbers wander with the machine's load, ratios of neighbouring runs much less. A run is timed after a
warm-up of one rollout and update.

    python -m benchmarks.bench_training [repeats]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import speed

ENV = "LunarLander-v3"


@dataclass(frozen=True)
class Setting:
    """One comparison: PPO's sizes, and the least ratio (ours / stock) that is asked for."""

    name: str
    n_envs: int
    n_steps: int
    batch_size: int
    n_epochs: int
    updates: int
    bar: float


SETTINGS = (
    Setting("wide", n_envs=64, n_steps=128, batch_size=1024, n_epochs=10, updates=3, bar=2.0),
    Setting("narrow", n_envs=16, n_steps=128, batch_size=64, n_epochs=10, updates=2, bar=1.0),
)


def run(repeats: int = 3, settings: tuple[Setting, ...] = SETTINGS) -> dict[str, Any]:
    """Environment steps per second of both arms, their medians and ratio, per setting. Needs the extra `envs`."""
    import torch

    torch.set_num_threads(1)
    results: dict[str, Any] = {"env": ENV, "torch_threads": 1, "repeats": repeats, "settings": {}}
    for setting in settings:
        speeds: dict[str, list[float]] = {"ours": [], "stock": []}
        for seed in range(repeats):
            speeds["ours"].append(_steps_per_second(_ours, setting, seed))
            speeds["stock"].append(_steps_per_second(_stock, setting, seed))
        ours, stock = (statistics.median(speeds[arm]) for arm in ("ours", "stock"))
        results["settings"][setting.name] = {
            "ours": ours,
            "stock": stock,
            "ratio": ours / stock,
            "bar": setting.bar,
            "passed": ours / stock >= setting.bar,
            "runs": speeds,
        }
    return results


def _ours(n_envs: int, seed: int) -> Any:
    from hyperprompt.envs.make import make

    return make(ENV, n_envs, seed)


def _stock(n_envs: int, seed: int) -> Any:
    from stable_baselines3.common.env_util import make_vec_env

    return make_vec_env(ENV, n_envs, seed=seed)


def _steps_per_second(make_env: Callable[[int, int], Any], setting: Setting, seed: int) -> float:
    from stable_baselines3 import PPO

    env = make_env(setting.n_envs, seed)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=setting.n_steps,
        batch_size=setting.batch_size,
        n_epochs=setting.n_epochs,
        seed=seed,
        device="cpu",
    )
    try:
        return speed(model, env, setting.updates * setting.n_envs * setting.n_steps)[0]
    finally:
        env.close()


def main() -> None:
    results = run(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    print(f"SB3 PPO on {ENV}, environment steps/s, median of {results['repeats']}, one torch thread")
    for name, row in results["settings"].items():
        verdict = "met" if row["passed"] else "MISSED"
        speeds = f"ours {row['ours']:6.0f}  stock {row['stock']:6.0f}  ratio {row['ratio']:.2f}"
        print(f"{name:7s} {speeds}  bar {row['bar']:.1f} {verdict}")
        print("        " + "  ".join(f"{arm} {', '.join(f'{v:.0f}' for v in runs)}" for arm, runs in row["runs"].items()))


if __name__ == "__main__":
    main()
