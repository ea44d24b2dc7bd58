"""An ant as eleven fields, and the distribution that bodies are drawn from. Imports numpy only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, cast

import numpy as np

from hyperprompt.errors import InvalidValue, UnknownName

Pair = tuple[float, float]

LIMITS: Mapping[str, Pair] = {
    "legs": (1, 16),
    "torso_radius": (0.02, 2.0),
    "coxa": (0.02, 4.0),
    "thigh": (0.02, 4.0),
    "shank": (0.02, 4.0),
    "thickness": (0.01, 0.5),
    "torso_density": (0.1, 1000.0),
    "leg_density": (0.1, 1000.0),
    "gear": (1.0, 2000.0),
    "hip_range": (-180.0, 180.0),
    "ankle_range": (-180.0, 180.0),
}
"""What `Morphology` accepts, inclusive: beyond it a body is a typing error, or flies apart in the simulator."""


@dataclass(frozen=True)
class Morphology:
    """A body: a sphere with equal legs at equal angles, three capsules a leg. The defaults are those of Gymnasium's Ant-v5.

    Raises:
        InvalidValue: a value that is not a number, outside `LIMITS`, or a joint range that does not rise.
    """

    legs: int = 4
    torso_radius: float = 0.25
    """Metres."""
    coxa: float = 0.2 * math.sqrt(2)
    """Metres from the torso's centre to the hip, a stiff capsule."""
    thigh: float = 0.2 * math.sqrt(2)
    """Metres from hip to ankle."""
    shank: float = 0.4 * math.sqrt(2)
    """Metres from ankle to the foot's centre."""
    thickness: float = 0.08
    """Radius of every leg's capsules, metres."""
    torso_density: float = 5.0
    """kg/m3."""
    leg_density: float = 5.0
    """kg/m3."""
    gear: float = 150.0
    """Newton metres of a motor at action 1."""
    hip_range: Pair = (-30.0, 30.0)
    """Degrees about the vertical; 0 points straight out."""
    ankle_range: Pair = (30.0, 70.0)
    """Degrees that the shank points below the thigh."""

    def __post_init__(self) -> None:
        for name in LIMITS:
            value = getattr(self, name)
            if name.endswith("_range"):
                object.__setattr__(self, name, _range(name, value))
            elif name == "legs":
                if isinstance(value, bool) or not isinstance(value, Integral):
                    raise InvalidValue(f"legs must be a whole number, got {value!r}")
                object.__setattr__(self, name, int(_within(name, value)))
            else:
                object.__setattr__(self, name, _within(name, value))

    @property
    def scale(self) -> float:
        """Size beside Ant-v5, which is 1: of the shank or of the torso, whichever is larger. Heights are measured in it."""
        standard = Morphology.shank + Morphology.thickness
        return max(self.torso_radius / Morphology.torso_radius, (self.shank + self.thickness) / standard)

    @property
    def initial_height(self) -> float:
        """Of the torso's centre when an episode begins, metres: Ant-v5's 0.75, scaled."""
        return 0.75 * self.scale

    @property
    def healthy_heights(self) -> Pair:
        """An episode goes on while the torso's centre is between these, metres. Ant-v5: 0.2 and 1.0.

        The lower one is 0.8 torso radii, out of reach of a torso that merely lies on the ground.
        """
        return 0.8 * self.torso_radius, self.scale

    @property
    def action_size(self) -> int:
        return 2 * self.legs

    @property
    def observation_size(self) -> int:
        """17 + 22 legs; see `vec_env.AntVecEnv` for the layout."""
        positions, velocities, bodies = 5 + 2 * self.legs, 6 + 2 * self.legs, 1 + 3 * self.legs
        return positions + velocities + 6 * bodies


FIELDS = tuple(field.name for field in fields(Morphology))


def from_options(options: Mapping[str, Any]) -> Morphology:
    """The body with these fields. Raises UnknownName for another key, InvalidValue for a value."""
    for key in options:
        if key not in FIELDS:
            raise UnknownName("option of ant/custom", str(key), FIELDS)
    return Morphology(**options)


SPLITS = ("train", "validation", "test", "extrapolation")
LEGS: Mapping[str, tuple[int, ...]] = {"inside": (3, 4, 5, 6), "outside": (7, 8)}


@dataclass(frozen=True)
class Factor:
    """One factor of the distribution: uniform, or log-uniform, over `inside`; `outside` are the extrapolation's ranges."""

    inside: Pair
    outside: tuple[Pair, Pair]
    log: bool = False

    def draw(self, rng: np.random.Generator, outside: bool) -> float:
        """From `inside`, or from one of the two ranges `outside`, each with probability 1/2."""
        low, high = self.outside[int(rng.integers(2))] if outside else self.inside
        if self.log:
            return float(math.exp(rng.uniform(math.log(low), math.log(high))))
        return float(rng.uniform(low, high))


FACTORS: Mapping[str, Factor] = {
    "torso_radius": Factor((0.20, 0.30), ((0.15, 0.20), (0.30, 0.36))),
    "coxa": Factor((1.05, 1.35), ((0.90, 1.05), (1.35, 1.60))),  # in torso radii
    "thigh": Factor((0.21, 0.35), ((0.16, 0.21), (0.35, 0.42))),
    "shank": Factor((0.42, 0.70), ((0.33, 0.42), (0.70, 0.85))),
    "thickness": Factor((0.06, 0.10), ((0.045, 0.06), (0.10, 0.12))),
    "torso_density": Factor((3.0, 8.0), ((2.0, 3.0), (8.0, 12.0)), log=True),
    "leg_density": Factor((3.0, 8.0), ((2.0, 3.0), (8.0, 12.0)), log=True),
    "gear": Factor((100.0, 200.0), ((70.0, 100.0), (200.0, 280.0)), log=True),
    "hip_half_range": Factor((20.0, 40.0), ((12.0, 20.0), (40.0, 55.0))),
    "ankle_low": Factor((20.0, 40.0), ((10.0, 20.0), (40.0, 50.0))),
    "ankle_width": Factor((25.0, 50.0), ((15.0, 25.0), (50.0, 70.0))),
}
"""Beside the number of legs, every factor is drawn independently. Ant-v5 lies inside all of them."""

MOST_OUTSIDE = 3
"""Factors that an extrapolation body has outside the training ranges: 1 to this many, the number of legs counting as one."""


def sample(split: str, k: int) -> Morphology:
    """Body number `k` of a split, always the same one.

    Train, validation and test are one distribution; extrapolation differs from it in one to three factors. A generator of
    its own for each (split, k) keeps the splits apart: their continuous factors never coincide.

    Raises:
        UnknownName: the split.
        InvalidValue: k < 0.
    """
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if k < 0:
        raise InvalidValue(f"the number of a body must not be negative, got {k}")
    # A hash, not Python's own: that one changes from process to process.
    stream = int.from_bytes(hashlib.sha256(f"hyperprompt ant {split}".encode()).digest()[:8])
    rng = np.random.default_rng([stream, k])
    names = ("legs", *FACTORS)
    outside: frozenset[str] = frozenset()
    if split == "extrapolation":
        chosen = rng.choice(len(names), size=int(rng.integers(1, MOST_OUTSIDE + 1)), replace=False)
        outside = frozenset(names[i] for i in chosen)
    legs = int(rng.choice(LEGS["outside" if "legs" in outside else "inside"]))
    # Rounded, so that a body can be written down and read back; far finer than any two draws.
    value = {name: float(f"{factor.draw(rng, name in outside):.6g}") for name, factor in FACTORS.items()}
    return Morphology(
        legs=legs,
        torso_radius=value["torso_radius"],
        coxa=value["coxa"] * value["torso_radius"],
        thigh=value["thigh"],
        shank=value["shank"],
        thickness=value["thickness"],
        torso_density=value["torso_density"],
        leg_density=value["leg_density"],
        gear=value["gear"],
        hip_range=(-value["hip_half_range"], value["hip_half_range"]),
        ankle_range=(value["ankle_low"], value["ankle_low"] + value["ankle_width"]),
    )


def outside_factors(morphology: Morphology) -> frozenset[str]:
    """The factors in which a body leaves the training ranges."""
    low, high = morphology.ankle_range
    value = {name: getattr(morphology, name, 0.0) for name in FACTORS} | {
        "coxa": morphology.coxa / morphology.torso_radius,
        "hip_half_range": morphology.hip_range[1],
        "ankle_low": low,
        "ankle_width": high - low,
    }
    slack = 1e-5  # of the rounding
    found = {n for n, f in FACTORS.items() if not f.inside[0] * (1 - slack) <= value[n] <= f.inside[1] * (1 + slack)}
    return frozenset(found | ({"legs"} if morphology.legs not in LEGS["inside"] else set()))


def _within(name: str, value: object) -> float:
    low, high = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise InvalidValue(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _range(name: str, value: object) -> Pair:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or len(value) != 2:
        raise InvalidValue(f"{name} must be two angles in degrees, the lower first, got {value!r}")
    low, high = (_within(name, angle) for angle in cast("Pair", value))
    if low >= high:
        raise InvalidValue(f"{name} must be two angles in degrees, the lower first, got {value!r}")
    return low, high
