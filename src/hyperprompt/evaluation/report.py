"""One self-contained HTML page about one or several runs: no request, no script, nothing beside the file."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from hyperprompt.durable import atomic_write
from hyperprompt.errors import InvalidValue, MissingDependency, RunFolderError
from hyperprompt.evaluation import comparison, plots
from hyperprompt.evaluation.comparison import Run, number

OPEN_AT_FIRST = 2
"""Runs whose distributions are unfolded when the page opens; the others are one click away."""


def report(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Compare the runs in `folders` and write the page; returns the file.

    Runs are compared within one environment, algorithm and budget. Unfinished runs, and runs without decisions, are shown and
    left out of the verdict. `out` is a file, or a folder that gets `report.html`. No folder is changed.

    Raises:
        MissingDependency: matplotlib or jinja2 is not installed.
        InvalidValue: no folder is given.
        RunFolderError: one of them is not a run folder or is damaged, or `out` cannot be written.
    """
    if not folders:
        raise InvalidValue("a report needs at least one run folder")
    runs = [comparison.load(Path(folder)) for folder in dict.fromkeys(Path(f) for f in folders)]
    out = Path(out)
    path = out / "report.html" if out.is_dir() or not out.suffix else out
    tasks = [_task(key, members) for key, members in comparison.grouped(runs).items()]
    html = page("report_template.html", tasks=tasks, title=_title(runs), settings=[_settings(run) for run in runs])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error
    atomic_write(path, html)
    return path


def page(template: str, **content: Any) -> str:
    """A template of this package filled in.

    Raises:
        MissingDependency: matplotlib or jinja2 is not installed.
    """
    try:
        import jinja2
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependency("the report", "report") from error
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: files("hyperprompt.evaluation").joinpath(name).read_text()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def _title(runs: Sequence[Run]) -> str:
    controllers, envs = (list(dict.fromkeys(names)) for names in ([r.controller for r in runs], [r.env for r in runs]))
    return f"{' v '.join(controllers)} on {', '.join(envs)}"


def picture(svg: str | None) -> str | None:
    """A data address: inside an image no markup of a name can act on the page, and no identifiers can clash."""
    return None if svg is None else "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _task(key: tuple[str, str, float], runs: list[Run]) -> dict[str, Any]:
    task, algorithm, total_steps = key
    controllers = comparison.by_controller(runs)
    names = comparison.hyperparameters(runs)
    steered = [run for run in runs if any(run.decisions[i].probabilities for i in range(len(run.decisions)))]
    return {
        "heading": " · ".join(part for part in (task, algorithm.upper(), f"{number(total_steps)} environment steps") if part),
        "runs_line": ", ".join(f"{c} ({_plural(len(members), 'run')})" for c, members in controllers.items()),
        "verdict": comparison.verdict(runs),
        "rows": [_row(run) for run in runs],
        "curves": picture(plots.learning_curves(runs)),
        "curves_narrow": picture(plots.learning_curves(runs, plots.NARROW)),
        "legend": [(c, picture(plots.swatch(plots.styles(list(controllers))[c]))) for c in controllers],
        "means": len(controllers) > plots.FEW,
        "thetas": [(name, picture(plots.theta(runs, name))) for name in names],
        "seconds": picture(plots.adapt_seconds(runs)),
        "distributions": [
            {
                "run": f"{run.controller}, seed {run.seed}",
                "open": i < OPEN_AT_FIRST,
                "figures": [(name, picture(plots.distribution(run, name))) for name in names],
            }
            for i, run in enumerate(steered)
        ],
        "rejections": [_rejections(run) for run in runs if run.count("rejected")],
    }


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _small(value: float) -> str:
    """Below a hundredth the digits of a time or a share are noise."""
    return "< 0.01" if 0 < value < 0.01 else number(value)


def _row(run: Run) -> dict[str, str]:
    share = run.adapt_share
    return {
        "controller": run.controller,
        "seed": run.seed,
        "steps": number(run.steps) + ("" if run.finished else " (unfinished)"),
        "auc": number(run.auc),
        "final": number(run.final_return),
        "wall": number(run.wall_seconds),
        "adapt": _small(run.adapt_seconds) + (f" ({_small(100 * share)}%)" if math.isfinite(share) else ""),
        "updates": number(run.updates),
        "decisions": str(len(run.decisions)),
        "clamped": str(run.count("clamped")),
        "rejected": str(run.count("rejected")),
    }


def _rejections(run: Run) -> tuple[str, list[tuple[str, int]]]:
    reasons: dict[str, int] = {}
    for decision in run.decisions:
        if decision.status == "rejected":
            reasons[decision.reason or "no reason given"] = reasons.get(decision.reason or "no reason given", 0) + 1
    return f"{run.controller}, seed {run.seed}", sorted(reasons.items(), key=lambda item: -item[1])


def _settings(run: Run) -> dict[str, str]:
    return {
        "run": f"{run.controller}, seed {run.seed}, {run.env}",
        "folder": run.path.name,
        "config": yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
        "versions": ", ".join(f"{name} {version}" for name, version in run.versions.items()),
    }
