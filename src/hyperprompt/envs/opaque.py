"""Vector environments whose single environments are no Python objects: what SB3 may still ask of them, and what it may not."""

from __future__ import annotations

from typing import Any, NoReturn

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from hyperprompt.errors import HyperPromptError


class NoSubEnvironment(HyperPromptError, AttributeError):
    """There is no Python object of a single environment whose attribute could be read, set or called."""


class OpaqueVecEnv(VecEnv):
    """A `VecEnv` that refuses, with NoSubEnvironment, what would reach into a single environment."""

    def _opaque(self) -> tuple[str, str]:
        """The environment's name in messages, and why there is nothing behind it to reach into."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """True for `Monitor` only: the infos carry what it would add, and SB3's `evaluate_policy` asks for it by name."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        if attr_name != "render_mode":
            self._refuse(f"read the attribute {attr_name!r}")
        return [None for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        self._refuse(f"set the attribute {attr_name!r}")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        self._refuse(f"call the method {method_name!r}")

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        if options:
            self._refuse(f"pass the reset options {options!r}")

    def _refuse(self, what: str) -> NoReturn:
        name, why = self._opaque()
        raise NoSubEnvironment(f"cannot {what} of {name}: {why}")
