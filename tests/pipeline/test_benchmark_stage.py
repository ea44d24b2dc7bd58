"""A benchmark end to end on runs of a few hundred steps: nothing repeated, nothing lost, failures recorded, two accounts."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyperprompt import cli
from hyperprompt.collect import split
from hyperprompt.config import parse
from hyperprompt.durable import FolderLock
from hyperprompt.errors import InvalidValue, RunFolderError
from hyperprompt.hyperparameters import Theta
from hyperprompt.pipeline import benchmark, deploy, methods
from hyperprompt.pipeline import suite as suites
from hyperprompt.pipeline.executor import Job
from hyperprompt.pipeline.suite import Suite
from hyperprompt.pipeline.worker import run as carry_out
from hyperprompt.search import registry

TINY: dict[str, Any] = {
    "tasks": [{"env": "CartPole-v1", "steps": 256}],
    "methods": {
        "static": {"controller": "static"},
        "noise": {"controller": "random"},
        "search": {"tuner": "random", "trials": 3, "set": {"tune": ["learning_rate", "n_epochs"]}},
        "pbt": {"population": 2},
    },
    "seeds": 2,
    "target": {"seeds": 2},
    "set": {"n_envs": 1, "agent": {"n_steps": 64, "n_epochs": 2}},
    "resamples": 100,
}


class Here:
    """An executor in this process, so that the tests pay no process starts. Jobs in `broken` fail."""

    def __init__(self, broken: str = "nothing") -> None:
        self.done: list[str] = []
        self.broken = broken

    def submit(self, job: Job) -> Future[str]:
        future: Future[str] = Future()
        self.done.append(job.label)
        if self.broken in job.label:
            future.set_result("Traceback ...\nRuntimeError: out of luck")
            return future
        carry_out(json.loads(json.dumps(job.to_dict())))
        future.set_result("")
        return future


def load(folder: Path, **changes: Any) -> Suite:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}, sort_keys=False))
    return suites.load(path).model_copy(update={"out": folder / "out"})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Here, benchmark.Benchmark]:
    folder = tmp_path_factory.mktemp("benchmark")
    executor = Here()
    return folder, executor, benchmark.run(load(folder), executor=executor)


Finished = tuple[Path, Here, benchmark.Benchmark]


def test_every_run_is_carried_out_once(finished: Finished) -> None:
    folder, executor, done = finished
    assert len(executor.done) == len(set(executor.done)) == 2 + 2 + (3 + 2) + 2 + 2
    assert len(list((folder / "out" / "records").iterdir())) == len(executor.done)
    assert [(o.method, o.seed) for o in done.outcomes] == [(m, s) for m in TINY["methods"] for s in (0, 1)]
    assert [o.seed for o in done.targets] == [8001, 8002]
    assert done.failed == 0


def test_a_second_start_repeats_nothing_and_adds_what_is_new(finished: Finished) -> None:
    folder, _, done = finished
    again = Here()
    assert benchmark.run(load(folder), executor=again).outcomes == done.outcomes
    assert again.done == []
    outlook = benchmark.outlook(load(folder, seeds=3))
    assert (outlook.runs - outlook.done, outlook.steps_left) == (5, 5 * 256), "a population of two is two runs"
    benchmark.run(load(folder, tasks=[{**task, "seeds": 3} for task in TINY["tasks"]]), executor=again)
    assert len(again.done) == 4
    assert all("seed 2" in label for label in again.done)


def test_trials_run_on_the_tuning_seed_the_first_with_the_defaults_the_best_on_the_test_seeds(finished: Finished) -> None:
    outcomes = [o for o in finished[2].outcomes if o.method == "search"]
    trials = outcomes[0].trials
    assert outcomes[1].trials == trials
    assert {trial["seed"] for trial in trials} == {7001}
    static = next(o.run for o in finished[2].outcomes if o.method == "static")
    assert trials[0]["config"]["agent"] == static["config"]["agent"]
    best = max(trials, key=lambda trial: trial["result"]["auc"])
    for outcome in outcomes:
        assert outcome.run["config"]["agent"] == best["config"]["agent"]
        assert outcome.run["config"]["seed"] == outcome.seed
    assert len({trial["config"]["agent"]["learning_rate"] for trial in trials}) == 3
    assert all(isinstance(trial["config"]["agent"]["n_epochs"], int) for trial in trials)


def test_a_trial_equals_a_static_run_with_its_settings(finished: Finished, tmp_path: Path) -> None:
    trial = next(o for o in finished[2].outcomes if o.method == "search").trials[-1]
    agent = {key: trial["config"]["agent"][key] for key in ("n_steps", "learning_rate", "n_epochs")}
    values = {"env": "CartPole-v1", "controller": "static", "steps": 256, "seed": 7001, "n_envs": 1, "agent": agent}
    result = deploy.train(parse(values), tmp_path / "run", page=False)
    assert result["auc"] == trial["result"]["auc"]
    assert result["final_return"] == trial["result"]["final_return"]


def test_records_hold_what_the_fixed_scale_holds(finished: Finished) -> None:
    committed = json.loads((Path(__file__).parents[2] / "results" / "static" / "CartPole-v1-s9001.json").read_text())
    for outcome in finished[2].outcomes:
        if outcome.method == "pbt":
            continue
        assert set(outcome.run) - {"theta"} == set(committed)
        assert set(outcome.run["curve"]) == set(committed["curve"])
        assert ("theta" in outcome.run) == (outcome.method == "noise")


def test_a_population_is_one_run_that_costs_all_members_steps(finished: Finished) -> None:
    runs = [o.run for o in finished[2].outcomes if o.method == "pbt"]
    assert [run["seed"] for run in runs] == [0, 1]
    for run in runs:
        assert run["members"] == 2
        assert run["result"]["steps"] == 2 * 256
        assert run["curve"]["step"][-1] == 256
        assert 0 <= run["result"]["copies"] < len(run["curve"]["step"])
        assert all(len(values) == len(run["curve"]["step"]) for values in run.get("theta", {}).values())


def test_a_population_that_only_selects_shows_no_schedule(tmp_path: Path) -> None:
    methods = {"static": TINY["methods"]["static"], "select": {"population": 2, "select_only": True}}
    done = benchmark.run(load(tmp_path, methods=methods, seeds=1, target={"seeds": 1}), executor=Here())
    (run,) = (o.run for o in done.outcomes if o.method == "select")
    assert run["result"]["copies"] > 0
    assert "theta" not in run


def test_the_report(finished: Finished) -> None:
    folder, _, done = finished
    markdown, page = (path.read_text() for path in benchmark.report(done, "hyperprompt benchmark tiny.yaml"))
    for text in (markdown, page):
        assert "static, other seeds" in text
        assert "hyperprompt benchmark tiny.yaml" in text
        assert "Account 1: one run each" in text
        assert "favours the tuner" in text
        assert "losses" in text
        assert "trials: 3" in text, "the suite file itself"
    assert 'src="http' not in page
    assert "<script" not in page
    lines = [line for line in markdown.splitlines() if " of 1 |" in line]
    costs = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in lines}
    assert costs == {"static": "0", "noise": "0", "search": "3", "pbt": "1", "static, other seeds": "0"}, "in units of T"
    assert (folder / "out" / "table.md").exists()


def test_the_command_line(finished: Finished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = finished[0]
    load(folder)
    command = ["hyperprompt", "benchmark", str(folder / "tiny.yaml"), "--out", str(folder / "out")]
    monkeypatch.setattr(sys, "argv", [*command, "--dry-run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert "at most 0 runs left" in capsys.readouterr().out
    for ask in (command, [*command, "--report"]):
        monkeypatch.setattr(sys, "argv", ask)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        assert capsys.readouterr().out.split() == [str(folder / "out" / name) for name in ("table.md", "report.html")]
        assert f"Command: `{' '.join(ask)}`" in (folder / "out" / "table.md").read_text()
    monkeypatch.setattr(sys, "argv", [*command, "--report", "--retry-failed"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2


def test_accounts_are_a_choice(finished: Finished) -> None:
    folder, executor, _ = finished
    done = benchmark.run(load(folder, accounts=["single"]), executor=executor)
    assert "Account 2" not in benchmark.report(done, "x")[0].read_text()


def test_a_failing_run_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    alone = {"methods": {"static": {"controller": "static"}}}
    done = benchmark.run(load(tmp_path, **alone), executor=Here("static seed 1"))
    failed = [(o.method, o.seed, o.run["error"].splitlines()[-1]) for o in done.outcomes if o.failed]
    assert failed == [("static", 1, "RuntimeError: out of luck")]
    assert done.failed == 1
    assert len(list((tmp_path / "out" / "records").iterdir())) == 3
    text = benchmark.report(done, "x")[0].read_text()
    assert "Failed: static on CartPole-v1, seed 1, after 0 steps: RuntimeError: out of luck" in text
    assert "| static, other seeds | 0 | 0 | 1: CartPole-v1 |" in text, "an incomplete method neither wins nor loses"
    suite = load(tmp_path, **alone)
    assert [o.runs - o.done for o in (benchmark.outlook(suite), benchmark.outlook(suite, retry_failed=True))] == [0, 1]
    again = Here()
    assert benchmark.run(load(tmp_path, **alone), executor=again).failed == 1
    assert again.done == [], "a failed run is not tried again by itself"
    assert benchmark.run(load(tmp_path, **alone), executor=again, retry_failed=True).failed == 0
    assert again.done == ["CartPole-v1 static seed 1"]


def test_populations_that_fail_beside_a_run_of_the_same_settings_are_counted(tmp_path: Path) -> None:
    kinds = {**TINY["methods"], "copies": {"population": 2, "select_only": True}}
    kinds = {name: kinds[name] for name in ("static", "pbt", "copies")}
    done = benchmark.run(load(tmp_path, methods=kinds, seeds=1, target={"seeds": 1}), executor=Here("seed 0"))
    assert done.failed == len(list((tmp_path / "out" / "failures").iterdir())) == 3


def test_a_failed_trial_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float | None] = []

    class Tuner:
        name = "spy"

        def ask(self) -> Theta:
            return {"learning_rate": 1e-3 * (1 + len(told)), "n_epochs": 3.0}

        def tell(self, theta: Theta, score: float | None) -> None:
            told.append(score)

    monkeypatch.setattr(registry, "create", lambda name, search: Tuner())
    kinds = {name: TINY["methods"][name] for name in ("static", "search")}
    suite = load(tmp_path, methods=kinds, score="final_return", seeds=1, target={"seeds": 1})
    executor = Here("trial 2")
    monkeypatch.setattr(methods, "check", lambda suite: None)
    done = benchmark.run(suite, executor=executor)
    trials = done.outcomes[-1].trials
    assert told[:3] == [trials[0]["result"]["final_return"], None, trials[2]["result"]["final_return"]]
    assert "error" in trials[1]
    assert done.failed == 1


@pytest.mark.parametrize("broken", ["ask", "tell"])
def test_a_tuner_that_raises_an_error_fails_its_search_alone(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tuner:
        name = "broken"

        def ask(self) -> Theta:
            if broken == "ask":
                raise RuntimeError("no\nidea")
            return {"learning_rate": 1e-3, "n_epochs": 3.0}

        def tell(self, theta: Theta, score: float | None) -> None:
            if broken == "tell":
                raise RuntimeError("no\nidea")

    monkeypatch.setattr(registry, "create", lambda name, search: Tuner())
    kinds = {name: TINY["methods"][name] for name in ("search", "static")}
    suite = load(tmp_path, methods=kinds, target={"seeds": 1})
    done = benchmark.run(suite, executor=Here())
    assert [(o.method, o.failed) for o in done.outcomes] == [("search", True)] * 2 + [("static", False)] * 2
    assert done.failed == 1
    assert len(done.outcomes[0].trials) == 1
    text = benchmark.report(done, "x")[0].read_text()
    for seed in (0, 1):
        assert f"Failed: search on CartPole-v1, seed {seed}, after 0 steps: the tuner failed: RuntimeError: no idea" in text
    outlook = benchmark.outlook(suite)
    assert outlook.done == outlook.runs == 1 + 2 + 1, "the rest of the search is not going to be carried out"
    assert "| search | 7001 | 1 | none: the search failed |" in text


def test_tasks_with_seeds_and_methods_of_their_own(tmp_path: Path) -> None:
    methods = {
        "static": {"controller": "static"},
        "noise": {"controller": "random", "tasks": ["Catch-v0"]},
        "search": {"tuner": "random", "trials": 2, "tasks": ["cart"]},
    }
    tasks = [{"env": "CartPole-v1", "steps": 256, "name": "cart", "seeds": 3}, {"env": "Catch-v0", "steps": 256}]
    suite = load(tmp_path, methods=methods, tasks=tasks, meta_training_steps={"noise": 1000})
    executor = Here()
    done = benchmark.run(suite, executor=executor)
    counted = Counter((o.task, o.method) for o in done.outcomes)
    assert counted == {("cart", "static"): 3, ("cart", "search"): 3, ("Catch-v0", "static"): 2, ("Catch-v0", "noise"): 2}
    assert not [label for label in executor.done if "cart noise" in label or "Catch-v0 search" in label]
    outlook = benchmark.outlook(suite)
    assert outlook.runs == outlook.done == (3 + (2 + 3) + 2) + (2 + 2 + 2)
    markdown, page = (path.read_text() for path in benchmark.report(done, "x"))
    assert "Seeds: test, cart 0, 1, 2; test, Catch-v0 0, 1;" in markdown
    for text in (markdown, page):
        assert "static, other seeds" in text
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:5]
        for line in markdown.split("### Account 1")[0].splitlines()
        if "|" in line
    }
    assert ["cart" in "".join(rows[name]) for name in ("noise", "search")] == [False, True], "wins and losses, where it ran"
    for task, ran in (("cart", "search"), ("Catch-v0", "noise")):
        lines = markdown.split(f"### {task}\n")[1].split("T = ")[0].splitlines()
        assert [line.split("|")[1].strip() for line in lines if "|" in line][2:] == ["static", ran, "static, other seeds"]


def test_a_report_while_runs_are_missing(finished: Finished, tmp_path: Path) -> None:
    records = shutil.copytree(finished[0] / "out" / "records", tmp_path / "out" / "records")
    kinds = {**TINY["methods"], "cosine": {"controller": "anneal:cosine"}, "linear": {"controller": "anneal:linear"}}
    tasks = [*TINY["tasks"], {"env": "Catch-v0", "steps": 256}]
    suite = load(tmp_path, methods=kinds, tasks=tasks)
    before = sorted((tmp_path / "out").rglob("*"))
    done = benchmark.so_far(suite)
    assert sorted((tmp_path / "out").rglob("*")) == before
    assert (done.outcomes, done.targets, done.random) == (finished[2].outcomes, finished[2].targets, finished[2].random)
    missing = {"R* on Catch-v0", "cosine on CartPole-v1", "linear on CartPole-v1", *(f"{name} on Catch-v0" for name in kinds)}
    assert set(done.left.split("not here yet: ")[1].split(", ")) == missing
    paths = benchmark.report(done, "x")
    assert [path.name for path in paths] == ["table-so-far.md", "report-so-far.html"], "no finished report is lost"
    for path in paths:
        assert "Not finished: at most 23 runs left" in path.read_text()
    for seed in (8001, 0):  # the baseline's: for R*, and under a test seed
        static = next(o.run for o in (*finished[2].targets, *finished[2].outcomes) if o.seed == seed)
        next(path for path in records.iterdir() if json.loads(path.read_text()) == static).unlink()
        with pytest.raises(InvalidValue, match=r"nothing to report yet: .* all runs of 'static' ended, those for R\* too"):
            benchmark.so_far(suite)
        shutil.copytree(finished[0] / "out" / "records", records, dirs_exist_ok=True)
    whole = benchmark.so_far(load(tmp_path))
    assert whole.left == "", "all that this suite asks for is there"
    benchmark.report(whole, "x")
    assert not list((tmp_path / "out").glob("*-so-far.*"))


def test_a_method_with_a_part_of_its_runs_is_not_in_a_report(finished: Finished, tmp_path: Path) -> None:
    records = shutil.copytree(finished[0] / "out" / "records", tmp_path / "out" / "records")
    for method, left in (("noise", ["static", "search", "pbt"]), ("search", ["static", "pbt"]), ("pbt", ["static"])):
        run = next(o.run for o in finished[2].outcomes if o.method == method)
        next(path for path in records.iterdir() if json.loads(path.read_text()) == run).unlink()
        assert list(dict.fromkeys(o.method for o in benchmark.so_far(load(tmp_path)).outcomes)) == left


def test_the_baseline_runs_first_then_what_takes_long(finished: Finished) -> None:
    begun = [label.split()[1] for label in finished[1].done]
    assert begun[:4] == ["static"] * 4, "those for R* among them: without it nothing can be reported"
    assert begun.index("noise") > max(begun.index("pbt"), begun.index("search"))


def test_random_actions_are_measured_for_an_early_report(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished[0] / "out" / "records", tmp_path / "out" / "records")
    monkeypatch.setattr(benchmark, "random_return", lambda env: None)
    monkeypatch.setattr(benchmark.constants, "random_policy", lambda env, options: (5.0, 16.0))
    assert benchmark.so_far(load(tmp_path)).random == {"CartPole-v1": (5.0, 1.0)}


def test_a_dear_method_with_fewer_seeds(tmp_path: Path) -> None:
    kinds = {"static": {"controller": "static"}, "noise": {"controller": "random", "seeds": 1}}
    suite = load(tmp_path, methods=kinds)
    outlook = benchmark.outlook(suite)
    assert outlook.runs == 2 + 1 + 2
    done = benchmark.run(suite, executor=Here())
    assert [(o.method, o.seed) for o in done.outcomes] == [("static", 0), ("static", 1), ("noise", 0)]
    text = benchmark.report(done, "x")[0].read_text()
    assert "Seeds: test 0, 1; noise, of these the first 1;" in text
    assert "| noise | 1 |" in text
    assert "### What the intervals cover" in text, "the others have intervals"


def test_what_is_left_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = load(tmp_path, methods={"static": {"controller": "static"}}, target={"seeds": 1})
    said: list[str] = []
    executor = Here()
    monkeypatch.setattr(benchmark.constants, "random_policy", lambda env, options: pytest.fail("the fixed scale has it"))
    done = benchmark.run(suite, executor=executor, say=lambda line: said.append(f"{len(executor.done)}: {line}"))
    assert said[0].startswith("0: at most 3 runs left, 768 environment steps; about 0:00:")
    assert done.random["CartPole-v1"] == pytest.approx((22.91, 0.792), abs=0.01)


def test_random_actions_of_a_task_that_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = load(tmp_path, methods={"static": {"controller": "static"}}, seeds=1, target={"seeds": 1})
    said: list[str] = []
    executor = Here()
    monkeypatch.setattr(benchmark, "random_return", lambda env: None)
    monkeypatch.setattr(benchmark.constants, "random_policy", lambda env, options: (5.0, 16.0))
    done = benchmark.run(suite, executor=executor, say=lambda line: said.append(f"{len(executor.done)}: {line}"))
    assert "0: CartPole-v1: 256 episodes of random actions" in said
    assert done.random == {"CartPole-v1": (5.0, 1.0)}
    monkeypatch.setattr(benchmark.constants, "random_policy", lambda env, options: pytest.fail("measured twice"))
    assert benchmark.run(suite, executor=executor).random == done.random


def test_two_benchmarks_cannot_write_to_one_folder(finished: Finished) -> None:
    folder = finished[0]
    lock = FolderLock(folder / "out" / "lock")
    try:
        with pytest.raises(RunFolderError, match="another process"):
            benchmark.run(load(folder), executor=Here())
    finally:
        lock.release()


def test_looks_at_sealed_tasks_are_counted_before_anything_runs_there(tmp_path: Path) -> None:
    looks = tmp_path / "looks.jsonl"
    sealed = {
        "tasks": [{"env": "CartPole-v1", "steps": 256}, {"env": "MiniGrid-DoorKey-5x5-v0", "steps": 256}],
        "methods": {"static": {"controller": "static"}},
        "seeds": 1,
        "target": {"seeds": 1},
        "looks": str(looks),
    }
    suite = load(tmp_path, **sealed)
    counted: list[int] = []

    class Watching(Here):
        def submit(self, job: Job) -> Future[str]:
            counted.append(len(split.looks(looks)))
            return super().submit(job)

    benchmark.run(suite, executor=Watching())
    benchmark.run(suite, executor=Watching())
    assert counted == [1] * 4, "counted first, once, and a start that carries nothing out is no look"
    assert [look["tasks"] for look in split.looks(looks)] == [["MiniGrid-DoorKey-5x5-v0"]]
