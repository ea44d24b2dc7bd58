"""The report: one page, whatever the runs look like, and nothing in it that fetches or runs."""

from __future__ import annotations

import base64
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hyperprompt.core import STEPS, Decision
from hyperprompt.errors import InvalidValue, MissingDependency, RunFolderError
from hyperprompt.evaluation import comparison
from hyperprompt.evaluation.report import report
from hyperprompt.runs import RunFolder

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

HOSTILE = '<script>alert("x")</script>$\\frac{_{\x1b\x00 <img src=http://evil.example/a>'


def make(
    path: Path, controller: str = "llm", seed: int = 0, level: float = 1.0, n: int = 6, finished: bool = True, **extra: object
) -> Path:
    config = {"env": "CartPole-v1", "algo": "ppo", "controller": controller, "seed": seed, "steps": 1000, **extra}
    with RunFolder.create(path, config) as folder:
        for i in range(n):
            p = tuple(1 / 7 for _ in STEPS) if controller != "static" else ()
            status = ("applied", "kept", "clamped", "rejected")[i % 4] if p else "kept"
            before, after = {"learning_rate": 1e-3, "ent_coef": 0.0}, {"learning_rate": 2e-3, "ent_coef": 0.0}
            delta = {"learning_rate": 1.0, "ent_coef": 0.0} if p else {}
            probabilities = dict.fromkeys(before, p) if p else {}
            folder.append_decision(
                Decision(i, i * 100, controller, before, after, delta, probabilities, status, HOSTILE, 0.05, "")
            )
            theta = {f"theta/{name}": value for name, value in after.items()}
            returns = math.nan if i == 0 else level * (i + 1)
            folder.append_progress({"step": (i + 1) * 100, "wall_seconds": i, "return_mean": returns, **theta})
        if finished:
            folder.write_result({"gradient_updates": 77, "wall_seconds": 12.0, "adapt_seconds": 0.3})
    return path


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "srcset", "href", "data", "action", "style")
        ]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(path: Path) -> _Page:
    """Reads the page and asserts what holds for each: no script, no address but data, sound pictures."""
    html = path.read_text()
    page = _Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert all(a.startswith(("data:image/svg+xml;base64,", "background:#")) for a in page.addresses)
    assert "@import" not in html
    assert "url(" not in html
    for picture in re.findall(r"base64,([A-Za-z0-9+/=]+)", html):
        svg = base64.b64decode(picture).decode()
        ElementTree.fromstring(svg)
        assert not re.search(r"(href|src)=['\"](?!#)(?!data:)", svg)
    return page


def test_several_runs_are_compared(tmp_path: Path):
    runs = [make(tmp_path / f"{c}{s}", c, s, 2.0 + s / 10 if c == "llm" else 1.0) for c in ("static", "llm") for s in (0, 1)]
    before = {file: file.stat().st_mtime_ns for run in runs for file in run.rglob("*")}
    page = checked(report([*runs, runs[0]], tmp_path / "out" / "r.html"))
    assert "By AUC, llm leads" in page.text
    assert "static loses" in page.text
    assert "2 seeds a controller are few" in page.text
    assert page.tags.count("tr") == 5, "a folder given twice counts once"
    assert before == {file: file.stat().st_mtime_ns for run in runs for file in run.rglob("*")}


def test_a_loss_and_one_seed_are_said_plainly(tmp_path: Path):
    runs = [make(tmp_path / "a", "static", level=3.0), make(tmp_path / "b", "llm", level=1.0)]
    text = checked(report(runs, tmp_path)).text
    assert "static leads" in text
    assert "llm loses" in text
    assert "proves nothing" in text
    assert (tmp_path / "report.html").exists()


def test_overlapping_seeds_are_said_to_be_perhaps_chance(tmp_path: Path):
    levels = {("static", 0): 1.0, ("static", 1): 2.1, ("llm", 0): 2.0, ("llm", 1): 2.2}
    runs = [make(tmp_path / f"{c}{s}", c, s, level) for (c, s), level in levels.items()]
    assert "may be chance" in checked(report(runs, tmp_path)).text


@pytest.mark.parametrize("n", [0, 1, 3])
def test_an_unfinished_run(tmp_path: Path, n: int):
    text = checked(report([make(tmp_path / "run", n=n, finished=False)], tmp_path / "r.html")).text
    assert "unfinished" in text
    assert "nothing to compare" in text


def test_a_run_that_is_being_written_and_torn_is_shown(tmp_path: Path):
    make(tmp_path / "run", finished=False)
    with RunFolder.open(tmp_path / "run") as live:
        with (tmp_path / "run" / "decisions.jsonl").open("ab") as file:
            file.write(b'{"index": 6, "st')
        checked(report([live.path], tmp_path / "r.html"))


def test_a_run_without_decisions_shows_theta_from_the_progress(tmp_path: Path):
    run = make(tmp_path / "run", "static")
    (run / "decisions.jsonl").unlink()
    page = checked(report([run], tmp_path / "r.html"))
    assert "img" in page.tags
    assert "drawn from" not in page.text


def test_hostile_names_stay_text(tmp_path: Path):
    hostile = HOSTILE.replace("\x00", "").replace("\x1b", "")
    run = make(tmp_path / "<b>run", hostile, env=hostile, note=hostile)
    html = report([run, make(tmp_path / "other", "static", env=hostile)], tmp_path / "r.html").read_text()
    assert "<script" not in html
    assert "<img src=http" not in html
    assert hostile in checked(tmp_path / "r.html").text


def test_different_tasks_are_not_compared(tmp_path: Path):
    runs = [make(tmp_path / "a", "static"), make(tmp_path / "b", "llm", env="Acrobot-v1")]
    page = checked(report(runs, tmp_path / "r.html"))
    assert "leads" not in page.text
    assert page.tags.count("table") == 2


def test_the_page_is_a_function_of_the_runs(tmp_path: Path):
    run = make(tmp_path / "run")
    assert report([run], tmp_path / "1.html").read_bytes() == report([run], tmp_path / "2.html").read_bytes()


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InvalidValue, match="at least one"):
        report([], tmp_path / "r.html")
    with pytest.raises(RunFolderError, match="absent"):
        report([tmp_path / "absent"], tmp_path / "r.html")
    run = make(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"):
        report([run], tmp_path / "file" / "r.html")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependency, match=r"hyperprompt\[report\]"):
        report([run], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [(math.nan, "–"), (None, "–"), (0.0, "0"), (12345.6, "12,346"), (-119.24, "−119.2"), (500, "500"), (0.01234, "0.0123")],  # noqa: RUF001
)
def test_numbers_for_people(value: float | None, text: str):
    assert comparison.number(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((1.3, 1.02, 1.62), ["1.30", "1.02", "1.62"]),
        ((-2.86e-5, -0.0864, 0.0921), ["0.0000", "−0.0864", "0.0921"]),  # noqa: RUF001
        ((192.6, -3.25), ["193", "−3"]),  # noqa: RUF001
        ((1176.0, 0.0), ["1,176", "0"]),
        ((0.0, 0.0), ["0", "0"]),
        ((1.0, math.nan), ["1.00", comparison.NOT_KNOWN]),
        ((499.8, 0.3), ["499.8", "0.3"]),
        ((192.0, 0.4, 385.0), ["192.0", "0.4", "385.0"]),
        ((0.03, 0.004, 12.3), ["0.030", "0.004", "12.300"]),
        ((1.0, 2e-12), ["1.000000", "0.000000"]),
    ],
)
def test_numbers_of_one_kind_have_equally_many_decimals(values: tuple[float, ...], texts: list[str]):
    assert comparison.numbers(*values) == texts


def test_environments_made_otherwise_are_other_tasks(tmp_path: Path) -> None:
    paths = [
        make(tmp_path / mode, controller, env_options={"mode": mode})
        for mode, controller in (("hard", "static"), ("easy", "llm"))
    ]
    groups = comparison.grouped([comparison.load(path) for path in paths])
    assert [task for task, _, _ in groups] == ["CartPole-v1 (mode=hard)", "CartPole-v1 (mode=easy)"]
    text = _Page(report(paths, tmp_path / "both.html").read_text()).text
    assert "CartPole-v1 (mode=easy)" in text
    assert "leads" not in text
