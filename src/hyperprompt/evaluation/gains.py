"""When meta-training has paid."""

from __future__ import annotations

import math

from hyperprompt.errors import InvalidValue


def payback(meta_steps: float, saved_steps_per_task: float) -> float:
    """Tasks after which meta-training has paid: ceil(meta steps / mean environment steps saved on a task).

    The saving on a task is RMST_baseline - RMST_method (`censoring`). Infinite where nothing is saved.

    Raises:
        InvalidValue: `meta_steps` below 0, or a number that is not finite.
    """
    if not (math.isfinite(meta_steps) and meta_steps >= 0 and math.isfinite(saved_steps_per_task)):
        raise InvalidValue(f"payback needs finite steps, the first not below 0: {meta_steps} and {saved_steps_per_task}")
    return float(math.ceil(meta_steps / saved_steps_per_task)) if saved_steps_per_task > 0 else math.inf
