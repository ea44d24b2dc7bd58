"""From what a user wrote to everything that decides a run: task, preset and library fill in what was left open."""

from __future__ import annotations

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from hyperprompt.agents import encoders, presets
from hyperprompt.agents.build import build, resolved_arguments
from hyperprompt.agents.encoders.precision import resolved
from hyperprompt.config import RunConfig
from hyperprompt.controllers import registry
from hyperprompt.envs import make as envs
from hyperprompt.meta.arguments import check_names


def resolve(config: RunConfig) -> RunConfig:
    """The configuration with every default filled in; what can be refused without building anything is refused here.

    The user's own values win over the preset's, the preset's over the library's. Resolving twice changes nothing.

    Raises:
        HyperPromptError: the first thing found wrong.
    """
    envs.exists(config.env, **config.env_options)
    if config.algo is None or config.steps is None:
        info = envs.describe(config.env, **config.env_options)
        config = config.model_copy(update={"algo": config.algo or info.algorithm, "steps": config.steps or info.steps})
    assert config.algo is not None
    registry.check_algorithm(config.controller, config.algorithm)
    controller = registry.create(config.controller, seed=config.seed, options=config.llm)
    check_names(config.algorithm, config.tune, config.bounds, getattr(controller, "requires", ()))
    name, preset = presets.find(envs.family(config.env), config.env, config.algo, config.preset)
    encoder = config.encoder or preset.encoder
    if encoder is not None:
        encoders.check(encoder)
    return config.model_copy(
        update={
            "preset": name,
            "n_envs": config.n_envs or preset.n_envs,
            "encoder": encoder,
            "precision": resolved(config.precision) if encoder else "float32",
            "normalize": config.normalize or preset.normalize,
            "agent": resolved_arguments(config.algorithm, config.library, {**preset.agent, **config.agent}),
        }
    )


def agent(config: RunConfig, tensorboard_log: str | None = None) -> BaseAlgorithm:
    """The model of a resolved configuration on its environments, freshly initialised."""
    assert config.n_envs is not None
    precision = resolved(config.precision)
    env = envs.make(config.env, config.n_envs, config.seed, **config.env_options)
    norm = config.normalize
    if norm is not None and (norm.observation or norm.reward):
        gamma = config.agent.get("gamma", 0.99)
        env = VecNormalize(env, True, norm.observation, norm.reward, norm.clip_observation, norm.clip_reward, gamma)
    try:
        return build(
            config.algorithm, config.library, env, config.seed, config.agent, config.encoder, precision, tensorboard_log
        )
    except BaseException:
        env.close()
        raise
