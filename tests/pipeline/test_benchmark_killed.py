"""A benchmark killed with SIGKILL at 20 random moments: no finished run is lost or repeated, and the table is the same."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
import yaml

from hyperprompt.pipeline import benchmark, results
from hyperprompt.pipeline import suite as suites

SUITE = {
    "tasks": [{"env": "CartPole-v1", "steps": 512}],
    "methods": {
        "static": {"controller": "static"},
        "noise": {"controller": "random"},
        "search": {"tuner": "random", "trials": 4},
    },
    "seeds": 3,
    "target": {"seeds": 2},
    "set": {"n_envs": 1, "agent.n_steps": 64},
    "resamples": 100,
    "jobs": 2,
}
KILLS = 20


def start(suite: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hyperprompt", "benchmark", str(suite), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def more_records(out: Path, than: int) -> bool:
    return len(records(out)) > than


def has_children(process: subprocess.Popen[bytes], count: int) -> bool:
    return len(psutil.Process(process.pid).children()) >= count


def wait(process: subprocess.Popen[bytes], until: Callable[[], bool]) -> None:
    while process.poll() is None and not until():
        time.sleep(0.01)


def records(out: Path) -> dict[str, tuple[int, int]]:
    """Finished runs, and what changes when one is written again."""
    found = {path.name: path.stat() for path in (out / "records").glob("*.json")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def contents(out: Path) -> dict[str, results.Record]:
    """What the records say, times and versions aside."""
    found = {}
    for path in (out / "records").glob("*.json"):
        record = results.read(path)
        record["result"] = {key: value for key, value in record["result"].items() if "seconds" not in key}
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
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    rng = random.Random(0)
    kills, round_ = 0, 0
    while kills < KILLS:
        out = tmp_path / str(round_)
        process = start(suite, out)
        before = records(out)
        # Half of the kills strike at any moment once runs have begun, half just after one has finished.
        if rng.random() < 0.5:
            wait(process, partial(more_records, out, len(before)))
            time.sleep(rng.uniform(0, 0.3))
        else:
            wait(process, partial(has_children, process, 1))
            time.sleep(rng.uniform(0, 8))
        if process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0, process.stderr.read() if process.stderr else ""
            round_ += 1
        after = records(out)
        assert all(after[name] == stamp for name, stamp in before.items()), "a finished run was lost or repeated"
        assert not list((out / "failures").glob("*")), "a kill is no failure"
    if records(tmp_path / str(round_)):
        assert start(suite, tmp_path / str(round_)).wait() == 0
        round_ += 1
    undisturbed = tmp_path / "undisturbed"
    assert start(suite, undisturbed).wait() == 0
    for i in range(round_):
        assert contents(tmp_path / str(i)) == contents(undisturbed)
        tables = [without_times((out / "table.md").read_text()) for out in (tmp_path / str(i), undisturbed)]
        assert tables[0] == tables[1]


@pytest.mark.very_slow
def test_the_workers_end_with_a_killed_benchmark(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({**SUITE, "tasks": [{"env": "CartPole-v1", "steps": 1_000_000}]}, sort_keys=False))
    process = start(suite, tmp_path / "out")
    wait(process, partial(has_children, process, 2))
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert len(workers) == 2
    assert not alive
    done = benchmark.outlook(suites.load(suite).model_copy(update={"out": tmp_path / "out"})).done
    assert done == 0
