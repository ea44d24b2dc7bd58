"""Run folders that were cut, killed, damaged or left by a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperprompt.core import Decision
from hyperprompt.durable import FolderLock, atomic_write
from hyperprompt.errors import RunFolderError
from hyperprompt.runs import RunFolder


def decision(index: int, reason: str = "") -> Decision:
    theta = {"learning_rate": 3e-4}
    return Decision(index, 1000 * index, "llm", theta, theta, {}, {}, "kept", reason, 0.25, "")


@pytest.fixture
def folder(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", {"env": "CartPole-v1"}) as made:
        yield made


@pytest.mark.parametrize("name", ["decisions.jsonl", "progress.csv"])
def test_a_journal_cut_at_any_byte_of_its_last_lines_opens_as_a_prefix(folder: RunFolder, name: str):
    for i in range(4):
        folder.append_decision(decision(i))
        folder.append_progress({"step": i + 1, "return_mean": i / 3, "theta/lr": 1e-4})
    folder.close()
    path = folder.path / name
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(ends[-3], len(whole) + 1):
        path.write_bytes(whole[:cut])
        with RunFolder.open(folder.path, readonly=True) as seen:
            before = seen.decisions() if name == "decisions.jsonl" else seen.progress()["step"]
        assert path.read_bytes() == whole[:cut], "looking changes nothing"
        with RunFolder.open(folder.path) as again:
            assert path.read_bytes() == whole[: max(e for e in ends if e <= cut)]
            if name == "decisions.jsonl":
                assert [d.index for d in again.decisions()] == list(range(len(before)))
                again.append_decision(decision(len(before)))
                assert again.decisions()[-1].index == len(before)
            else:
                assert again.progress()["step"] == before == list(range(1, len(before) + 1))


@pytest.mark.parametrize("tail", [b"\x00" * 40, b'{"index": NaN}\n', b"[1]\n", b"{}\n", b"\xff\xfe\n", b"\n"])
def test_a_tail_that_is_no_decision_is_cut(folder: RunFolder, tail: bytes):
    folder.append_decision(decision(0))
    folder.close()
    with (folder.path / "decisions.jsonl").open("ab") as file:
        file.write(tail)
    assert RunFolder.open(folder.path).decisions() == [decision(0)]


@pytest.mark.parametrize(("name", "line"), [("decisions.jsonl", 2), ("progress.csv", 3)])
def test_damage_before_the_tail_names_file_and_line(folder: RunFolder, name: str, line: int):
    for i in range(3):
        folder.append_decision(decision(i))
        folder.append_progress({"step": i})
    folder.close()
    lines = (folder.path / name).read_text().split("\n")
    lines[line - 1] = lines[line - 1][:-2]
    (folder.path / name).write_text("\n".join(lines))
    with pytest.raises(RunFolderError, match=rf"{name}, line {line}\b"):
        RunFolder.open(folder.path)
    with pytest.raises(RunFolderError, match="line"):
        RunFolder.open(folder.path, readonly=True).decisions()


def test_torn_checkpoints_are_ignored_and_cleaned(folder: RunFolder):
    folder.save_checkpoint(10, {"x": 1}, {"step": 10})
    root = folder.path / "checkpoints"
    (root / "000000000020.tmp").mkdir()
    (root / "000000000020.tmp" / "agent.pt").write_bytes(b"half")
    (root / "000000000030").mkdir()
    (root / "000000000030" / "agent.pt").write_bytes(b"no state.json")
    (folder.path / ".result.json.1.tmp").write_text("half")
    folder.close()
    with RunFolder.open(folder.path, readonly=True) as seen:
        latest = seen.latest_checkpoint()
        assert latest is not None
        assert latest.step == 10
    again = RunFolder.open(folder.path)
    assert [entry.name for entry in root.iterdir()] == ["000000000010"]
    assert not list(folder.path.glob(".*"))
    # Killed between the two renames that replace a checkpoint: the old one comes back.
    (root / "000000000010").rename(root / "000000000010.old")
    again.close()
    latest = RunFolder.open(folder.path).latest_checkpoint()
    assert latest is not None
    assert latest.load_agent() == {"x": 1}


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path):
    lock = FolderLock(tmp_path / "lock")
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(RunFolderError):
        FolderLock(tmp_path / "lock")
    lock.release()
    FolderLock(tmp_path / "lock").release()
    os.write(done[1], b"x")
    os.waitpid(child, 0)


def test_atomic_write_keeps_the_old_content_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    atomic_write(tmp_path / "f", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="No space left"):
        atomic_write(tmp_path / "f", "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_an_append_that_fails_is_taken_back(folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
    folder.append_decision(decision(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(RunFolderError, match="No space left"):
            folder.append_decision(decision(1))
    folder.append_decision(decision(1))
    assert [d.index for d in folder.decisions()] == [0, 1]


CHILD = """
import sys
sys.path.insert(0, {tests!r})
import torch  # before the clock starts
from test_runs_killed import decision
from hyperprompt.runs import RunFolder
folder = RunFolder.open({path!r})
i = len(folder.decisions())
print(i, flush=True)
while True:
    folder.append_decision(decision(i))
    folder.append_progress({{"step": i + 1, "return_mean": 0.1, **({{"late": 1}} if i % 7 else {{}})}})
    i += 1
    if i % 5 == 0:
        folder.save_checkpoint(i, {{"x": [1.0] * 1000}}, {{"decisions": i}})
"""


def test_kill_9_leaves_a_readable_contiguous_journal(folder: RunFolder):
    folder.close()
    code = CHILD.format(tests=str(Path(__file__).parent), path=str(folder.path))
    seen = 0
    for delay in (0.02, 0.6, 1.1):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert int(child.stdout.readline()) == seen
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        with RunFolder.open(folder.path) as again:
            count = len(again.decisions())
            assert [d.index for d in again.decisions()] == list(range(count))
            steps = again.progress().get("step", [])
            assert steps == list(range(1, len(steps) + 1))
            assert 0 <= count - len(steps) <= 1
            checkpoint = again.latest_checkpoint()
            if checkpoint is not None:
                assert checkpoint.load_agent() == {"x": [1.0] * 1000}
                again.truncate(checkpoint.state["decisions"], checkpoint.state["decisions"])
                seen = checkpoint.state["decisions"]
            else:
                again.truncate(0, 0)
                seen = 0
    assert seen > 0
