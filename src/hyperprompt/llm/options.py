"""The language-model controller's options, before anything is computed from them: wrong types out of a file or a shell."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from numbers import Integral, Real
from pathlib import Path

from hyperprompt.errors import InvalidValue
from hyperprompt.prompt.config import PromptConfig


def check_options(
    model: object, prompt: object, seed: object, choice: object, temperature: object, keep_prior: object, calibrate: object,
    demonstrations: object, dtype: object,
) -> None:  # fmt: skip
    """Raises InvalidValue, naming the option, for a value of the wrong type or out of range."""
    # A bool is an Integral, but a mistake here.
    checks = {
        "model": (isinstance(model, str), "a name or a folder", model),
        "prompt": (prompt is None or isinstance(prompt, PromptConfig | Mapping), "a mapping of settings", prompt),
        "seed": (not isinstance(seed, bool) and isinstance(seed, Integral) and int(seed) >= 0, "a whole number from 0", seed),
        "choice": (choice in (None, "likeliest", "mean", "sample"), "'likeliest', 'mean' or 'sample'", choice),
        "temperature": (temperature is None or _within(temperature, inf), "a positive, finite number", temperature),
        "keep_prior": (_within(keep_prior, 1.0), "a number between 0 and 1", keep_prior),
        "calibrate": (calibrate in (None, "none", "content-free"), "'content-free' or 'none'", calibrate),
        "demonstrations": (
            demonstrations is None or isinstance(demonstrations, str | Path),
            "'shipped' or a file",
            demonstrations,
        ),
        "dtype": (dtype in (None, "bfloat16", "float32"), "'bfloat16' or 'float32'", dtype),
    }
    for name, (valid, wanted, value) in checks.items():
        if not valid:
            raise InvalidValue(f"{name} must be {wanted}, not {value!r}")


def check_continuous(temperature: float | None, calibrate: str | None) -> None:
    """Raises InvalidValue for what an adapter with a continuous head, which stands for a mean alone, cannot be asked."""
    if temperature not in (None, 1.0):
        raise InvalidValue(f"temperature must be 1 with a continuous head, whose answer is a mean, not {temperature}")
    if calibrate == "content-free":
        raise InvalidValue("calibrate must be 'none' with a continuous head: it gives no scores to calibrate")


def _within(value: object, high: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0.0 < float(value) < high
