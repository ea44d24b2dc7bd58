from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from hyperprompt.core import KEEP, STEPS, MetaState


def test_meta_state_survives_json(state: Callable[..., MetaState]) -> None:
    original = state(3)
    assert MetaState.from_dict(json.loads(json.dumps(original.to_dict()))) == original


def test_the_middle_step_keeps() -> None:
    assert STEPS[KEEP] == 0.0
    assert sorted(STEPS) == list(STEPS)


@pytest.mark.parametrize(
    "code", ["import hyperprompt", "from hyperprompt import HyperPromptCallback", "import hyperprompt.cli"]
)
def test_imports_stay_light(code: str) -> None:
    heavy = {"transformers", "jax", "ray", "matplotlib", "envpool"}
    if "Callback" not in code:
        heavy |= {"torch", "stable_baselines3", "pydantic"}
    show = f"{code}; import sys; print(sorted(set(sys.modules) & {heavy!r}))"
    assert subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.strip() == "[]"
