from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from hyperprompt.core import KEEP, STEPS, MetaState, step_sizes


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


def test_a_step_follows_from_probabilities_in_three_ways() -> None:
    p = np.array([[0.0, 0.0, 0.0, 0.4, 0.0, 0.6, 0.0], [0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0]])
    assert step_sizes(p, "mean") == pytest.approx([0.6, -1.0])
    assert step_sizes(p, "likeliest") == [1.0, -2.0]
    drawn = [step_sizes(p, "sample", np.random.default_rng(seed)) for seed in range(200)]
    assert {steps[0] for steps in drawn} == {0.0, 1.0}
    assert np.mean(drawn, axis=0) == pytest.approx([0.6, -1.0], abs=0.25)
