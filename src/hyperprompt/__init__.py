"""HyperPrompt: a pre-trained language model that steers the hyperparameters of a live RL training run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperprompt.callback import HyperPromptCallback as HyperPromptCallback

__version__ = "0.1.0"
__all__ = ["HyperPromptCallback", "__version__"]


def __getattr__(name: str) -> Any:
    # The callback derives from Stable-Baselines3's, which imports torch: only those who use it pay for that.
    if name == "HyperPromptCallback":
        return import_module("hyperprompt.callback").HyperPromptCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
