"""The figures' lines: told apart by colour and dash, and no more of them than can be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hyperprompt.evaluation import plots
from hyperprompt.evaluation.comparison import Run, mean_theta

pytest.importorskip("matplotlib")

STEPS = [100.0, 200.0, 300.0]


def run(values: Sequence[float], name: str = "learning_rate", controller: str = "llm", **more: Any) -> Run:
    fields: dict[str, Any] = {"config": {}, "algorithm": "ppo", "steps": STEPS[-1], **more}
    text: dict[str, Any] = {"path": Path(), "versions": {}, "env": "own/task", "seed": "0", "decisions": []}
    numbers: dict[str, Any] = dict.fromkeys(("total_steps", "wall_seconds", "adapt_seconds", "updates"), 300.0)
    progress = {"step": STEPS, f"theta/{name}": list(values)}
    return Run(controller=controller, finished=True, progress=progress, **text, **numbers, **fields)


def lines(svg: str, colour: str) -> int:
    """Curves of that colour; the path of a curve on the axes is clipped, that of a mark is not drawn as a line."""
    ElementTree.fromstring(svg)
    return len(re.findall(rf'<path d="[^"]*" clip-path="[^"]*" style="fill: none;[^"]*stroke: {colour.lower()}', svg))


def test_24_methods_are_told_apart() -> None:
    names = ["static", *(f"method-{i}" for i in range(24))]
    styles = plots.styles(names)
    assert len(set(styles.values())) == len({plots.swatch(style) for style in styles.values()}) == 25


def test_of_few_methods_every_seed_is_a_line() -> None:
    runs = [run([1e-3, 1e-4], controller=name) for name in ("a", "b") for _ in range(3)]
    svg = plots.theta(runs, "learning_rate")
    assert svg is not None
    assert [lines(svg, colour) for colour in plots.COLOURS[:3]] == [3, 3, 0]


def test_of_many_methods_each_is_one_line_in_its_own_dash() -> None:
    names = [f"method-{i}" for i in range(8)]
    runs = [run([1e-3, 1e-4], controller=name) for name in names for _ in range(3)]
    svg = plots.theta(runs, "learning_rate")
    assert svg is not None
    assert [lines(svg, colour) for colour in plots.COLOURS] == [2, 2, 1, 1, 1, 1]
    assert svg.count("stroke-dasharray") == 2, "those of the second round of colours"


@pytest.mark.parametrize(
    ("name", "values", "mean"),
    [
        ("learning_rate", (1e-4, 1e-2), 1e-3),
        ("gamma", (0.9, 0.999), 0.99),
        ("clip_range", (0.1, 0.3), 0.2),
        ("ent_coef", (0.0, 0.0), 0.0),
        ("of_nobody", (1.0, 2.0), 1.5),
    ],
)
def test_seeds_are_averaged_on_the_hyperparameters_own_scale(name: str, values: tuple[float, float], mean: float) -> None:
    steps, found = mean_theta([run([value] * 3, name) for value in values], name)
    assert steps == [0.0, *STEPS]
    assert found == pytest.approx([mean] * 4)


def test_the_mean_is_of_what_was_in_force_as_far_as_all_have_gone() -> None:
    """The first decides at 100 and 200, the second at 100 only and ends before the first."""
    steps, values = mean_theta([run([0.1, 0.2, 0.3], "clip_range"), run([0.1, 0.3], "clip_range", steps=250.0)], "clip_range")
    assert steps == [0.0, 100.0, 200.0, 250.0]
    assert values == pytest.approx([0.1, 0.25, 0.3, 0.3])


def test_bounds_of_the_runs_hold_for_their_mean() -> None:
    wide = {"bounds": {"learning_rate": [1e-7, 1.0]}}
    _, values = mean_theta([run([value], config=wide) for value in (1e-6, 1e-2)], "learning_rate")
    assert values == pytest.approx([1e-4, 1e-4])


def test_runs_without_the_hyperparameter_leave_its_mean_alone() -> None:
    assert mean_theta([run([], "gamma"), run([0.9], "gamma")], "gamma")[1] == [0.9, 0.9]
    assert mean_theta([run([], "gamma")] * 2, "gamma") == ([], [])
    assert np.isnan(mean_theta([run([np.nan], "gamma"), run([0.9], "gamma")], "gamma")[1]).all()
