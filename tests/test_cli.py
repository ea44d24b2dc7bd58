from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hyperprompt import cli

TINY = ["--steps", "256", "--set", "n_envs=2", "--set", "agent.n_steps=32", "--set", "agent.batch_size=32", "--quiet"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hyperprompt", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


BAD: list[tuple[str, list[str], str]] = [
    ("env", ["train", "CartPol-v1"], "CartPole-v1"),
    ("env namespace", ["train", "nowhere/CartPole-v1"], "unknown"),
    ("no env", ["train"], "ENV"),
    ("algo", ["train", "CartPole-v1", "--algo", "pppo"], "'ppo'"),
    ("algo for the actions", ["train", "CartPole-v1", "--algo", "sac"], "SAC cannot be built"),
    ("algo for the actions too", ["train", "Pendulum-v1", "--algo", "dqn"], "DQN cannot be built"),
    ("controller", ["train", "CartPole-v1", "--controller", "statik"], "static"),
    ("controller argument", ["train", "CartPole-v1", "--controller", "static:9"], "no argument"),
    ("controller import", ["train", "CartPole-v1", "--controller", "no.such:Thing"], "cannot be imported"),
    ("controller for the algorithm", ["train", "Pendulum-v1", "--algo", "sac", "--controller", "kl-adaptive"], "ppo only"),
    ("annealing shape", ["train", "CartPole-v1", "--controller", "anneal:cubic"], "cosine"),
    ("schedule file", ["train", "CartPole-v1", "--controller", "schedule:absent.yaml"], "absent.yaml"),
    ("model", ["train", "CartPole-v1", "--controller", "llm:smollm"], "smollm2-135m"),
    ("model folder", ["train", "CartPole-v1", "--controller", "llm:{tmp}/empty"], "config.json"),
    ("model option", ["train", "CartPole-v1", "--set", "llm.temprature=2"], "temperature"),
    ("hyperparameter", ["train", "CartPole-v1", "--set", "tune=[learning_rat]"], "learning_rate"),
    ("hyperparameter of another algorithm", ["train", "CartPole-v1", "--set", "tune=[tau]"], "clip_range"),
    ("no hyperparameter", ["train", "CartPole-v1", "--controller", "static", "--set", "tune=[]"], "at least one"),
    ("bounds", ["train", "CartPole-v1", "--set", "bounds.learning_rate=[1e-2, 1e-4]"], "not below"),
    (
        "bounds on a log scale",
        ["train", "CartPole-v1", "--controller", "static", "--set", "bounds.learning_rate=[0, 1]"],
        "above 0",
    ),
    (
        "bounds of an unknown",
        ["train", "CartPole-v1", "--controller", "static", "--set", "bounds.learn=[0, 1]"],
        "learning_rate",
    ),
    ("game", ["train", "procgen/bigfihs"], "procgen/bigfish"),
    ("levels", ["train", "procgen/bigfish", "--set", "env_options.levels=[200, 0]"], "0 <= first < end"),
    ("levels in words", ["train", "procgen/bigfish", "--set", "env_options.levels=all"], "'train', 'test'"),
    ("mode", ["train", "procgen/bigfish", "--set", "env_options.mode=extreme"], "easy, hard"),
    ("NetHack task", ["train", "nethack/ascend"], "nethack/challenge"),
    ("NetHack character", ["train", "nethack/score", "--set", "env_options.character=val-elf-law-fem"], "val-hum-neu-fem"),
    ("morphology", ["train", "ant/custom", "--set", "env_options.legs=0"], "legs"),
    ("joint range", ["train", "ant/custom", "--set", "env_options.hip_range=[30, -30]"], "hip_range"),
    ("split", ["train", "ant/tset-1"], "ant/test-<k>"),
    ("option of a task without", ["train", "CartPole-v1", "--set", "env_options.legs=3"], "option of CartPole-v1"),
    ("preset", ["train", "procgen/miner", "--preset", "publihsed"], "Did you mean 'published'"),
    ("encoder", ["train", "procgen/miner", "--set", "encoder=imapla"], "Did you mean 'impala'"),
    ("normalize", ["train", "procgen/miner", "--set", "normalize.rewards=true"], "reward"),
    ("task of the constants", ["constants", "procgen/bigfihs"], "procgen/bigfish"),
    ("evaluation of nothing", ["evaluate", "{tmp}/absent"], "no run folder"),
    ("steps", ["train", "CartPole-v1", "--steps", "0"], "steps"),
    ("steps below zero", ["train", "CartPole-v1", "--steps", "-5"], "steps"),
    ("steps in words", ["train", "CartPole-v1", "--steps", "many"], "steps"),
    ("every", ["train", "CartPole-v1", "--every", "0"], "every"),
    ("seed", ["train", "CartPole-v1", "--seed", "-1"], "seed"),
    ("key", ["train", "CartPole-v1", "--set", "stepz=1"], "steps"),
    ("agent argument", ["train", "CartPole-v1", "--controller", "static", "--set", "agent.n_step=1"], "n_steps"),
    (
        "agent value",
        ["train", "CartPole-v1", "--controller", "static", "--set", "agent.learning_rate=fast"],
        "agent.learning_rate: expected a number, not 'fast'",
    ),
    ("agent value in parts", ["train", "CartPole-v1", "--controller", "static", "--set", "agent.n_epochs=2.5"], "an integer"),
    ("agent value left out", ["train", "CartPole-v1", "--controller", "static", "--set", "agent.vf_coef=null"], "a number"),
    ("agent value of a kind", ["train", "CartPole-v1", "--controller", "static", "--set", "agent.ent_coef=abc"], "ent_coef"),
    ("options of another controller", ["train", "CartPole-v1", "--controller", "static", "--set", "llm.seed=1"], "llm"),
    ("folder nowhere", ["train", "CartPole-v1", "--controller", "static", "--out", "/proc/none/run"], "/proc/none"),
    ("setting without value", ["train", "CartPole-v1", "--set", "steps"], "key=value"),
    ("broken YAML", ["train", "CartPole-v1", "--config", "{tmp}/broken.yaml"], "broken.yaml"),
    ("no such file", ["train", "CartPole-v1", "--config", "{tmp}/absent.yaml"], "absent.yaml"),
    ("folder in use", ["train", "CartPole-v1", "--controller", "static", "--out", "{tmp}/full"], "--resume"),
    ("folder that is a file", ["train", "CartPole-v1", "--controller", "static", "--out", "{tmp}/broken.yaml"], "exists"),
    (
        "folder below a file",
        ["train", "CartPole-v1", "--controller", "static", "--out", "{tmp}/broken.yaml/run"],
        "broken.yaml",
    ),
    ("resume nothing", ["train", "--resume", "--out", "{tmp}/absent"], "absent"),
    ("resume nowhere", ["train", "--resume"], "--out"),
    ("resume no run", ["train", "--resume", "--out", "{tmp}/full"], "not a run folder"),
    ("report of nothing", ["report", "{tmp}/absent"], "absent"),
    ("export of nothing", ["export", "{tmp}/absent"], "absent"),
    ("unknown option", ["train", "CartPole-v1", "--stepss", "3"], "--steps"),
    ("unknown command", ["trian"], "train"),
]


@pytest.mark.parametrize(("arguments", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_ends_with_code_2_and_one_clear_message(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.yaml").write_text("steps: [1")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code = run(monkeypatch, *(a.format(tmp=tmp_path) for a in arguments))
    stderr = capsys.readouterr().err
    assert code == 2
    assert says in stderr
    assert "Traceback" not in stderr
    assert stderr.count("error:") <= 1
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hyperprompt", "train", "CartPole-v1", "--controller", "statik"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: unknown controller 'statik'. Did you mean 'static'?")
    assert not list(tmp_path.iterdir())


def test_train_resume_report_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "train", "CartPole-v1", "--controller", "random", *TINY) == 0
    assert "runs/CartPole-v1-ppo-random-s0" in capsys.readouterr().out
    folder = "runs/CartPole-v1-ppo-random-s0"
    assert run(monkeypatch, "train", "--resume", "--out", folder, "--quiet") == 0
    assert run(monkeypatch, "train", "Acrobot-v1", "--resume", "--out", folder) == 2
    assert "CartPole-v1" in capsys.readouterr().err
    assert run(monkeypatch, "export", folder, "--out", "found.yaml") == 0
    assert run(monkeypatch, "train", "CartPole-v1", "--controller", "schedule:found.yaml", "--out", "again", *TINY) == 0
    assert run(monkeypatch, "report", folder, "again", "--out", "both.html") == 0
    assert "schedule" in Path("both.html").read_text()
    assert run(monkeypatch, "export", folder, "again", "--out", "mean.yaml") == 0
    assert run(monkeypatch, "train", "CartPole-v1", "--controller", "schedule:mean.yaml", "--out", "mean", *TINY) == 0


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ("controllers", ["static", "anneal[:linear|:cosine]", "llm"]),
        ("envs", ["LunarLander-v3", "CartPole-v1", "procgen/bigfish", "nethack/score", "ant/default", "200,000"]),
        ("models", ["smollm2-135m", "gemma3-270m", "gpt2-large"]),
    ],
)
def test_lists(command: str, shows: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, command) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in shows)


def test_the_live_display_shows_the_last_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, "train", "CartPole-v1", "--controller", "random", *TINY[:-1]) == 0
    out = capsys.readouterr().out
    assert "hyperparameters now" in out
    assert "256 / 256" in out
