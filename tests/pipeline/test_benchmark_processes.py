"""A benchmark as a user starts it: the command, and a process for every run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hyperprompt import cli

SUITE = """
tasks: [{env: CartPole-v1, steps: 256}]
methods: {static: {controller: static}}
seeds: 1
target: {seeds: 1}
set: {n_envs: 1, agent: {n_steps: 64, n_epochs: 2}}
resamples: 100
jobs: 2
"""


def test_from_the_suite_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, out = tmp_path / "suite.yaml", tmp_path / "out"
    suite.write_text(SUITE)
    monkeypatch.setattr(sys, "argv", ["hyperprompt", "benchmark", str(suite), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert (end.value.code, said.err) == (0, "")
    first, *ended, table, page = said.out.splitlines()
    assert first.startswith("at most 2 runs left, 512 environment steps; about 0:")
    assert [line.split()[0] for line in ended] == ["[1/2]", "[2/2]"]
    assert [table, page] == [str(out / "table.md"), str(out / "report.html")]
    assert "static, other seeds" in (out / "table.md").read_text()
    assert len(list((out / "records").iterdir())) == 2
