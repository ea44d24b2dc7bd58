"""The policy of a run, looked at with fixed seeds: on the task it was trained on and, where there is one, its unseen part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from hyperprompt.agents import wrap
from hyperprompt.config import RunConfig
from hyperprompt.durable import atomic_write, to_json
from hyperprompt.envs import make as envs
from hyperprompt.errors import RunFolderError
from hyperprompt.evaluation.rollout import episode_returns
from hyperprompt.pipeline.resolve import agent
from hyperprompt.runs import RunFolder

EPISODES = 64
SEED = 1_000_003
"""Of the evaluation's environments: no run trains under it."""


def evaluation(model: BaseAlgorithm, config: RunConfig, episodes: int = EPISODES, seed: int = SEED) -> dict[str, Any]:
    """Mean and standard deviation of the returns of `episodes` episodes under the stochastic policy.

    `train` holds the task as it was trained on; `test` its unseen part (Procgen's other levels), with the generalisation
    gap, train minus test, beside it.
    """
    variants = {"train": config.env_options}
    if unseen := envs.unseen(config.env):
        variants["test"] = {**config.env_options, **unseen}
    result: dict[str, Any] = {"step": model.num_timesteps, "episodes": episodes, "seed": seed}
    for name, options in variants.items():
        env = envs.make(config.env, episodes, seed, **options)
        try:
            returns = episode_returns(model, env, seed)
        finally:
            env.close()
        result[name] = {"return_mean": float(returns.mean()), "return_std": float(returns.std(ddof=1))}
    if "test" in result:
        result["generalisation_gap"] = result["train"]["return_mean"] - result["test"]["return_mean"]
    return result


def write_evaluation(folder: Path, model: BaseAlgorithm, config: RunConfig, episodes: int = EPISODES) -> dict[str, Any]:
    """`evaluation`, written to evaluation.json in the run folder."""
    result = evaluation(model, config, episodes)
    atomic_write(folder / "evaluation.json", to_json(result, indent=2) + "\n")
    return result


def evaluate(folder: Path, config: RunConfig, episodes: int = EPISODES) -> dict[str, Any]:
    """`evaluation` of the newest checkpoint of the run in `folder`, written to its evaluation.json.

    Raises:
        RunFolderError: the run kept no checkpoint.
    """
    checkpoint = RunFolder.open(folder, readonly=True).latest_checkpoint()
    if checkpoint is None:
        raise RunFolderError(f"{folder} holds no checkpoint to evaluate: the run was trained with checkpoints=false")
    model = agent(config)
    assert model.env is not None
    try:
        wrap(model).restore(checkpoint.load_agent())
        return write_evaluation(folder, model, config, episodes)
    finally:
        model.env.close()
