"""The NetHack encoder: each of its parts against a slow reference, and PPO learning through all of it."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.preprocessing import preprocess_obs

from hyperprompt.envs.make import make
from hyperprompt.errors import InvalidValue

if find_spec("nle") is None:
    pytest.skip("NLE is not installed", allow_module_level=True)

from hyperprompt.agents.encoders import nethack_glyphs
from hyperprompt.agents.encoders.nethack import CROP, HEIGHT, TRIGRAMS, WIDTH, NetHackEncoder, scaled_stats, trigrams

STONE = 2359
STAIRS_DOWN = STONE + 24


@pytest.fixture(scope="module")
def observations() -> dict[str, np.ndarray]:
    """64 positions out of random games, (64, ...)."""
    env = make("nethack/score", 8, 2)
    env.reset()
    rng = np.random.default_rng(0)
    kept = []
    for step in range(160):
        seen = env.step(rng.integers(0, 23, 8))[0]
        if step % 20 == 19:
            kept.append(seen)
    env.close()
    return {key: np.concatenate([o[key] for o in kept]) for key in kept[0]}  # type: ignore[call-overload, index]


@pytest.fixture(scope="module")
def space() -> spaces.Dict:
    from hyperprompt.envs.nethack.vector import observation_space

    return observation_space()


@pytest.fixture
def encoder(space: spaces.Dict) -> NetHackEncoder:
    torch.manual_seed(0)
    return NetHackEncoder(space, features_dim=64)


def prepared(observations: dict[str, np.ndarray], space: spaces.Dict) -> dict[str, torch.Tensor]:
    """As SB3 hands them to an encoder."""
    tensors = {key: torch.as_tensor(part) for key, part in observations.items()}
    result = preprocess_obs(tensors, space)
    assert isinstance(result, dict)
    return result


def test_sb3_leaves_the_values_alone(observations: dict[str, np.ndarray], space: spaces.Dict) -> None:
    for key, part in prepared(observations, space).items():
        np.testing.assert_array_equal(part.numpy(), observations[key].astype(np.float32))


def test_a_position_is_encoded_the_same_in_any_batch(
    encoder: NetHackEncoder, observations: dict[str, np.ndarray], space: spaces.Dict
) -> None:
    whole = encoder(prepared(observations, space))
    assert whole.shape == (64, 64)
    assert torch.isfinite(whole).all()
    for i in (0, 31, 63):
        alone = encoder(prepared({key: part[i : i + 1] for key, part in observations.items()}, space))
        torch.testing.assert_close(alone[0], whole[i], rtol=1e-4, atol=1e-5)


def test_crop_and_counts_against_a_loop(encoder: NetHackEncoder, observations: dict[str, np.ndarray]) -> None:
    """Heroes in the middle and in every corner."""
    corners = [(y, x) for y in (0, HEIGHT - 1) for x in (0, WIDTH - 1)]
    heroes = [(int(b[1]), int(b[0])) for b in observations["blstats"][:12]] + corners
    glyphs = torch.as_tensor(observations["glyphs"][:16]).float().flatten(1)
    rows, columns = (torch.tensor([hero[axis] for hero in heroes]) for axis in (0, 1))
    crops, counts = encoder._around(glyphs, rows, columns), encoder._count(glyphs, rows, columns)
    kind = nethack_glyphs.kinds()
    for i, (y, x) in enumerate(heroes):
        level = observations["glyphs"][i]
        padded = np.full((HEIGHT + 2 * CROP, WIDTH + 2 * CROP), 5976)
        padded[CROP:-CROP, CROP:-CROP] = level
        reach = CROP // 2
        expected = padded[y + CROP - reach : y + CROP + reach + 1, x + CROP - reach : x + CROP + reach + 1]
        np.testing.assert_array_equal(crops[i].reshape(CROP, CROP).numpy(), expected)
        tally = np.zeros((5, 7, nethack_glyphs.KINDS))
        for r, c in zip(*np.nonzero(level != STONE), strict=True):
            row = sum(r - y >= edge for edge in (-8, -4, 5, 9))
            column = sum(c - x >= edge for edge in (-16, -8, -4, 5, 9, 17))
            tally[row, column, kind[level[r, c]]] += 1
        np.testing.assert_allclose(counts[i].numpy(), np.log1p(tally).ravel() / 2, rtol=1e-5)


def test_stairs_far_away_are_seen_and_so_is_their_direction(
    encoder: NetHackEncoder, observations: dict[str, np.ndarray], space: spaces.Dict
) -> None:
    one = {key: part[:1].copy() for key, part in observations.items()}
    one["glyphs"][:] = STONE
    one["blstats"][:, :2] = (40, 10)
    found = [encoder(prepared(one, space))]
    for column in (5, 75):
        there = {key: part.copy() for key, part in one.items()}
        there["glyphs"][0, 10, column] = STAIRS_DOWN
        found.append(encoder(prepared(there, space)))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(found[a], found[b], atol=1e-4)


def test_kinds_and_appearances() -> None:
    from nle import nethack

    kinds, looks = nethack_glyphs.kinds(), nethack_glyphs.appearances()
    assert len(kinds) == len(looks) == nethack.MAX_GLYPH
    assert set(kinds) == set(range(nethack_glyphs.KINDS))
    assert set(looks) == set(range(max(looks) + 1))
    assert kinds[STAIRS_DOWN] == nethack_glyphs.DOWN
    assert kinds[STONE] == nethack_glyphs.NOTHING
    assert kinds.count(nethack_glyphs.NOTHING) == 1
    jackal, fox = 12, 13  # both shown as 'd'
    assert nethack.permonst(jackal).mname == "jackal"
    assert looks[jackal] == looks[fox] != looks[jackal + nethack.GLYPH_PET_OFF]
    assert kinds[jackal] == nethack_glyphs.MONSTER
    assert kinds[jackal + nethack.GLYPH_PET_OFF] == nethack_glyphs.PET
    assert looks[STAIRS_DOWN] != looks[STAIRS_DOWN - 1]


def test_bottom_lines_are_tamed(observations: dict[str, np.ndarray]) -> None:
    real = scaled_stats(torch.as_tensor(observations["blstats"]).float())
    assert real.shape == (64, 51)
    assert real.abs().max() < 5.01
    for extreme in (np.iinfo(np.int32).min, -1, 0, np.iinfo(np.int32).max):
        wild = scaled_stats(torch.full((1, 27), float(extreme)))
        assert torch.isfinite(wild).all()
        assert wild.abs().max() < 10
    hungry = torch.zeros(1, 27)
    hungry[0, 21], hungry[0, 25] = 2, 1 << 5
    assert (scaled_stats(hungry) - scaled_stats(torch.zeros(1, 27))).abs().sum() == 3  # one of seven moved, one bit set


def test_message_is_a_bag_of_trigrams() -> None:
    def encoded(*texts: bytes) -> torch.Tensor:
        return trigrams(torch.tensor([list(text.ljust(256, b"\0")) for text in texts]).float())

    found = encoded(b"", b"You see here a dagger.", b"You kill the newt!")
    assert found.shape == (3, 78)
    assert not found[0].any()
    assert (found[1] > 0).sum() == len(b"You see here a dagger.") - 2
    assert found.max() < TRIGRAMS
    assert found[1, 0] == found[2, 0]  # 'You'
    assert not torch.equal(found[1, :10], found[2, :10])


def test_other_integer_types_of_nle_do_as_well(
    encoder: NetHackEncoder, observations: dict[str, np.ndarray], space: spaces.Dict
) -> None:
    """NLE's own environments have int64 bottom lines and more observations than are read."""
    wide = spaces.Box(-(2**31), 2**31 - 1, (27,), np.int64)
    theirs = spaces.Dict({**space.spaces, "blstats": wide, "tty_cursor": spaces.Box(0, 255, (2,), np.uint8)})
    other = NetHackEncoder(theirs, features_dim=64)
    other.load_state_dict(encoder.state_dict())
    seen = observations | {"blstats": observations["blstats"].astype(np.int64), "tty_cursor": np.zeros((64, 2), np.uint8)}
    torch.testing.assert_close(other(prepared(seen, theirs)), encoder(prepared(observations, space)), rtol=0, atol=0)


@pytest.mark.parametrize("missing", ["glyphs", "blstats", "message"])
def test_other_spaces_are_refused(space: spaces.Dict, missing: str) -> None:
    with pytest.raises(InvalidValue, match=missing):
        NetHackEncoder(spaces.Dict({key: part for key, part in space.spaces.items() if key != missing}))
    with pytest.raises(InvalidValue):
        NetHackEncoder(spaces.Box(0, 1, (4,)))  # type: ignore[arg-type]


def test_ppo_trains_every_part_and_repeats() -> None:
    def weights() -> dict[str, torch.Tensor]:
        model = PPO(
            "MultiInputPolicy",
            make("nethack/score", 4, 0),
            n_steps=64,
            batch_size=128,
            n_epochs=2,
            seed=0,
            device="cpu",
            policy_kwargs={"features_extractor_class": NetHackEncoder, "features_extractor_kwargs": {"features_dim": 64}},
        )
        before = {name: part.detach().clone() for name, part in model.policy.features_extractor.named_parameters()}
        model.learn(256)
        after = {name: part.detach() for name, part in model.policy.features_extractor.named_parameters()}
        assert not [name for name in before if torch.equal(before[name], after[name])]
        assert model.env is not None
        model.env.close()
        return after

    first, again = weights(), weights()
    for name, part in first.items():
        torch.testing.assert_close(part, again[name], rtol=0, atol=0)
