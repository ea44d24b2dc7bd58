"""Names of records: everything that decides a run changes them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperprompt.config import parse
from hyperprompt.pipeline import results


def test_the_key_follows_everything_that_decides_a_run(tmp_path: Path) -> None:
    schedule = tmp_path / "found.yaml"
    schedule.write_text("schedule: [{progress: 0.0, theta: {learning_rate: 0.001}}]")
    base = {"env": "CartPole-v1", "controller": f"schedule:{schedule}"}
    key = results.key(parse(base))
    assert results.key(parse({**base, "checkpoints": False})) == key
    assert results.key(parse({**base, "seed": 1})) != key
    assert results.key(parse({**base, "agent": {"n_steps": 5}})) != key
    assert results.key(parse(base), members=4) != key
    schedule.write_text("schedule: [{progress: 0.0, theta: {learning_rate: 0.002}}]")
    assert results.key(parse(base)) != key


def test_the_last_digits_which_depend_on_the_processor_are_no_other_run() -> None:
    here, there = (parse({"env": "CartPole-v1", "agent": {"clip_range": c}}) for c in (0.1035971501772345, 0.1035971501772346))
    assert here != there
    assert results.key(here) == results.key(there)
    assert results.key(here) != results.key(parse({"env": "CartPole-v1", "agent": {"clip_range": 0.1035971502}}))


@pytest.mark.parametrize("controller", ["llm", "numeric", "an option"])
def test_other_weights_in_the_same_folder_are_another_run(controller: str, tmp_path: Path) -> None:
    named = {"controller": f"{controller}:{tmp_path}"}
    if controller == "an option":
        named = {"controller": "llm", "llm": {"model": str(tmp_path)}}
    config = parse({"env": "CartPole-v1", **named})
    (tmp_path / "weights.safetensors").write_bytes(b"one")
    key = results.key(config)
    assert results.key(config) == key
    (tmp_path / "weights.safetensors").write_bytes(b"two")
    assert results.key(config) != key


def test_another_adapter_in_the_package_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse({"env": "CartPole-v1", "controller": "hyperprompt"})
    key = results.key(config)
    (tmp_path / "weights.safetensors").write_bytes(b"one")
    monkeypatch.setattr("hyperprompt.llm.adapters.shipped", lambda: tmp_path)
    assert results.key(config) != key


def test_another_class_in_a_users_module_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "of_a_user.py"
    module.write_text("raise RuntimeError('nothing is imported to name a run')")
    key = results.key(parse({"env": "CartPole-v1", "controller": "of_a_user:Mine"}))
    assert results.key(parse({"env": "CartPole-v1", "controller": "of_a_user:Mine"})) == key
    module.write_text("edited")
    assert results.key(parse({"env": "CartPole-v1", "controller": "of_a_user:Mine"})) != key
