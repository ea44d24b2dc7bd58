"""Records fixtures/rliable.json, what rliable's own functions return on random scores.

rliable 1.2.0 does not run with pandas 3, so that it needs an environment of its own:

    python3 -m venv ../rliable-venv && ../rliable-venv/bin/pip install 'rliable==1.2.0' 'pandas<3'
    ../rliable-venv/bin/python tests/evaluation/record_rliable.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rliable import library, metrics

OUT = Path(__file__).parent / "fixtures" / "rliable.json"
AGGREGATES = {
    "iqm": metrics.aggregate_iqm,
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "optimality_gap": metrics.aggregate_optimality_gap,
}
SHAPES = {"10 x 8": (10, 8), "5 x 3": (5, 3), "3 x 7": (3, 7), "2 x 1": (2, 1), "ties": (6, 4)}
REPLICATES = 20_000


def case(name: str, shape: tuple[int, int], rng: np.random.Generator) -> dict[str, Any]:
    """Two methods' scores, (seeds, tasks), and every statistic of them; 'ties' holds few distinct values."""
    x, y = (rng.normal(mean, 0.6, shape).round(0 if name == "ties" else 6) for mean in (1.0, 0.8))
    result = {"x": x.tolist(), "y": y.tolist(), "probability_of_improvement": metrics.probability_of_improvement(x, y)}
    result |= {key: function(x) for key, function in AGGREGATES.items()}
    np.random.seed(0)  # noqa: NPY002  rliable resamples with the global generator
    _, intervals = library.get_interval_estimates({"x": x}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=REPLICATES)
    return {**result, "iqm_percentile_interval": intervals["x"].ravel().tolist()}


if __name__ == "__main__":
    rng = np.random.default_rng(20)
    record = {
        "command": "python tests/evaluation/record_rliable.py",
        "versions": {package: version(package) for package in ("rliable", "numpy", "scipy", "pandas", "arch")},
        "replicates": REPLICATES,
        "cases": {name: case(name, shape, rng) for name, shape in SHAPES.items()},
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(record) + "\n")
