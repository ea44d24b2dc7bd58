"""Runs killed with SIGKILL at random moments, in processes of their own, until 20 kills have struck."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from hyperprompt.errors import RunFolderError
from hyperprompt.runs import RunFolder

RUNS = {
    "ppo": ["CartPole-v1", "--steps", "60000", "--every", "1024", "--set", "n_envs=8", "--set", "agent.n_steps=64"],
    "sac": ["Pendulum-v1", "--algo", "sac", "--steps", "1500", "--every", "60", "--set", "agent.buffer_size=700",
            "--set", "agent.policy_kwargs.net_arch=[16]"],
}  # fmt: skip
KILLS = 10


def decisions(folder: Path) -> int:
    try:
        return len(RunFolder.open(folder, readonly=True).decisions())
    except RunFolderError:
        return 0


def lost(folder: Path) -> int:
    """Decisions in the journal of a killed run that its newest checkpoint does not know."""
    run = RunFolder.open(folder, readonly=True)
    checkpoint = run.latest_checkpoint()
    return len(run.decisions()) - (checkpoint.state["decisions"] if checkpoint else 0)


@pytest.mark.very_slow
@pytest.mark.parametrize("algorithm", RUNS)
def test_every_killed_run_resumes_and_loses_at_most_one_interval(algorithm: str, tmp_path: Path) -> None:
    rng = random.Random(algorithm)
    kills, run = 0, 0
    while kills < KILLS:
        folder = tmp_path / str(run)
        begun = (folder / "config.yaml").exists()
        arguments = ["--resume"] if begun else [*RUNS[algorithm], "--controller", "random", "--seed", str(run)]
        process = subprocess.Popen(
            [sys.executable, "-m", "hyperprompt", "train", *arguments, "--quiet", "--out", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        kept = decisions(folder)
        started = time.monotonic()
        patience = rng.uniform(0, 3)
        while process.poll() is None and (decisions(folder) <= kept or time.monotonic() - started < patience):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        if process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
            assert lost(folder) <= 1
        else:
            assert process.returncode == 0, process.stderr.read() if process.stderr else ""
            check(folder)
            run += 1
    if (tmp_path / str(run)).exists():
        subprocess.run(
            [sys.executable, "-m", "hyperprompt", "train", "--resume", "--quiet", "--out", str(tmp_path / str(run))],
            check=True,
        )
        check(tmp_path / str(run))


def check(folder: Path) -> None:
    run = RunFolder.open(folder, readonly=True)
    journal, progress, result = run.decisions(), run.progress(), run.result()
    assert result is not None
    assert result["steps"] >= run.config["steps"]
    assert [d.index for d in journal] == list(range(len(journal)))
    assert progress["step"][:-1] == [float(d.step) for d in journal[1:]]
    assert all(b.theta_before == a.theta_after for a, b in pairwise(journal))
