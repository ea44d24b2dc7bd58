"""Ants: our loop against stock SB3 with its own `make_vec_env`, SAC at equal update-to-data ratio, and PPO; peak memory.

SAC's arms have equal environments, batch, networks and updates per step; ours are SBX's compiled updates, and SB3's own
agent on our environments. The arms run in turn, pinned to one core, and medians are compared.

    python -m benchmarks.bench_ant [repeats]
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
from typing import Any

from benchmarks.measure import speed

SAC = {"train_freq": 1, "gradient_steps": 4, "batch_size": 256, "learning_starts": 400, "buffer_size": 1_000_000}
SAC_ENVS, SAC_STEPS = 16, 1600
PPO = {16: {"n_steps": 128, "batch_size": 64}, 64: {"n_steps": 32, "batch_size": 1024}}


def run(repeats: int = 3) -> dict[str, float]:
    """Environment steps per second of every arm, medians."""
    import sbx
    import stable_baselines3 as sb3
    from stable_baselines3.common.env_util import make_vec_env

    from hyperprompt.envs.make import make
    from hyperprompt.pipeline.process import prepare

    prepare()
    results: dict[str, list[float]] = {}

    def measure(name: str, algorithm: type[Any], env: Any, steps: int, arguments: dict[str, Any]) -> None:
        model = algorithm("MlpPolicy", env, seed=0, **arguments)
        results.setdefault(name, []).append(speed(model, env, steps)[0])
        env.close()

    for _ in range(repeats):
        measure("sac ours, SBX", sbx.SAC, make("ant/default", SAC_ENVS, 0), SAC_STEPS, SAC)
        measure("sac stock", sb3.SAC, make_vec_env("Ant-v5", SAC_ENVS, seed=0), SAC_STEPS, SAC)
        measure("sac ours, SB3", sb3.SAC, make("ant/default", SAC_ENVS, 0), SAC_STEPS, SAC)
        measure("sac ours, SBX, six legs", sbx.SAC, make("ant/train-0", SAC_ENVS, 0), SAC_STEPS, SAC)
        for n_envs, arguments in PPO.items():
            steps = 2 * n_envs * arguments["n_steps"]
            measure(f"ppo {n_envs} ours", sb3.PPO, make("ant/default", n_envs, 0), steps, arguments)
            measure(f"ppo {n_envs} stock", sb3.PPO, make_vec_env("Ant-v5", n_envs, seed=0), steps, arguments)
    return {name: statistics.median(speeds) for name, speeds in results.items()}


def memory() -> float:
    """Peak GiB of a process that fills a replay buffer of a million transitions of Ant-v5 with SBX's SAC. Run by itself."""
    import sbx

    from hyperprompt.envs.make import make

    model = sbx.SAC("MlpPolicy", make("ant/default", SAC_ENVS, 0), seed=0, **SAC)
    model.learn(1000)
    buffer: Any = model.replay_buffer
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        array = getattr(buffer, name, None)
        if array is not None:
            array[:] = 1.0  # touches every page, as a million transitions would
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"a million transitions: peak {memory():.2f} GiB (bar 3)")
    r = run(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    for name, value in r.items():
        print(f"  {name:24} {value:6.0f} steps/s")
    print(f"SAC, 16 environments, one update per 4 steps: ours {r['sac ours, SBX'] / r['sac stock']:.2f} x stock (bar 1.5)")
    print(f"the same with SB3's agent on our environments: {r['sac ours, SB3'] / r['sac stock']:.2f} x stock (bar 1)")
    for n_envs in PPO:
        print(f"PPO, {n_envs} environments: ours {r[f'ppo {n_envs} ours'] / r[f'ppo {n_envs} stock']:.2f} x stock (bar 1)")


if __name__ == "__main__":
    main()
