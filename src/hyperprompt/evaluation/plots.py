"""The report's figures as SVG text. Matplotlib is imported when a figure is drawn; no pyplot, so no global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from hyperprompt.core import STEPS
from hyperprompt.errors import MissingDependency
from hyperprompt.evaluation.comparison import Run, by_controller, mean_theta, scale_of

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#B8860B", "#56B4E9")
"""Okabe and Ito's palette (two of them darker, for thin lines), told apart with any common colour blindness."""
STATIC_COLOUR = "#4D4D4D"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
WIDE, NARROW = (8.2, 3.7), (5.2, 3.2)
"""Figure sizes in inches, at 96 pixels of the page an inch."""
FEW = 4
"""Controllers whose single seeds one figure has room for."""
MARKS = {"applied": ("o", 22.0), "kept": (".", 9.0), "clamped": ("^", 28.0), "rejected": ("x", 26.0)}
_FACTORS = ("1/4", "1/2", "1/√2", "keep", "√2", "2", "4")
_TENTHS = ("-2/10", "-1/10", "-1/20", "keep", "+1/20", "+1/10", "+2/10")
_STEP_UNITS = {"linear": "part of the range", "one_minus_log": "factor on the horizon"}


def styles(controllers: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """(colour, dashes) by controller, no pair twice among 24 of them; static is always the grey solid line."""
    others = [c for c in controllers if c != "static"]
    found = {c: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]) for i, c in enumerate(others)}
    return {"static": (STATIC_COLOUR, "-"), **found}


def swatch(style: tuple[str, Any]) -> str:
    """A piece of line in one of `styles`, for the legend of several figures."""
    colour, dashes = style
    pattern = "none" if dashes == "-" else " ".join(f"{2 * part:g}" for part in dashes[1])  # they are in line widths
    line = f'<path d="M0 3H44" stroke="{colour}" stroke-width="2" stroke-dasharray="{pattern}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 6">{line}</svg>'


def safe(text: str, limit: int = 40) -> str:
    """`text` as matplotlib can draw it: no mathematics, no control characters, not too long."""
    text = "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return f" {text}" if text.startswith("_") else text


def _steps_label(value: float, _: int) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("the report", "report") from error
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # Text stays text, so that the browser draws it with its own font; fixed salt and no date: same runs, same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hyperprompt"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _steps_axis(axes: Any, runs: Sequence[Run]) -> None:
    end = max([run.steps for run in runs] + [1.0])
    axes.set_xlim(-0.01 * end, 1.01 * end)
    axes.xaxis.set_major_formatter(_steps_label)
    axes.set_xlabel("environment steps")


def learning_curves(runs: Sequence[Run], size: tuple[float, float] = WIDE, controllers: Sequence[str] | None = None) -> str:
    """Mean return over environment steps; with several seeds their mean, and of FEW controllers the seeds as thin lines and
    min to max as a band.

    `controllers` fixes the colours where a page has several figures; by default those of `runs`, in their order.
    """
    figure, axes = _figure(size)
    groups = by_controller(runs)
    for controller, (colour, dashes) in styles(controllers or list(groups)).items():
        curves = [run.curve for run in groups.get(controller, []) if run.curve[0].size]
        if not curves:
            continue
        label = safe(controller, 28) + (f" (mean of {len(curves)})" if len(curves) > 1 else "")
        if len(curves) == 1:
            axes.plot(*curves[0], color=colour, linestyle=dashes, linewidth=1.8, label=label)
            continue
        start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        grid = np.unique(np.concatenate([x[(x >= start) & (x <= end)] for x, _ in curves]))
        rows = np.stack([np.interp(grid, x, y) for x, y in curves])  # (seeds, points)
        if len(groups) <= FEW:
            axes.fill_between(grid, rows.min(axis=0), rows.max(axis=0), color=colour, alpha=0.15, linewidth=0)
            for x, y in curves:
                axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.55)
        axes.plot(grid, rows.mean(axis=0), color=colour, linestyle=dashes, linewidth=2.0, label=label)
    _steps_axis(axes, runs)
    axes.set_ylabel("mean return of the interval")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=3 if size == WIDE else 2, frameon=False, fontsize=9)
    else:
        axes.text(0.5, 0.5, "no episode has ended yet", ha="center", va="center", transform=axes.transAxes)
    return _svg(figure)


def _theta_scale(axes: Any, name: str, algorithm: str, values: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = np.asarray([v for v in values if np.isfinite(v)])
    if scale_of(name, algorithm) not in ("log", "integer") or not np.any(known > 0):
        middle, half = (known.max() + known.min()) / 2, (known.max() - known.min()) / 2
        half = max(half * 1.15, abs(middle) * 0.02, 1e-6)
        axes.set_ylim(middle - half, middle + half)
        return
    low, high = known[known > 0].min(), known.max()
    pad = max((high / low) ** 0.08, 2.0 if high < 2 * low else 1.0)
    if np.any(known <= 0):  # an entropy bonus of 0 has no place on a logarithm: a linear stretch holds it
        axes.set_yscale("symlog", linthresh=low, linscale=0.4)
        axes.set_ylim(-0.15 * low, high * pad)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low / pad, high * pad)
        subs = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if high / low < 6 else (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def theta(runs: Sequence[Run], name: str, controllers: Sequence[str] | None = None) -> str | None:
    """One hyperparameter over environment steps: a line a run, or of more than FEW controllers their means. None: no values.

    A line that is a single run's has its decisions marked by what became of them. `controllers` as for `learning_curves`.
    """
    figure, axes = _figure(NARROW)
    groups, drawn = by_controller(runs), list[float]()
    for controller, (colour, dashes) in styles(controllers or list(groups)).items():
        members = groups.get(controller, [])
        for line in [[run] for run in members] if len(groups) <= FEW else [members]:
            steps, values = mean_theta(line, name)
            drawn += values
            axes.plot(steps, values, color=colour, linestyle=dashes, linewidth=1.3, alpha=0.8, drawstyle="steps-post")
            if len(line) == 1:
                _mark(axes, line[0], name, colour)
    if not any(np.isfinite(drawn)):
        return None
    _theta_scale(axes, name, runs[0].algorithm, drawn)
    _steps_axis(axes, runs)
    kind = scale_of(name, runs[0].algorithm)
    axes.set_title(safe(name), loc="left", fontsize=10.5, fontweight="bold")
    axes.set_ylabel(f"value ({'log' if kind in ('log', 'integer') else 'linear'} axis)")
    return _svg(figure)


def _mark(axes: Any, run: Run, name: str, colour: str) -> None:
    for status, (marker, area) in MARKS.items():
        at = [d for d in run.decisions if _fate(d, name) == status and name in d.theta_after]
        where = ([d.step for d in at], [d.theta_after[name] for d in at])
        face = {} if marker == "x" else {"edgecolors": "white" if marker == "o" else colour, "linewidths": 0.6}
        axes.scatter(*where, s=area, marker=marker, color=colour, zorder=3, **face)


def _fate(decision: Any, name: str) -> str:
    """What became of this hyperparameter's step: a decision that moves one leaves the others kept."""
    if decision.status == "rejected" or not decision.delta.get(name):
        return "rejected" if decision.status == "rejected" else "kept"
    return "clamped" if decision.status == "clamped" and name in decision.reason.replace(",", " ").split() else "applied"


def distribution(run: Run, name: str) -> str | None:
    """Heat map decisions x seven steps of the probabilities behind one hyperparameter; a dot on the step asked for.

    None for a controller that reports no distribution.
    """
    made = [(i, d) for i, d in enumerate(run.decisions) if len(d.probabilities.get(name, ())) == len(STEPS)]
    if not made:
        return None
    figure, axes = _figure((NARROW[0], 2.7))
    cells = np.full((len(STEPS), len(run.decisions)), np.nan)
    for i, decision in made:
        cells[:, i] = decision.probabilities[name]
    mesh = axes.pcolormesh(np.arange(-0.5, cells.shape[1]), np.arange(-0.5, len(STEPS)), cells, cmap="Blues", vmin=0, vmax=1)
    asked = [(i, float(np.interp(d.delta[name], STEPS, range(len(STEPS))))) for i, d in made if name in d.delta]
    axes.scatter([i for i, _ in asked], [y for _, y in asked], s=11, color="#D55E00", edgecolors="white", linewidths=0.5)
    kind = scale_of(name, run.algorithm)
    axes.set_yticks(range(len(STEPS)), _TENTHS if kind == "linear" else _FACTORS)
    axes.set_ylabel(_STEP_UNITS.get(kind, "factor"))
    axes.grid(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("decision")
    axes.set_title(safe(name), loc="left", fontsize=10.5, fontweight="bold")
    figure.colorbar(mesh, ax=axes, label="probability", ticks=[0, 0.5, 1], pad=0.01, aspect=14)
    return _svg(figure)


def adapt_seconds(runs: Sequence[Run]) -> str | None:
    """Seconds each decision took, over environment steps. None if none took a millisecond."""
    figure, axes = _figure((NARROW[0], 3.5))
    groups, drawn = by_controller(runs), list[float]()
    for controller, (colour, dashes) in styles(list(groups)).items():
        for i, run in enumerate(groups.get(controller, [])):
            timed = [(d.step, d.seconds) for d in run.decisions if d.seconds > 0]
            if timed:
                drawn += [seconds for _, seconds in timed]
                label = safe(controller, 28) if i == 0 else "_"
                axes.plot(*zip(*timed, strict=True), color=colour, linestyle=dashes, lw=0.9, marker=".", ms=4, label=label)
    if not drawn or max(drawn) < 1e-3:
        return None
    wide = max(drawn) > 20 * min(drawn)
    axes.set_yscale("log") if wide else axes.set_ylim(0, 1.1 * max(drawn))
    _steps_axis(axes, runs)
    axes.set_ylabel("seconds a decision" + (" (log axis)" if wide else ""))
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return _svg(figure)


def intervals(
    rows: Sequence[tuple[str, Any, int]], label: str, line: float, controllers: Sequence[str], log: bool = False
) -> str | None:
    """A bar for each (name, Estimate, tasks) from `line`, the baseline's own value, with its interval. None: nothing is known.

    `controllers` as for `learning_curves`.
    """
    known = [row for row in rows if np.isfinite(row[1].value)]
    if not known:
        return None
    figure, axes = _figure((NARROW[0], 1.1 + 0.36 * len(known)))
    for i, (name, estimate, _) in enumerate(known):
        colour = styles(controllers)[name][0]
        axes.barh(i, estimate.value - line, left=line, height=0.55, color=colour, alpha=0.75)
        if np.isfinite(estimate.low):
            axes.plot([estimate.low, estimate.high], [i, i], color="#1b1b1b", linewidth=1.4, marker="|", markersize=7)
    axes.axvline(line, color="#1b1b1b", linewidth=0.9)
    if log:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0), numticks=12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(known)), [f"{safe(name, 24)} ({tasks})" for name, _, tasks in known])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel(label)
    return _svg(figure)
