"""The log of the replay buffer against the buffer itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer

from hyperprompt.agents.replay import ReplayLog
from hyperprompt.errors import InvalidValue, RunFolderError

BOX = spaces.Box(-1, 1, (3,), np.float32)
SPACES: dict[str, Any] = {"box": BOX, "dict": spaces.Dict({"a": BOX, "b": spaces.Box(0, 255, (2, 2), np.uint8)})}
CAPACITY, N_ENVS = 10, 2


def make(kind: str = "box", capacity: int = CAPACITY, **settings: Any) -> ReplayBuffer:
    cls = {"box": ReplayBuffer, "dict": DictReplayBuffer, "n_step": NStepReplayBuffer}[kind]
    return cls(capacity * N_ENVS, SPACES.get(kind, BOX), spaces.Discrete(4), device="cpu", n_envs=N_ENVS, **settings)


def add(buffer: ReplayBuffer, rows: int, rng: np.random.Generator) -> None:
    def observe() -> Any:
        space = buffer.observation_space
        if isinstance(space, spaces.Dict):
            return {k: rng.integers(0, 200, (N_ENVS, *s.shape)).astype(s.dtype) for k, s in space.items()}  # type: ignore[union-attr]
        return rng.normal(size=(N_ENVS, 3)).astype(np.float32)

    for _ in range(rows):
        infos = [{"TimeLimit.truncated": bool(rng.integers(2))} for _ in range(N_ENVS)]
        buffer.add(
            observe(), observe(), rng.integers(4, size=N_ENVS), rng.normal(size=N_ENVS), rng.integers(2, size=N_ENVS), infos
        )


def arrays(buffer: ReplayBuffer) -> list[np.ndarray[Any, Any]]:
    seen: list[Any] = [buffer.observations, buffer.next_observations]
    flat = [a for x in seen for a in (x.values() if isinstance(x, dict) else [x])]
    return [*flat, buffer.actions, buffer.rewards, buffer.dones, buffer.timeouts]


def same(a: ReplayBuffer, b: ReplayBuffer) -> bool:
    return (a.pos, a.full) == (b.pos, b.full) and all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True))


@pytest.mark.parametrize("kind", ["box", "dict", "n_step"])
@pytest.mark.parametrize(
    "parts",
    [
        (0,),
        (3,),
        (10,),
        (3, 4),
        (3, 0, 4, 5),
        (7, 3),
        (10, 10),
        (4, 23),
        (4, 10),
        (4, 20, 3),
        (25, 1),
        (6, 6, 6, 6, 6),
        (9, 11),
    ],
)
def test_round_trip(tmp_path: Path, kind: str, parts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    buffer, log, end = make(kind), ReplayLog(tmp_path), 0
    for rows in parts:
        add(buffer, rows, rng)
        end = log.append(buffer)
        again = make(kind)
        copy = ReplayLog(tmp_path)
        copy.restore(again, end)
        assert same(buffer, again)
    assert end % CAPACITY == buffer.pos


def test_the_checkpoint_before_stays_restorable_and_what_followed_is_forgotten(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer, log = make(), ReplayLog(tmp_path)
    for rows in (8, 7, 6):
        add(buffer, rows, rng)
        log.append(buffer)
    kept, upto = make(), log.append(buffer)
    ReplayLog(tmp_path).restore(kept, upto)
    add(buffer, 9, rng)
    log.append(buffer)  # and the run dies before the checkpoint that goes with it is whole

    resumed, again = make(), ReplayLog(tmp_path)
    again.restore(resumed, upto)
    assert same(resumed, kept)
    add(resumed, 3, rng)
    end = again.append(resumed)
    assert end == upto + 3
    fresh = make()
    ReplayLog(tmp_path).restore(fresh, end)
    assert same(fresh, resumed)


def test_a_chunk_that_reaches_beyond_the_checkpoint_is_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer = make()
    add(buffer, 7, rng)
    ReplayLog(tmp_path).append(buffer)
    cut, again = make(), ReplayLog(tmp_path)
    again.restore(cut, 4)
    assert cut.pos == 4
    assert np.array_equal(cut.rewards[:4], buffer.rewards[:4])
    assert not cut.rewards[4:].any()
    assert [p.name for p in tmp_path.iterdir()] == ["rows-000000000000-000000000004.npz"]


def test_old_chunks_go(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer, log = make(), ReplayLog(tmp_path)
    for _ in range(30):
        add(buffer, 3, rng)
        log.append(buffer)
    assert len(list(tmp_path.iterdir())) <= 6  # two checkpoints' worth of ten rows, three a chunk


def test_only_new_rows_are_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer, log = make(capacity=1000), ReplayLog(tmp_path)
    add(buffer, 500, rng)
    log.append(buffer)
    add(buffer, 2, rng)
    log.append(buffer)
    small = tmp_path / "rows-000000000500-000000000502.npz"
    with np.load(small) as chunk:
        assert chunk["rewards"].shape == (2, N_ENVS)


def test_another_log_object_goes_on_where_the_folder_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer = make()
    add(buffer, 4, rng)
    ReplayLog(tmp_path).append(buffer)
    add(buffer, 3, rng)
    assert ReplayLog(tmp_path).append(buffer) == 7
    stranger = make()
    add(stranger, 8, rng)
    with pytest.raises(RunFolderError, match="restore"):
        ReplayLog(tmp_path).append(stranger)
    log = ReplayLog(tmp_path)
    log.restore(make(), 0)
    assert log.append(stranger) == 8


def test_damage_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    buffer, log = make(), ReplayLog(tmp_path)
    for _ in range(2):
        add(buffer, 4, rng)
        end = log.append(buffer)
    first, second = sorted(tmp_path.iterdir())
    second.write_bytes(second.read_bytes()[:50])
    with pytest.raises(RunFolderError, match=second.name):
        ReplayLog(tmp_path).restore(make(), end)
    first.unlink()
    with pytest.raises(RunFolderError, match="missing"):
        ReplayLog(tmp_path).restore(make(), end)


def test_buffers_that_cannot_be_stored_are_refused(tmp_path: Path) -> None:
    lean = ReplayBuffer(20, BOX, spaces.Discrete(4), optimize_memory_usage=True, handle_timeout_termination=False)
    with pytest.raises(InvalidValue, match="optimize_memory_usage"):
        ReplayLog(tmp_path).append(lean)


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    buffer = make()
    add(buffer, 3, np.random.default_rng(0))
    end = ReplayLog(tmp_path).append(buffer)
    with pytest.raises(InvalidValue, match="other transitions"):
        ReplayLog(tmp_path).restore(make("dict"), end)
