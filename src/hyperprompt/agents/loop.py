"""What the callback asks of a model's training loop: its smallest interval, its task's name, its environments made anew."""

from __future__ import annotations

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
    """The id under which Gymnasium made the environment, or its class's name."""
    assert model.env is not None
    try:
        return str(model.env.get_attr("spec")[0].id)
    except (AttributeError, IndexError, NotImplementedError):
        pass
    try:
        return type(model.env.get_attr("unwrapped")[0]).__name__
    except (AttributeError, IndexError, NotImplementedError):
        return type(model.env.unwrapped).__name__


def seed_at(seed: int, step: int) -> int:
    """The seed of environments and generators of a run resumed at environment step `step`: its own at step 0."""
    return seed if step == 0 else int(np.random.SeedSequence([seed, step]).generate_state(1)[0] % 2**31)


def rebuild_environments(model: BaseAlgorithm) -> None:
    """Environments cannot be restored: they begin new episodes, seeded beforehand by `Agent.seed`."""
    assert model.env is not None
    model._last_obs = model.env.reset()  # type: ignore[assignment]
    model._last_episode_starts = np.ones((model.n_envs,), dtype=bool)
    if model._vec_normalize_env is not None:
        model._last_original_obs = model._vec_normalize_env.get_original_obs()
