"""Feature extractors by name: what stands between observations and the heads of an SB3 policy."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, cast

from hyperprompt.errors import UnknownName

ENCODERS = {
    "nature": "stable_baselines3.common.torch_layers:NatureCNN",
    "impala": "hyperprompt.agents.encoders.impala:ImpalaCNN",
    "nethack": "hyperprompt.agents.encoders.nethack:NetHackEncoder",
}
"""Name -> module:class. None in a configuration leaves the choice to SB3 (NatureCNN for images, flat otherwise)."""


def check(name: str) -> None:
    """Raises UnknownName. Imports nothing."""
    if name not in ENCODERS:
        raise UnknownName("encoder", name, ENCODERS)


def encoder(name: str, precision: Literal["bfloat16", "float32"] = "float32") -> type[Any]:
    """The class of that name, a `BaseFeaturesExtractor`, computing in `precision`. Raises UnknownName."""
    check(name)
    module, _, attribute = ENCODERS[name].partition(":")
    found = cast(type[Any], getattr(import_module(module), attribute))
    if precision == "float32":
        return found
    from hyperprompt.agents.encoders.precision import mixed

    return mixed(found)
