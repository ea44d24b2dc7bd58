"""NetHack: what a training step costs and where it goes, ours against stock SB3, and peak memory.

All arms run PPO with the settings of the preset `short`, the same encoder and one torch thread; the stock ones take SB3's
own `make_vec_env` on NLE's environments, asked for no more observations than the encoder reads. Ours computes the encoder in
bfloat16 where the CPU has instructions for it, as a run does; the arm `float32` leaves that out. They run in turn, and medians
are compared: absolute numbers wander with the machine's load, ratios of neighbouring runs much less.

    python -m benchmarks.bench_nethack [repeats]
"""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Callable
from typing import Any, Literal

from benchmarks.measure import speed

TASK = "nethack/score"
BARS = {32: 1.0, 64: 2.0}
"""Environments -> the least ratio (ours / stock with DummyVecEnv) that is asked for."""
UPDATES = 2


def run(repeats: int = 3) -> dict[str, Any]:
    """Environment steps per second of every arm, their medians, and the shares of ours. Needs the extra `nethack`."""
    from hyperprompt.agents.encoders.precision import resolved
    from hyperprompt.pipeline.process import prepare

    prepare()
    results: dict[str, Any] = {"task": TASK, "repeats": repeats, "settings": {}}
    arms: dict[str, Callable[[int, int], Any]] = {"ours": _ours, "float32": _ours, "dummy": _dummy, "subproc": _subproc}
    for n_envs, bar in BARS.items():
        runs: dict[str, list[float]] = {arm: [] for arm in arms}
        shares: list[dict[str, float]] = []
        for seed in range(repeats):
            for arm, make_env in arms.items():
                speed, parts = _train(make_env, n_envs, seed, resolved("auto" if arm == "ours" else "float32"))
                runs[arm].append(speed)
                if arm == "ours":
                    shares.append(parts)
                    # The first run of this process, before the stock arms add to it.
                    results.setdefault("peak_gib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        medians = {arm: statistics.median(speeds) for arm, speeds in runs.items()}
        results["settings"][n_envs] = {
            "median": medians,
            "ratio": medians["ours"] / medians["dummy"],
            "bar": bar,
            "shares": {part: statistics.median(s[part] for s in shares) for part in shares[0]},
            "runs": runs,
        }
    return results


def _ours(n_envs: int, seed: int) -> Any:
    from hyperprompt.envs.make import make

    return make(TASK, n_envs, seed)


def _dummy(n_envs: int, seed: int) -> Any:
    return _stock(n_envs, seed)


def _subproc(n_envs: int, seed: int) -> Any:
    from stable_baselines3.common.vec_env import SubprocVecEnv

    # Forked, so that 64 workers share the memory of the libraries.
    return _stock(n_envs, seed, vec_env_cls=SubprocVecEnv, vec_env_kwargs={"start_method": "fork"})


def _stock(n_envs: int, seed: int, **more: Any) -> Any:
    import nle  # noqa: F401  (registers its environments)
    from stable_baselines3.common.env_util import make_vec_env

    keys = {"observation_keys": ("glyphs", "blstats", "message")}
    return make_vec_env("NetHackScore-v0", n_envs, seed=seed, env_kwargs=keys, **more)


def _train(
    make_env: Callable[[int, int], Any], n_envs: int, seed: int, precision: Literal["bfloat16", "float32"]
) -> tuple[float, dict[str, float]]:
    """Environment steps per second after a warm-up of one update, and microseconds per step by part."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecNormalize

    from hyperprompt.agents import presets
    from hyperprompt.agents.encoders import encoder

    _, preset = presets.find("nethack", TASK, "ppo", "short")
    torch.manual_seed(seed)
    games = make_env(n_envs, seed)
    model = PPO(
        "MultiInputPolicy",
        VecNormalize(games, norm_obs=False, gamma=preset.agent["gamma"]),
        seed=seed,
        device="cpu",
        policy_kwargs={"features_extractor_class": encoder("nethack", precision)},
        **preset.agent,
    )
    try:
        return speed(model, games, UPDATES * n_envs * model.n_steps)
    finally:
        games.close()


def main() -> None:
    results = run(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    print(f"SB3 PPO on {TASK}, environment steps/s, median of {results['repeats']}, one torch thread")
    for n_envs, row in results["settings"].items():
        verdict = "met" if row["ratio"] >= row["bar"] else "MISSED"
        print(
            f"{n_envs} environments: "
            + "  ".join(f"{arm} {speed:.0f}" for arm, speed in row["median"].items())
            + f"  ratio to dummy {row['ratio']:.2f}  bar {row['bar']:.1f} {verdict}"
        )
        print("    ours, microseconds a step: " + ", ".join(f"{part} {us:.0f}" for part, us in row["shares"].items()))
        print("    " + "  ".join(f"{arm} {', '.join(f'{v:.0f}' for v in runs)}" for arm, runs in row["runs"].items()))
    print(f"peak memory of this process after PPO with {min(BARS)} environments: {results['peak_gib']:.2f} GiB")


if __name__ == "__main__":
    main()
