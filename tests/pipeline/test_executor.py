"""Plans, and processes of this machine that carry their runs out."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperprompt.config import parse
from hyperprompt.core import Interval
from hyperprompt.meta.live import LiveRun
from hyperprompt.pipeline import results, worker
from hyperprompt.pipeline.executor import Job, Plan, Processes, drive, walk

CONFIG: dict[str, Any] = {"env": "CartPole-v1", "controller": "static", "steps": 64, "n_envs": 1, "agent": {"n_steps": 32}}


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


def test_a_walk_goes_as_far_as_runs_have_ended_and_begins_none(tmp_path: Path) -> None:
    first = walk(chain(tmp_path, ["a", "b"]), {})
    assert (first.ended, first.whole, first.outcome) == ((), False, None)
    failures = {job(tmp_path, "a").record: {"error": "it broke"}}
    half = walk(chain(tmp_path, ["a", "b"]), failures)
    assert [(one.label, record) for one, record in half.ended] == [("a", {"error": "it broke"})]
    assert not half.whole
    drive([batch(tmp_path, ["x", "z"])], Pretend(), 2, {})
    part = walk(batch(tmp_path, ["x", "y", "z"]), {})
    assert ([one.label for one, _ in part.ended], part.whole) == (["x", "z"], False)
    whole = walk(batch(tmp_path, ["z", "x"]), {})
    assert (whole.whole, whole.outcome) == (True, ["z", "x"])


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
    failures = {job(tmp_path, "be").record: job(tmp_path, "be").failure("it broke before")}
    executor = Pretend()
    assert drive([chain(tmp_path, ["a", "b", "c"])], executor, 1, failures) == [["earlier", "it broke before", "ce"]]
    assert executor.begun == ["ce"]


def test_a_failure_reaches_plan_and_listener(tmp_path: Path) -> None:
    failures: dict[Path, results.Record] = {}
    heard: list[tuple[str, str | None]] = []

    def listen(job: Job, record: results.Record) -> None:
        heard.append((job.label, record.get("error")))

    assert drive([chain(tmp_path, ["a", "b"])], Pretend("a"), 1, failures, listen) == [["it broke", "bi"]]
    assert heard == [("a", "it broke"), ("bi", None)]
    assert failures == {job(tmp_path, "a").record: job(tmp_path, "a").failure("it broke")}


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


CONTROLLERS = """
import os
import time

from hyperprompt.core import MetaAction

class Hangs:
    name = "hangs"

    def decide(self, states):
        time.sleep(3600)

class Dies:
    name = "dies"

    def decide(self, states):
        if states[0].index == 2:
            os._exit(9)
        return [MetaAction()]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of controllers that a worker can import."""
    (tmp_path / "broken_controllers.py").write_text(CONTROLLERS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.usefixtures("own")
def test_a_run_that_hangs_is_ended_at_its_time_limit_and_the_rest_goes_on(tmp_path: Path) -> None:
    hangs = replace(job(tmp_path, "hangs"), config=parse({**CONFIG, "controller": "broken_controllers:Hangs"}), time_limit=1.0)
    failures: dict[Path, results.Record] = {}

    def plan() -> Plan[list[str]]:
        records = yield [hangs, job(tmp_path, "works")]
        return [record.get("error", "finished") for record in records]

    with Processes() as processes:
        ((error, finished),) = drive([plan()], processes, 2, failures)
        assert not processes._running
    assert error.splitlines()[-1] == "ended after 1 s a run, the time limit"
    assert finished == "finished"
    assert list(failures) == [hangs.record]


@pytest.mark.usefixtures("own")
def test_a_run_that_dies_is_charged_the_steps_of_its_intervals(tmp_path: Path) -> None:
    config = parse({**CONFIG, "steps": 128, "every": 32, "controller": "broken_controllers:Dies"})
    dies = replace(job(tmp_path, "dies"), config=config)
    with Processes() as processes:
        error = processes.submit(dies).result()
    assert error.splitlines()[-1] == "the run's process ended with code 9 and wrote no record"
    record = dies.failure(error)
    assert record["steps"] in (32, 64), "the interval that ended in its death may have reached the disk"
    assert "members" not in record


def test_a_population_that_fails_is_charged_the_steps_of_all_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse({**CONFIG, "steps": 128, "every": 32})
    fails = replace(job(tmp_path, "fails"), config=config, population={"size": 2})
    advance = LiveRun.advance

    def broken(run: LiveRun, steps: int | None = None) -> Interval:
        if run.step == 64:
            raise RuntimeError("out of luck")
        return advance(run, steps)

    monkeypatch.setattr(LiveRun, "advance", broken)
    with pytest.raises(RuntimeError, match="out of luck"):
        worker.run(fails.to_dict())
    record = fails.failure("out of luck")
    assert (record["steps"], record["members"]) == (2 * 64, 2)
    monkeypatch.undo()
    worker.run(fails.to_dict())
    assert results.read(fails.record)["result"]["steps"] == 2 * 128, "a second try begins afresh"
