"""What the callback asks of a model's training loop: its smallest interval, its task's name, its environments made anew."""

from __future__ import annotations

import re

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFrequencyUnit


def update_steps(model: BaseAlgorithm) -> int:
    """Environment steps of the smallest interval: one rollout of all environments."""
    if not isinstance(model, OffPolicyAlgorithm):
        return int(model.n_steps * model.n_envs)  # type: ignore[attr-defined]
    train_freq = model.train_freq
    by_step = getattr(train_freq, "unit", None) is TrainFrequencyUnit.STEP
    return int(train_freq.frequency * model.n_envs) if by_step else model.n_envs  # type: ignore[union-attr]


def env_name(model: BaseAlgorithm) -> str:
    """The id under which Gymnasium made the environment, or its class's name.

    Only a string is asked of the environments: those in other processes need not survive pickling, nor their specs.
    """
    assert model.env is not None
    try:
        text = model.env.env_method("__str__", indices=0)[0]
    except (AttributeError, IndexError, NotImplementedError):
        return type(model.env.unwrapped).__name__
    # Gymnasium writes <Wrapper<Env<id>>>, or <Wrapper<Env instance>> of what has no id.
    found = re.search(r"<([^<>]+?)(?: instance)?>+$", text)
    return found.group(1) if found else "environment"


def seed_at(seed: int, step: int, branch: int | None = None) -> int:
    """The seed of environments and generators of a run that goes on at environment step `step`: its own at step 0.

    Branches that go on from one state each have a number, and a seed of their own at every step.
    """
    if branch is None and step == 0:
        return seed
    words = [seed, step] if branch is None else [seed, step, branch]
    return int(np.random.SeedSequence(words).generate_state(1)[0] % 2**31)


def rebuild_environments(model: BaseAlgorithm) -> None:
    """Environments cannot be restored: they begin new episodes, seeded beforehand by `Agent.seed`."""
    assert model.env is not None
    model._last_obs = model.env.reset()  # type: ignore[assignment]
    model._last_episode_starts = np.ones((model.n_envs,), dtype=bool)
    if (normaliser := model.get_vec_normalize_env()) is not None:
        model._last_original_obs = normaliser.get_original_obs()  # what the replay buffer stores


def fix_budget(model: BaseAlgorithm, total_steps: int) -> None:
    """Schedules see progress through `total_steps`, in however many calls of `learn` they are trained.

    Stable-Baselines3 would measure it by the end of the call; the on-policy loop passes that end as an argument, so that
    setting `_total_timesteps` is not enough.
    """

    def update(num_timesteps: int, total_timesteps: int) -> None:
        model._current_progress_remaining = 1.0 - num_timesteps / total_steps

    class_excludes = model._excluded_save_params
    own = ["_update_current_progress_remaining", "_excluded_save_params"]
    model._update_current_progress_remaining = update  # type: ignore[method-assign]
    model._excluded_save_params = lambda: [*class_excludes(), *own]  # type: ignore[method-assign]  # `save` pickles the rest
