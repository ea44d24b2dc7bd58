"""A benchmark killed with SIGKILL at 20 random moments: no finished run is lost or repeated, and the table is the same."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from hyperprompt.pipeline import benchmark, results
from hyperprompt.pipeline import suite as suites

SUITE: dict[str, Any] = {
    "tasks": [{"env": "CartPole-v1", "steps": 256}],
    "methods": {
        "static": {"controller": "static"},
        "search": {"tuner": "random", "trials": 3},
        "pbt": {"population": 2},
    },
    "seeds": 2,
    "target": {"seeds": 2},
    "set": {"n_envs": 1, "agent.n_steps": 64},
    "resamples": 100,
    "jobs": 2,
}
KILLS = 20
JUST_AFTER = 0.2
"""Seconds after an event in which half of the kills strike: while a record is written, or heard of."""

Stamps = dict[str, tuple[int, int]]


def start(suite: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hyperprompt", "benchmark", str(suite), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    said = process.communicate()[1]
    assert process.returncode == 0, said.decode()


def wait(process: subprocess.Popen[bytes], until: Callable[[], bool]) -> None:
    while process.poll() is None and not until():
        time.sleep(0.01)


def records(out: Path) -> Stamps:
    """Finished runs, and what changes when one is written again."""
    found = {path.name: path.stat() for path in (out / "records").glob("*.json")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def contents(out: Path) -> dict[str, results.Record]:
    """What the records say, times and versions aside: packages may be installed while the test runs."""
    found = {}
    for path in (out / "records").glob("*.json"):
        record = results.read(path)
        record["result"] = {key: value for key, value in record["result"].items() if "seconds" not in key}
        del record["versions"]
        found[path.name] = record
    return found


def without_times(markdown: str) -> list[list[str]]:
    """The tables' cells, those of columns named after seconds left out."""
    rows: list[list[str]] = []
    hidden: set[int] = set()
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| method"):
            hidden = {i for i, cell in enumerate(cells) if "seconds" in cell}
        if line.startswith("|"):
            rows.append([cell for i, cell in enumerate(cells) if i not in hidden])
    return rows


@pytest.mark.very_slow
def test_a_killed_benchmark_loses_and_repeats_nothing(tmp_path: Path) -> None:
    suite, undisturbed, killed = tmp_path / "suite.yaml", tmp_path / "undisturbed", tmp_path / "killed"
    suite.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    begun = time.monotonic()
    process = start(suite, undisturbed)
    wait(process, lambda: bool(records(undisturbed)))
    first_record = time.monotonic() - begun
    finish(process)
    runs = len(records(undisturbed))

    rng = random.Random(0)
    kills = 0
    kept: Stamps = {}
    while kills < KILLS:
        # The next share of the runs is let through, so that kills spread over all of them; a process that has it already
        # is killed while it starts, or in its first runs.
        share = runs * kills // KILLS
        delay = rng.uniform(0, rng.choice((JUST_AFTER, first_record)))
        process = start(suite, killed)
        wait(process, lambda share=share: len(records(killed)) >= share)
        strikes, most = time.monotonic() + delay, len(records(killed)) + 1
        # Not by the clock alone: on a machine that has become faster the rest would be done before a late kill strikes.
        wait(process, lambda strikes=strikes, most=most: time.monotonic() >= strikes or len(records(killed)) > most)
        if process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
            print(f"kill {kills}: {len(records(killed))} of {runs} runs finished, {delay:.2f} s after {share}")
        else:
            finish(process)
        found = records(killed)
        assert kept.items() <= found.items(), "a finished run was lost or repeated"
        assert not list((killed / "failures").glob("*")), "a kill is no failure"
        kept = found
    finish(start(suite, killed))
    assert kept.items() <= records(killed).items()
    assert contents(killed) == contents(undisturbed)
    tables = [without_times((out / "table.md").read_text()) for out in (killed, undisturbed)]
    assert tables[0] == tables[1]


@pytest.mark.very_slow
def test_the_workers_end_with_a_killed_benchmark(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({**SUITE, "tasks": [{"env": "CartPole-v1", "steps": 1_000_000}]}, sort_keys=False))
    process = start(suite, tmp_path / "out")
    wait(process, lambda: len(psutil.Process(process.pid).children()) == 2)
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert len(workers) == 2
    assert not alive
    done = benchmark.outlook(suites.load(suite).model_copy(update={"out": tmp_path / "out"})).done
    assert done == 0
