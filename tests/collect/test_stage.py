"""The collect stage: what it writes, how it goes on, what it refuses."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

pytest.importorskip("pyarrow")

from hyperprompt.collect import dataset, manifest, stage
from hyperprompt.collect.config import Collection, Recipe, load
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.errors import DatasetError, HyperPromptError, InvalidValue

ROOT = Path(__file__).parents[2]
TINY = ROOT / "collections" / "tiny.yaml"
SHORT: dict[str, Any] = {
    "actions": 3,
    "seeds": 1,
    "episodes": 1,
    "tasks": [
        {
            "env": "CartPole-v1",
            "steps": 256,
            "rounds": 3,
            "checkpoints": 1,
            "horizon_updates": 1,
            "set": {"n_envs": 2, "agent.n_steps": 16, "agent.batch_size": 32},
        }
    ],
}


@pytest.fixture
def short(tmp_path: Path) -> Collection:
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(SHORT))
    return load(path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, state: Any) -> list[int]:
    """Rounds that cost nothing, in this process; the list holds those that were carried out."""
    from concurrent.futures import ThreadPoolExecutor

    done: list[int] = []

    def backend(recipe: Recipe, round_: int) -> list[Checkpoint]:
        done.append(round_)
        if round_ == 13:
            raise ZeroDivisionError("thirteen")
        none = np.empty(0)
        steps, seeds = np.empty((0, 5), np.int64), np.empty(0, np.int64)
        return [
            Checkpoint("plain", recipe.env, "ppo", f"run{round_}", "{}", state(2), 0, 1.0, 0.0, 1.0, steps, seeds, none, none)
        ]

    monkeypatch.setattr(stage, "_backend", backend)
    monkeypatch.setattr(stage, "_pool", ThreadPoolExecutor)
    return done


def test_rounds_that_are_there_are_not_collected_again(tmp_path: Path, short: Collection, quick: list[int]) -> None:
    said: list[str] = []
    assert stage.run(short, tmp_path / "out", say=said.append) == []
    assert sorted(quick) == [0, 1, 2]
    assert len(said) == 4
    assert said[-1].startswith("[3/3]")
    assert stage.run(short, tmp_path / "out") == []
    assert len(quick) == 3
    more = short.model_copy(update={"tasks": (short.tasks[0].model_copy(update={"rounds": 5}),)})
    stage.run(more, tmp_path / "out")
    assert sorted(quick) == [0, 1, 2, 3, 4]
    assert len(dataset.read(tmp_path / "out")) == 5


def test_what_a_kill_or_a_user_removed_is_collected_again_and_nothing_else(
    tmp_path: Path, short: Collection, quick: list[int]
) -> None:
    out = tmp_path / "out"
    stage.run(short, out)
    (out / "CartPole-v1-001.parquet").unlink()
    manifest.forget(out, ["CartPole-v1-002.parquet"])  # killed between part and manifest
    (out / ".manifest.json.1.tmp").write_text("{")
    with pytest.raises(DatasetError):
        dataset.read(out)
    quick.clear()
    stage.run(short, out)
    assert sorted(quick) == [1, 2]
    assert len(dataset.read(out)) == 3
    assert not list(out.glob(".*.tmp"))


def test_a_failed_round_is_reported_and_the_rest_goes_on(tmp_path: Path, short: Collection, quick: list[int]) -> None:
    many = short.model_copy(update={"tasks": (short.tasks[0].model_copy(update={"rounds": 15}),)})
    (failure,) = stage.run(many, tmp_path / "out")
    assert "CartPole-v1, round 13: ZeroDivisionError: thirteen" in failure
    assert len(dataset.read(tmp_path / "out")) == 14


def test_a_folder_with_other_settings_is_refused(tmp_path: Path, short: Collection, quick: list[int]) -> None:
    stage.run(short, tmp_path / "out")
    other = short.model_copy(update={"tasks": (short.tasks[0].model_copy(update={"actions": 4}),)})
    with pytest.raises(InvalidValue, match=r"CartPole-v1-000.parquet was collected with actions=3, not 4"):
        stage.run(other, tmp_path / "out")


def test_a_part_from_before_a_key_existed_has_its_default(
    tmp_path: Path, short: Collection, quick: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = stage.config_of
    with monkeypatch.context() as before:
        before.setattr(stage, "config_of", lambda *of: {k: v for k, v in complete(*of).items() if k != "behaviour"})
        stage.run(short, tmp_path / "out")
    quick.clear()
    stage.run(short, tmp_path / "out")
    assert not quick
    near = short.model_copy(update={"tasks": (short.tasks[0].model_copy(update={"behaviour": "near"}),)})
    with pytest.raises(InvalidValue, match="behaviour='wide', not 'near'"):
        stage.run(near, tmp_path / "out")


def test_the_datasets_of_this_repository_go_on_by_the_command_in_their_collection(tmp_path: Path) -> None:
    found = 0
    for path in sorted(TINY.parent.glob("*.yaml")):
        named = re.search(rf"hyperprompt collect collections/{path.name} --out (\S+)", path.read_text())
        if named and (ROOT / named[1] / "manifest.json").exists():
            shutil.copytree(ROOT / named[1], tmp_path / path.stem)
            stage.missing(load(path), tmp_path / path.stem)  # raises where the settings are not those of the parts
            found += 1
    assert found >= 8


def test_a_damaged_folder_is_refused_by_the_file_s_name(tmp_path: Path, short: Collection, quick: list[int]) -> None:
    out = tmp_path / "out"
    stage.run(short, out)
    path = out / "CartPole-v1-001.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"CartPole-v1-001.parquet is damaged"):
        stage.run(short, out)


def test_a_folder_in_use_is_refused(tmp_path: Path, short: Collection, quick: list[int]) -> None:
    from hyperprompt.durable import FolderLock

    (tmp_path / "out").mkdir()
    lock = FolderLock(tmp_path / "out" / "lock")
    with pytest.raises(HyperPromptError, match="another process"):
        stage.run(short, tmp_path / "out")
    lock.release()


def test_the_card_counts_what_is_there(tmp_path: Path, short: Collection, quick: list[int]) -> None:
    stage.run(short, tmp_path / "out", command="hyperprompt collect short.yaml")
    card = (tmp_path / "out" / "CARD.md").read_text()
    assert "3 checkpoints, 0 scored decisions, 1 tasks, 3 files" in card
    assert "| plain | CartPole-v1 | source | ppo | 3 | 0 | 3 |" in card
    assert "    hyperprompt collect short.yaml" in card
    assert f"numpy {np.__version__}" in card


def test_environment_steps_are_those_of_runs_and_branches(state: Any) -> None:
    def at(run: str, intervals: int, branches: int) -> Checkpoint:
        steps, seeds, returns = np.zeros((branches, 5), np.int64), np.arange(branches), np.zeros(branches)
        return Checkpoint("plain", "t", "ppo", run, "{}", state(intervals), 100, 0.0, 0.0, 1.0, steps, seeds, returns, returns)

    assert stage.environment_steps([at("a", 0, 3), at("a", 2, 3), at("b", 1, 0)]) == 2 * 2048 + 2048 + 6 * 100


def start(collection: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hyperprompt", "collect", str(collection), "--out", str(out), "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_killed_collection_goes_on_and_leaves_nobody_behind(tmp_path: Path, short: Collection) -> None:
    path, out = tmp_path / "short.yaml", tmp_path / "out"
    process = start(path, out)
    while not manifest.listing(out):
        assert process.poll() is None
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(children, timeout=30)[1], "workers end with their parent"
    before = {name: (out / name).stat().st_mtime_ns for name in manifest.listing(out)}
    assert 0 < len(before) < 3
    assert start(path, out).wait() == 0
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert start(path, tmp_path / "undisturbed").wait() == 0
    found, undisturbed = dataset.read(out), dataset.read(tmp_path / "undisturbed")
    assert len(found) == 3
    for a, b in zip(found, undisturbed, strict=True):
        assert a.state == b.state
        np.testing.assert_array_equal(a.end, b.end)


@pytest.mark.slow
def test_the_tiny_collection_from_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("gymnax")
    assert start(TINY, tmp_path).wait() == 0
    found = dataset.read(tmp_path)
    assert {c.task for c in found} == {"gymnax/catch", "CartPole-v1"}
    assert all(len(c.seeds) == 6 and np.isfinite(c.end).all() for c in found)
    assert (tmp_path / "CARD.md").exists()
