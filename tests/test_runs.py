"""The run folder: what goes in comes out, and what must not go in is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hyperprompt.core import Decision
from hyperprompt.durable import plain, to_json
from hyperprompt.errors import InvalidValue, RunFolderError
from hyperprompt.runs import RunFolder

CONFIG = {"env": "CartPole-v1", "seed": 3, "bounds": {"learning_rate": (1e-5, 1e-2)}, "out": Path("x"), "note": "é # : -"}


def decision(index: int, **changes: object) -> Decision:
    values = {
        "index": index,
        "step": 1000 * index,
        "controller": "llm",
        "theta_before": {"learning_rate": 3e-4},
        "theta_after": {"learning_rate": 6e-4},
        "delta": {"learning_rate": 1.0},
        "probabilities": {"learning_rate": (0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.1)},
        "status": "applied",
        "reason": "a line\nbreak, a \u2028 separator and ünïcode",
        "seconds": 0.25,
        "prompt_sha256": "ab" * 32,
    }
    return Decision(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path):
    with RunFolder.create(tmp_path / "deep" / "run", CONFIG) as made:
        yield made


def reopened(folder: RunFolder) -> RunFolder:
    folder.close()
    return RunFolder.open(folder.path)


def test_config_and_versions_round_trip(folder: RunFolder):
    again = reopened(folder)
    assert again.config == {**CONFIG, "bounds": {"learning_rate": [1e-5, 1e-2]}, "out": "x"}
    assert {"python", "numpy", "gymnasium"} <= set(again.versions)


def test_decisions_round_trip(folder: RunFolder):
    written = [decision(i) for i in range(3)]
    for d in written:
        folder.append_decision(d)
    assert folder.decisions() == reopened(folder).decisions() == written


def test_numbers_that_are_not_finite_become_null_and_read_as_nan(folder: RunFolder):
    folder.append_decision(decision(0, theta_after={"learning_rate": math.nan}, seconds=math.inf))
    folder.append_progress({"step": 1, "return_mean": math.nan, "loss": math.inf})
    folder.write_result({"auc": math.nan, "nested": [math.inf, {"x": np.float32(1.5)}]})
    for name in ("decisions.jsonl", "progress.csv", "result.json"):
        assert not {"nan", "inf", "infinity"} & set((folder.path / name).read_text().lower().replace('"', " ").split())
    again = reopened(folder)
    assert math.isnan(again.decisions()[0].theta_after["learning_rate"])
    assert math.isnan(again.decisions()[0].seconds)
    assert all(math.isnan(again.progress()[name][0]) for name in ("return_mean", "loss"))
    assert again.result() == {"auc": None, "nested": [None, {"x": 1.5}]}


def test_progress_orders_columns_and_is_exact(folder: RunFolder):
    folder.append_progress({"theta/lr": 1 / 3, "approx_kl": 1e-300, "return_mean": -0.1, "step": 2**40, "episodes": 4})
    header = (folder.path / "progress.csv").read_text().splitlines()[0]
    assert header == "step,wall_seconds,return_mean,episodes,approx_kl,theta/lr"
    progress = reopened(folder).progress()
    assert progress["step"] == [2**40]
    assert (progress["theta/lr"], progress["approx_kl"], progress["return_mean"]) == ([1 / 3], [1e-300], [-0.1])
    assert math.isnan(progress["wall_seconds"][0])


def test_a_signal_that_appears_later_widens_the_table(folder: RunFolder):
    folder.append_progress({"step": 1, "theta/lr": 0.5})
    folder.append_progress({"step": 2, "theta/lr": 0.5, "critic, loss": 7})
    folder.append_progress({"step": 3})
    progress = reopened(folder).progress()
    assert progress["step"] == [1, 2, 3]
    assert [math.isnan(x) for x in progress["critic, loss"]] == [True, False, True]
    assert list(progress)[-1] == "theta/lr"


@pytest.mark.parametrize("row", [{"return_mean": 1.0}, {"step": 1, "a\nb": 2}])
def test_malformed_progress_is_refused(folder: RunFolder, row: dict[str, float]):
    with pytest.raises(InvalidValue):
        folder.append_progress(row)
    assert not (folder.path / "progress.csv").exists()


def test_an_unfinished_run_is_empty(folder: RunFolder):
    assert (folder.decisions(), folder.progress(), folder.result(), folder.latest_checkpoint()) == ([], {}, None, None)


def test_truncate_drops_what_follows_a_checkpoint(folder: RunFolder):
    for i in range(5):
        folder.append_decision(decision(i))
        folder.append_progress({"step": i})
    folder.write_result({"auc": 1})
    folder.truncate(3, 2)
    folder.truncate(3, 2)
    again = reopened(folder)
    assert ([d.index for d in again.decisions()], again.progress()["step"], again.result()) == ([0, 1, 2], [0, 1], None)
    again.append_progress({"step": 2})
    assert again.progress()["step"] == [0, 1, 2]
    again.truncate(0, 0)
    assert (again.decisions(), again.progress()["step"]) == ([], [])
    with pytest.raises(RunFolderError, match="expects 1"):
        again.truncate(1, 0)


def agent_tree() -> dict[str, object]:
    import torch

    parameter = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    rng = np.random.default_rng(1).bit_generator.state
    arrays = [np.arange(3, dtype=kind) for kind in (np.uint64, np.int8, np.float32)] + [np.array(True), np.zeros((0, 2))]
    view = torch.zeros(100_000)[:2]
    return {"w": {"p": parameter, 0: {"step": 3}}, "rng": rng, "arrays": arrays, "t": (1, None, b"x"), "view": view}


def test_checkpoint_round_trip(folder: RunFolder):
    import torch

    tree = agent_tree()
    folder.save_checkpoint(7, tree, {"decisions": 2, "theta": {"lr": 1e-4}})
    checkpoint = reopened(folder).latest_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.state) == (7, {"decisions": 2, "theta": {"lr": 1e-4}})
    assert checkpoint.path.name == "000000000007"
    back = checkpoint.load_agent()
    assert torch.equal(back["w"]["p"], tree["w"]["p"])  # type: ignore[index]
    assert (back["w"][0], back["rng"], back["t"]) == ({"step": 3}, tree["rng"], (1, None, b"x"))
    for a, b in zip(back["arrays"], tree["arrays"], strict=True):  # type: ignore[call-overload]
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert (checkpoint.path / "agent.pt").stat().st_size < 50_000, "a view's storage is not written"


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array(["a"]), {(1, 2): 3}, {"__numpy__": 1}])
def test_what_could_not_be_read_back_is_refused_at_once(folder: RunFolder, value: object):
    with pytest.raises(InvalidValue, match=r"agent\['a'\]\[0\]"):
        folder.save_checkpoint(1, {"a": [value]}, {})
    assert folder.latest_checkpoint() is None


def test_the_two_newest_checkpoints_are_kept_and_other_files_left_alone(folder: RunFolder):
    root = folder.path / "checkpoints"
    (root / "replay").mkdir(parents=True)
    (root / "replay" / "shard.npz").write_bytes(b"x")
    for step in (10, 20, 30, 30, 10**12 - 1):
        folder.save_checkpoint(step, {"x": step}, {"step": step})
    assert sorted(entry.name for entry in root.iterdir()) == ["000000000030", "999999999999", "replay"]
    assert (root / "replay" / "shard.npz").exists()


def test_a_checkpoint_never_runs_code(folder: RunFolder):
    import torch

    folder.save_checkpoint(1, {"x": 1}, {})
    checkpoint = folder.latest_checkpoint()
    assert checkpoint is not None
    torch.save({"x": Path("/")}, checkpoint.path / "agent.pt")
    with pytest.raises(RunFolderError, match=r"agent\.pt cannot be read"):
        checkpoint.load_agent()


def test_a_second_writer_is_refused_and_a_reader_is_not(folder: RunFolder):
    with pytest.raises(RunFolderError, match="being written"):
        RunFolder.open(folder.path)
    reader = RunFolder.open(folder.path, readonly=True)
    with pytest.raises(RunFolderError, match="reading only"):
        reader.append_decision(decision(0))
    folder.close()
    RunFolder.open(folder.path).append_decision(decision(0))


def test_create_refuses_a_folder_that_holds_a_run(folder: RunFolder):
    before = sorted(folder.path.iterdir())
    with pytest.raises(RunFolderError, match=r"--resume.*--out"):
        RunFolder.create(folder.path, {"env": "other"})
    assert sorted(folder.path.iterdir()) == before
    assert folder.config["env"] == "CartPole-v1"


def test_create_leaves_nothing_when_it_refuses(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file"):
        RunFolder.create(tmp_path / "file" / "run", {})
    with pytest.raises(InvalidValue, match=r"config\.env"):
        RunFolder.create(tmp_path / "run", {"env": object()})
    with pytest.raises(InvalidValue, match="versions"):
        RunFolder.create(tmp_path / "run", {"versions": {}})
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_open_says_what_is_missing(tmp_path: Path):
    with pytest.raises(RunFolderError, match="no run folder at"):
        RunFolder.open(tmp_path / "absent")
    with pytest.raises(RunFolderError, match=r"config\.yaml is missing"):
        RunFolder.open(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(RunFolderError, match=r"config\.yaml cannot be read"):
        RunFolder.open(tmp_path)


def test_plain_and_json():
    assert plain({1: (np.int64(2), np.array([1.5]), None, True)}) == {"1": [2, [1.5], None, True]}
    assert to_json({"a": math.nan}) == '{"a": null}'


def test_import_is_light():
    heavy = "{'torch', 'matplotlib', 'jinja2'}"
    code = f"import sys, hyperprompt.runs, hyperprompt.evaluation.report; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
