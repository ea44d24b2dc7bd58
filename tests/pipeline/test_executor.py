"""Plans, and processes of this machine that carry their runs out."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from hyperprompt.config import parse
from hyperprompt.pipeline import results
from hyperprompt.pipeline.executor import Job, Plan, Processes, drive

CONFIG = {"env": "CartPole-v1", "controller": "static", "steps": 64, "n_envs": 1, "agent": {"n_steps": 32}}


def job(folder: Path, name: str) -> Job:
    return Job(name, "CartPole-v1", parse(CONFIG), folder / "runs" / name, folder / "records" / f"{name}.json")


class Pretend:
    """Writes records without training; the run called `broken` fails."""

    def __init__(self, broken: str = "") -> None:
        self.begun: list[str] = []
        self.broken = broken

    def submit(self, job: Job) -> Future[str]:
        future: Future[str] = Future()
        self.begun.append(job.label)
        if job.label != self.broken:
            results.write(job.record, {"label": job.label})
        future.set_result("it broke" if job.label == self.broken else "")
        return future


def chain(folder: Path, names: list[str]) -> Plan[list[str]]:
    """One run after the other, each chosen by what the last one came to."""
    heard: list[str] = []
    for name in names:
        (record,) = yield [job(folder, name + "".join(heard)[:1])]
        heard.append(record.get("label", record.get("error")))
    return heard


def batch(folder: Path, names: list[str]) -> Plan[list[str]]:
    records = yield [job(folder, name) for name in names]
    return [record["label"] for record in records]


def test_plans_get_the_records_they_asked_for_in_order(tmp_path: Path) -> None:
    executor = Pretend()
    got = drive([chain(tmp_path, ["a", "b"]), batch(tmp_path, ["x", "y", "z"])], executor, 2, {})
    assert got == [["a", "ba"], ["x", "y", "z"]]
    assert executor.begun == ["a", "x", "ba", "y", "z"], "earlier plans go first"


def test_a_run_that_two_plans_ask_for_is_carried_out_once(tmp_path: Path) -> None:
    executor = Pretend()
    assert drive([batch(tmp_path, ["x", "y"]), batch(tmp_path, ["y", "z"])], executor, 8, {}) == [["x", "y"], ["y", "z"]]
    assert sorted(executor.begun) == ["x", "y", "z"]


def test_finished_and_failed_runs_are_not_carried_out(tmp_path: Path) -> None:
    results.write(job(tmp_path, "a").record, {"label": "earlier"})
    failures = {job(tmp_path, "be").record: "it broke before"}
    executor = Pretend()
    assert drive([chain(tmp_path, ["a", "b", "c"])], executor, 1, failures) == [["earlier", "it broke before", "ce"]]
    assert executor.begun == ["ce"]


def test_a_failure_reaches_plan_and_listener(tmp_path: Path) -> None:
    failures: dict[Path, str] = {}
    heard: list[tuple[str, str]] = []
    got = drive([chain(tmp_path, ["a", "b"])], Pretend("a"), 1, failures, lambda job, error: heard.append((job.label, error)))
    assert got == [["it broke", "bi"]]
    assert heard == [("a", "it broke"), ("bi", "")]
    assert failures == {job(tmp_path, "a").record: "it broke"}


def test_a_plan_without_runs_ends(tmp_path: Path) -> None:
    assert drive([chain(tmp_path, [])], Pretend(), 1, {}) == [[]]


@pytest.mark.parametrize(("change", "says"), [({}, ""), ({"env": "CartPol-v1"}, "CartPole-v1")], ids=["works", "refused"])
def test_a_process(change: dict[str, str], says: str, tmp_path: Path) -> None:
    order = Job("run", "task", parse({**CONFIG, **change}), tmp_path / "run", tmp_path / "record.json")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("left by an interrupted try")
    with Processes() as processes:
        error = processes.submit(order).result()
    assert says in error
    assert bool(error) == bool(says)
    assert "Traceback" not in error
    assert order.record.exists() == (not says)
