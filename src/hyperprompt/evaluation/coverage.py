"""How often the nominal 95% interval holds the truth at the numbers of tasks and seeds used, measured by simulation.

Synthetic tasks differ in level and in spread, as tasks do: means from 0.2 to 1.2, standard deviations from 0.1 to 0.4. The
noise over seeds has mean 0 and variance 1 and is normal; skewed (exponential); or failing, where a quarter of the seeds end
far below the others. Two methods differ by 0.1 everywhere. The truth is the aggregate over QUANTILES quantiles of every task's
distribution: at few seeds some aggregates are biased, which costs coverage as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
import typer

from hyperprompt.durable import atomic_write, to_json
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.evaluation import statistics
from hyperprompt.evaluation.censoring import Spending, censored, step_ratio
from hyperprompt.evaluation.statistics import Aggregate, Array, bootstrap

ADVANTAGE = 0.1
QUANTILES = 1000
CENSORED_AT = 1.5
"""T of the synthetic steps to a target, whose medians are 0.7 to 1.3 over tasks: about a quarter of the runs is censored."""
FAILING = 0.25
MIXED = (10, 10, 10, 10, 5, 5, 3, 3)
SIZES = (*((seeds,) * tasks for tasks in (8, 3, 2, 1) for seeds in (10, 5, 3, 2)), (3,) * 5, MIXED)
UNEVEN = ((3, 10), (3, 5), (5, 10))
"""Seeds of two methods on one task, which miss failing seeds unequally often: what is decided of their difference."""
DECIDES = "difference of means"
"""The statistic of wins and losses; on one task it is measured with as many simulations as `CLOSELY`."""
CLOSELY = 2000
NOMINAL = 0.95
"""Confidence of the intervals simulated."""
RECORDED = Path(__file__).with_name("coverage.json")


def _normal(u: Array) -> Array:
    return np.array([NormalDist().inv_cdf(p) for p in u])


def _skewed(u: Array) -> Array:
    return -np.log1p(-u) - 1.0


def _failing(u: Array) -> Array:
    """-sqrt((1 - p) / p) with probability p = FAILING, else sqrt(p / (1 - p)): two points, blurred by a tenth."""
    fails = u < FAILING
    within = np.where(fails, u / FAILING, (u - FAILING) / (1.0 - FAILING))
    blur = 0.1 * _normal(np.clip(within, 1e-12, 1 - 1e-12))
    return np.where(fails, -math.sqrt(1 / FAILING - 1), math.sqrt(FAILING / (1 - FAILING))) * math.sqrt(0.99) + blur


NOISES: Mapping[str, Callable[[Array], Array]] = {"normal": _normal, "skewed": _skewed, "failing": _failing}


@dataclass(frozen=True)
class Statistic:
    aggregate: Aggregate
    methods: int
    steps: bool = False
    """Whether its samples are censored steps rather than scores."""


STATISTICS: Mapping[str, Statistic] = {
    "iqm": Statistic(statistics.iqm, 1),
    "mean": Statistic(statistics.mean, 1),
    "difference of iqm": Statistic(statistics.difference(statistics.iqm), 2),
    "difference of means": Statistic(statistics.difference(statistics.mean), 2),
    "probability of improvement": Statistic(statistics.probability_of_improvement, 2),
    "step ratio": Statistic(step_ratio, 2, steps=True),
}


@dataclass(frozen=True)
class Coverage:
    """Share of the simulations whose interval held the truth, the standard error of that share, the mean width."""

    share: float
    error: float
    width: float
    simulations: int

    def __str__(self) -> str:
        return f"{self.share:.3f} +- {self.error:.3f}"


def _method(statistic: Statistic, noise: str, advantage: float, draws: Sequence[Array]) -> dict[str, Array]:
    """One method's sample on every task from uniform numbers: scores (n,), or censored steps (2, n)."""
    result = {}
    for i, u in enumerate(draws):
        place = i / max(1, len(draws) - 1)
        spread = 0.1 + 0.3 * ((3 * i) % len(draws)) / max(1, len(draws) - 1)
        x = NOISES[noise](u)
        if statistic.steps:
            steps = (0.7 + 0.6 * place) * np.exp(-advantage - (spread + 0.2) * x)
            result[f"{i:03}"] = censored(steps, CENSORED_AT)
        else:
            result[f"{i:03}"] = 0.2 + place + advantage + spread * x
    return result


def coverage(
    statistic: str,
    seeds: Sequence[int],
    noise: str = "normal",
    *,
    against: Sequence[int] | None = None,
    seed: int = 0,
    simulations: int = 300,
    replicates: int = 1000,
    corrected: bool = True,
) -> Coverage:
    """Coverage of `bootstrap`'s 95% interval of a statistic with seeds[i] runs on task i, for each of the methods; the second
    has `against`[i] where that is given.

    Raises:
        UnknownName: the statistic or the noise is not among STATISTICS and NOISES.
        InvalidValue: a task with fewer than 2 seeds, or no task, or no simulation.
    """
    if statistic not in STATISTICS:
        raise UnknownName("statistic", statistic, STATISTICS)
    if noise not in NOISES:
        raise UnknownName("noise", noise, NOISES)
    if min(seeds, default=0) < 2 or simulations < 1:
        raise InvalidValue(f"coverage needs tasks of at least 2 seeds and a simulation, not {list(seeds)} and {simulations}")
    what = STATISTICS[statistic]
    spending = {f"{i:03}": Spending(CENSORED_AT) for i in range(len(seeds))}
    options: dict[str, Any] = {"ours": spending, "theirs": spending} if what.steps else {}
    advantages = (ADVANTAGE, 0.0)[: what.methods]
    grid = [(np.arange(QUANTILES) + 0.5) / QUANTILES] * len(seeds)
    truth = float(what.aggregate(*(_method(what, noise, a, grid) for a in advantages), **options))
    rng = np.random.default_rng(seed)
    held, widths = [], []
    for i in range(simulations):
        samples = [
            _method(what, noise, a, [rng.random(n) for n in counts])
            for a, counts in zip(advantages, (seeds, against or seeds), strict=False)
        ]
        found = bootstrap(
            what.aggregate, *samples, seed=i, replicates=replicates, confidence=NOMINAL, corrected=corrected, **options
        )
        held.append(found.low <= truth <= found.high)
        widths.append(found.high - found.low)
    share = float(np.mean(held))
    return Coverage(share, math.sqrt(share * (1 - share) / simulations), float(np.mean(widths)), simulations)


def size_name(seeds: Sequence[int]) -> str:
    """'8 x 5': tasks by seeds; unequal numbers are listed."""
    return f"{len(seeds)} x {seeds[0]}" if len(set(seeds)) == 1 else ", ".join(map(str, seeds))


def uneven_name(seeds: tuple[int, int]) -> str:
    return f"1 x {seeds[0]} against {seeds[1]}"


def uneven_like(fewer: int, more: int) -> tuple[int, int] | None:
    """The one of UNEVEN with the most seeds, no more than `fewer`, against as many as `more` if it can be; none below 3."""
    near = [pair for pair in UNEVEN if pair[0] <= fewer]
    return max(near, key=lambda pair: (pair[0], pair[1] >= more, -pair[1]), default=None)


@cache
def recorded() -> Mapping[tuple[str, str], tuple[float, float]]:
    """(statistic, `size_name`) -> lowest and highest share over the kinds of noise of the corrected interval, of RECORDED."""
    shares: dict[tuple[str, str], list[float]] = {}
    for cell in json.loads(RECORDED.read_text())["cells"]:
        shares.setdefault((cell["statistic"], cell["size"]), []).append(cell["corrected"]["share"])
    return {key: (min(found), max(found)) for key, found in shares.items()}


def no_larger(seeds: Sequence[int]) -> tuple[int, ...]:
    """The largest of SIZES with no more tasks and no more seeds on any, so that it promises nothing: the nearest would. At
    10, 10, 3, 3, 3 seeds the interval of IQM covers 0.89 to 0.93, at 8 x 3 0.93 to 0.97."""
    even = [size for size in SIZES if len(set(size)) == 1 and len(size) <= len(seeds) and size[0] <= min(seeds)]
    return max(even, key=lambda size: (len(size), size[0]))


def main(
    out: Annotated[Path, typer.Option(help="Figures. Cells that are there already are kept.")] = RECORDED,
    simulations: Annotated[int, typer.Option(help="Per cell.")] = 300,
    closely: Annotated[int, typer.Option(help="Per cell of what decides wins and losses on one task.")] = CLOSELY,
) -> None:
    """Measure the coverage of every statistic at SIZES, with and without the small-sample corrections."""
    known = {_key(cell): cell for cell in json.loads(out.read_text())["cells"]} if out.exists() else {}
    asked: list[tuple[str, Sequence[int], Sequence[int] | None, str]]
    asked = [(s, n, None, size_name(n)) for s in STATISTICS for n in SIZES]
    asked += [(DECIDES, pair[:1], pair[1:], uneven_name(pair)) for pair in UNEVEN]
    lines = []
    for statistic, seeds, against, size in asked:
        count = closely if statistic == DECIDES and len(seeds) == 1 else simulations
        for noise in NOISES:
            cell: dict[str, Any] = {"statistic": statistic, "size": size, "noise": noise, "simulations": count}
            if _key(cell) not in known:
                corrected, plain = (
                    coverage(statistic, seeds, noise, against=against, simulations=count, corrected=c) for c in (True, False)
                )
                cell |= {"corrected": _numbers(corrected), "percentile": _numbers(plain)}
                typer.echo(f"{statistic}, {size}, {noise}: {corrected} (plain percentiles {plain})")
            lines.append(to_json(known.get(_key(cell), cell)))
    head = {"command": "python -m hyperprompt.evaluation.coverage", "numpy": np.__version__}
    text = to_json(head).removesuffix("}") + ', "cells": [\n ' + ",\n ".join(lines) + "\n]}\n"
    atomic_write(out, text)


def _key(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return cell["statistic"], cell["size"], cell["noise"], cell["simulations"]


def _numbers(found: Coverage) -> dict[str, float]:
    return {"share": round(found.share, 4), "error": round(found.error, 4), "width": round(found.width, 4)}


if __name__ == "__main__":
    typer.run(main)
