"""Names, options and splits of the ants: what is drawn, what is refused. No simulator."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from hyperprompt.envs import make as envs
from hyperprompt.envs.ant import Morphology, sample
from hyperprompt.envs.ant.family import DEFAULT, list_envs, morphology
from hyperprompt.envs.ant.morphology import FACTORS, FIELDS, LEGS, LIMITS, SPLITS, outside_factors
from hyperprompt.errors import InvalidValue, UnknownName

K = 400


@pytest.fixture(scope="module")
def bodies() -> dict[str, list[Morphology]]:
    return {split: [sample(split, k) for k in range(K)] for split in SPLITS}


def test_equal_names_are_equal_bodies() -> None:
    assert sample("train", 7) == sample("train", 7) == morphology("ant/train-7")
    # Pinned: a body keeps its name. numpy may change what its generators draw (NEP 19); this says so if it ever does.
    assert (sample("train", 0).legs, sample("train", 0).gear) == (6, 194.852)
    assert (sample("extrapolation", 0).legs, sample("extrapolation", 0).gear) == (3, 139.476)


def test_splits_never_share_a_body(bodies: dict[str, list[Morphology]]) -> None:
    everyone = [body for split in SPLITS for body in bodies[split]]
    assert len(set(everyone)) == len(everyone)
    for name in ("thigh", "shank", "gear", "torso_radius", "thickness"):
        values = np.array([getattr(body, name) for body in everyone])
        # Six digits: a chance coincidence of a single factor is possible, of half of them not.
        assert len(np.unique(values)) > 0.98 * len(everyone)


def test_training_bodies_fill_their_ranges_and_stay_inside(bodies: dict[str, list[Morphology]]) -> None:
    for split in ("train", "validation", "test"):
        assert not any(outside_factors(body) for body in bodies[split])
        assert {body.legs for body in bodies[split]} == set(LEGS["inside"])
        for name in ("torso_radius", "thigh", "shank", "thickness"):
            values = np.array([getattr(body, name) for body in bodies[split]])
            low, high = FACTORS[name].inside
            assert values.min() < low + 0.05 * (high - low)
            assert values.max() > high - 0.05 * (high - low)
            assert values.mean() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
        gears = np.log([body.gear for body in bodies[split]])
        assert gears.mean() == pytest.approx(math.log(100 * 200) / 2, abs=0.05)


def test_extrapolation_leaves_the_ranges_in_one_to_three_factors(bodies: dict[str, list[Morphology]]) -> None:
    found = [outside_factors(body) for body in bodies["extrapolation"]]
    assert {len(factors) for factors in found} == {1, 2, 3}
    assert frozenset().union(*found) == {"legs", *FACTORS}, "every factor is extrapolated somewhere"
    assert {body.legs for body in bodies["extrapolation"]} == {3, 4, 5, 6, 7, 8}


def test_ant_v5_lies_inside_the_training_ranges() -> None:
    assert not outside_factors(Morphology())
    assert morphology(DEFAULT) == Morphology()
    assert (Morphology().initial_height, Morphology().healthy_heights) == (0.75, (0.2, 1.0))
    assert Morphology().observation_size == 105


def test_factors_are_independent(bodies: dict[str, list[Morphology]]) -> None:
    names = ("legs", "torso_radius", "thigh", "shank", "thickness", "torso_density", "leg_density", "gear")
    table = np.array([[getattr(body, name) for name in names] for body in bodies["train"]])
    correlation = np.corrcoef(table.T) - np.eye(len(names))
    assert np.abs(correlation).max() < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"legs": 0}, "legs must be a number from 1 to 16, got 0"),
        ({"legs": 4.5}, r"legs must be a whole number, got 4\.5"),
        ({"legs": True}, "legs must be a whole number"),
        ({"shank": -0.2}, r"shank must be a number from 0\.02 to 4, got -0\.2"),
        ({"thigh": math.nan}, "thigh must be a number"),
        ({"gear": math.inf}, "gear must be a number"),
        ({"leg_density": "heavy"}, "leg_density must be a number .* got 'heavy'"),
        ({"hip_range": (30, -30)}, r"hip_range must be two angles .* the lower first, got \(30, -30\)"),
        ({"ankle_range": (30, 30)}, "the lower first"),
        ({"ankle_range": 30}, "ankle_range must be two angles"),
        ({"ankle_range": "30,70"}, "ankle_range must be two angles"),
        ({"ankle_range": (30, 300)}, "ankle_range must be a number from -180 to 180, got 300"),
    ],
)
def test_impossible_bodies_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        envs.exists("ant/custom", **options)


def test_bodies_at_the_limits_are_possible() -> None:
    for end in (0, 1):
        values = {name: LIMITS[name][end] for name in FIELDS if not name.endswith("range")}
        assert Morphology(**{**values, "legs": int(values["legs"])}).observation_size > 0  # type: ignore[arg-type]


def test_unknown_options_and_names() -> None:
    with pytest.raises(UnknownName, match=r"unknown option of ant/custom 'leg'\. Did you mean 'legs'\?.*torso_radius"):
        envs.exists("ant/custom", leg=3)
    for name in ("ant/default", "ant/train-3"):
        with pytest.raises(UnknownName, match="unknown option of ant/"):
            envs.exists(name, legs=3)
    for name in ("ant/", "ant/defualt", "ant/train", "ant/train-", "ant/train--1", "ant/train-01", "ant/train-1.5",
                 "ant/train-٣", "ant/Train-1", "ant/train-1\n", "ant/train-9999999999"):  # fmt: skip
        with pytest.raises(UnknownName, match="ant/train-<k>"):
            envs.exists(name)
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        sample("trian", 0)
    with pytest.raises(InvalidValue, match="-1"):
        sample("train", -1)


def test_only_auto_for_bodies_of_our_own() -> None:
    with pytest.raises(InvalidValue, match=r"ant/train-0 .* backend must be 'auto', got 'envpool'"):
        envs.make("ant/train-0", 1, 0, "envpool")


def test_a_body_can_be_written_down_and_built_again() -> None:
    body = sample("extrapolation", 5)
    assert morphology("ant/custom", asdict(body)) == body
    listed = {**asdict(body), "hip_range": list(body.hip_range)}
    assert morphology("ant/custom", listed) == body, "YAML and JSON have lists, no tuples"


def test_the_listing_says_what_the_environments_are() -> None:
    pytest.importorskip("mujoco")
    for info in list_envs():
        assert envs.describe(info.name) == info
        assert info.family == "ant"
        assert info.algorithm == "sbx-sac"
        assert info.every * 24 <= info.steps
        env = envs.make(info.name, 1, 0)
        assert env.observation_space.shape == info.observation_shape
        assert env.action_space.shape == (info.action_size,)
        env.close()


def test_names_are_checked_without_torch_or_simulator() -> None:
    code = (
        "import sys\n"
        "from hyperprompt.envs.make import describe, exists\n"
        "exists('ant/test-4'); exists('ant/custom', legs=5); describe('ant/custom', legs=5)\n"
        "assert not {'torch', 'stable_baselines3', 'mujoco', 'gymnasium'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
