"""Agents by name: the model of an algorithm and library, with this project's defaults where SB3 leaves a choice open."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from hyperprompt.agents import encoders
from hyperprompt.errors import InvalidValue, MissingDependency, UnknownName

_OURS = ("self", "policy", "env", "seed", "device", "_init_setup_model", "tensorboard_log", "verbose")


def algorithm_class(algorithm: str, library: str) -> type[BaseAlgorithm]:
    """SB3's or SBX's class.

    Raises:
        MissingDependency: SBX is asked for and not installed.
    """
    if library == "sbx":
        try:
            import sbx
        except ImportError as error:
            raise MissingDependency("SBX", "sbx") from error
        return getattr(sbx, algorithm.upper())  # type: ignore[no-any-return]
    import stable_baselines3

    return getattr(stable_baselines3, algorithm.upper())  # type: ignore[no-any-return]


def resolved_arguments(algorithm: str, library: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Every plain constructor argument with its value: the given ones, or the library's.

    Raises:
        UnknownName: an argument the algorithm does not have, with the valid ones.
        InvalidValue: a value of another kind than the library's own.
    """
    parameters = inspect.signature(algorithm_class(algorithm, library)).parameters
    valid = {name: p.default for name, p in parameters.items() if name not in _OURS}
    for name, value in arguments.items():
        if name not in valid:
            raise UnknownName(f"{algorithm.upper()} argument", name, valid)
        if expected := _mistaken(valid[name], value):
            raise InvalidValue(f"agent.{name}: expected {expected}, not {value!r}")
    plain = {name: value for name, value in valid.items() if isinstance(value, bool | int | float | str)}
    return {**plain, **arguments}


def _mistaken(default: Any, value: Any) -> str:
    """What was expected where `value` is of another kind than the library's default; "" where it will do."""
    if callable(value):  # a schedule
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        pair = isinstance(value, list | tuple)  # train_freq: [1, episode]
        return "" if pair or (number and not isinstance(value, float)) else "an integer"
    if isinstance(default, float):
        return "" if number else "a number"
    if isinstance(default, str):  # ent_coef: auto
        return "" if number or isinstance(value, str) else "a number or a word"
    return ""


def build(
    algorithm: str,
    library: str,
    env: VecEnv,
    seed: int,
    arguments: Mapping[str, Any],
    encoder: str | None = None,
    precision: Literal["bfloat16", "float32"] = "float32",
    tensorboard_log: str | None = None,
) -> BaseAlgorithm:
    """A fresh model from `resolved_arguments`. Images get a convolutional policy, everything else a perceptron.

    `encoder` names another feature extractor (`hyperprompt.agents.encoders`), computed in `precision`.

    Raises:
        InvalidValue: the algorithm refuses its arguments or the environment's spaces, or the encoder its observations.
    """
    from gymnasium import spaces
    from stable_baselines3.common.preprocessing import is_image_space

    if encoder is not None:
        if library == "sbx":
            raise InvalidValue(f"encoder {encoder!r} is a PyTorch network: SBX's agents take none")
        own = {"features_extractor_class": encoders.encoder(encoder, precision)}
        arguments = {**arguments, "policy_kwargs": {**arguments.get("policy_kwargs", {}), **own}}
    space = env.observation_space
    policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "CnnPolicy" if is_image_space(space) else "MlpPolicy"
    try:
        model = algorithm_class(algorithm, library)(
            policy, env, seed=seed, device="auto", tensorboard_log=tensorboard_log, **arguments
        )
    except (AssertionError, TypeError, ValueError) as error:
        raise InvalidValue(f"{algorithm.upper()} cannot be built: {error}") from error
    if encoder is not None and precision == "bfloat16":
        import torch

        model.policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # what 16-bit convolutions want
    return model
