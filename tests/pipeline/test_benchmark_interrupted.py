"""A benchmark interrupted at 20 random runs, with made-up records in place of training: nothing is lost, repeated or changed.

test_benchmark_killed does the same with real runs in processes and SIGKILL.
"""

from __future__ import annotations

import random
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml

from hyperprompt.pipeline import benchmark, results
from hyperprompt.pipeline import suite as suites
from hyperprompt.pipeline.executor import Job
from hyperprompt.pipeline.suite import Suite

SUITE = {
    "tasks": [{"env": "CartPole-v1", "steps": 1000}, {"env": "Catch-v0", "steps": 1000}],
    "methods": {
        "static": {"controller": "static"},
        "noise": {"controller": "random"},
        "search": {"tuner": "random", "trials": 6},
    },
    "seeds": 4,
    "tuning_seeds": 2,
    "target": {"seeds": 2},
    "resamples": 100,
    "jobs": 3,
}
MOST = 2 * (4 + 4 + 2 * 6 + 4 + 2)
"""Runs, if no search ends with the settings it began with: those are the baseline's own runs, and shared."""


class Interrupted(Exception):
    pass


class Pretend:
    """Runs whose records follow from their keys alone; after `lives` of them it leaves a torn run behind and dies."""

    def __init__(self, lives: int = MOST) -> None:
        self.done: list[str] = []
        self.lives = lives

    def submit(self, job: Job) -> Future[str]:
        if len(self.done) == self.lives:
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / "config.yaml").write_text("torn")
            (job.record.parent / f".{job.record.name}.1.tmp").write_text('{"task"')
            raise Interrupted
        self.done.append(job.record.name)
        rng = random.Random(job.record.stem)
        steps = [100.0 * i for i in range(1, 11)]
        returns = [i * rng.uniform(0.5, 1.5) for i in range(10)]
        result = {"auc": sum(returns) / 10, "final_return": returns[-1], "steps": 1000, "wall_seconds": 1.0}
        record = {
            "task": job.config.env,
            "seed": job.config.seed,
            "result": {**result, "adapt_seconds": 0.0, "gradient_updates": 1},
            "curve": {"step": steps, "return_mean": returns},
            "config": job.config.model_dump(mode="json"),
            "versions": {},
        }
        results.write(job.record, record)
        future: Future[str] = Future()
        future.set_result("")
        return future


def suite(folder: Path, out: str) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    return suites.load(path).model_copy(update={"out": folder / out})


def table(done: benchmark.Benchmark) -> bytes:
    return benchmark.report(done, "hyperprompt benchmark suite.yaml")[0].read_bytes()


def test_twenty_interruptions_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = Pretend()
    expected = table(benchmark.run(suite(tmp_path, "undisturbed"), executor=undisturbed))
    assert len(undisturbed.done) == len(set(undisturbed.done)) <= MOST
    monkeypatch.setattr(benchmark.methods, "check", lambda suite: None)  # the same every time
    rng = random.Random(0)
    done: list[str] = []
    for _ in range(20):
        executor = Pretend(rng.randrange(4))
        with pytest.raises(Interrupted):
            benchmark.run(suite(tmp_path, "interrupted"), executor=executor)
        done += executor.done
    executor = Pretend()
    finished = benchmark.run(suite(tmp_path, "interrupted"), executor=executor)
    done += executor.done
    assert sorted(done) == sorted(undisturbed.done), "every run once, the interrupted ones afresh"
    assert table(finished) == expected
    assert not list((tmp_path / "interrupted" / "records").glob(".*"))
