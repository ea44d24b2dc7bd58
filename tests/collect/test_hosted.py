from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from hyperprompt.collect import branches, ppo, tasks
from hyperprompt.collect.config import Recipe
from hyperprompt.collect.hosted import Host, Pool
from hyperprompt.collect.sources import find, full, relatives, short
from hyperprompt.collect.split import check, part_of
from hyperprompt.collect.steer import LANES, collector, keys, pick
from hyperprompt.envs.make import make
from hyperprompt.envs.seeding import spread
from hyperprompt.errors import InvalidValue

pytest.importorskip("envpool")
CARTPOLE = "envpool/CartPole-v1"


@pytest.mark.parametrize(("name", "actions", "steps"), [("CartPole-v1", 2, 80), ("MiniGrid-Empty-5x5-v0", 3, 200)])
def test_a_pool_is_the_live_environment_step_by_step(name: str, actions: int, steps: int) -> None:
    live, pool = make(name, n_envs=3, seed=5, backend="envpool"), Pool(name, list(spread(5, 3)))
    assert live.observation_space.shape == (Host(name).observation_size,)
    np.testing.assert_array_equal(live.reset(), pool.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(steps):
        action = rng.integers(actions, size=3)
        observation, reward, done, infos = live.step(action)
        ours = pool.step(action)
        np.testing.assert_array_equal(observation, ours[0])
        np.testing.assert_array_equal(reward, ours[2])
        np.testing.assert_array_equal(done, ours[3] | ours[4])
        for i in np.flatnonzero(done):
            np.testing.assert_array_equal(infos[i]["terminal_observation"], ours[1][i])
            ended += 1
    assert ended > 3


def test_actions_are_clipped_to_the_task_s_bounds() -> None:
    host, state = Host("Pendulum-v1"), {}
    for torque in (2.0, 50.0):
        observation, handle = jax.vmap(host.reset)(keys([3]))
        _, outcome = jax.vmap(host.step)(keys([3]), handle, np.full((1, 1), torque, np.float32))
        state[torque] = np.asarray(outcome.observation)
        assert not np.array_equal(state[torque], observation)
    np.testing.assert_array_equal(state[2.0], state[50.0])


def test_a_state_goes_on_once() -> None:
    host = Host("CartPole-v1")
    _, first = jax.vmap(host.reset)(keys([0, 1]))
    action = np.zeros(2, np.int32)
    second, _ = jax.vmap(host.step)(keys([0, 1]), first, action)
    jax.block_until_ready(jax.vmap(host.step)(keys([0, 1]), second, action))
    with pytest.raises(Exception, match="not those of pool"):
        jax.block_until_ready(jax.vmap(host.step)(keys([0, 1]), first, action))


@pytest.mark.parametrize("name", ["CoinrunEasy-v0", "BabyAI-GoToObj-v0", "NoSuchTask-v0"])
def test_what_a_small_network_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        Host(name)


def test_ppo_learns_and_branches_begin_new_episodes_while_the_run_goes_on() -> None:
    fast = ppo.Collector(tasks.make(CARTPOLE), n_steps=64)
    state, rows = fast.advance(fast.init(keys([0, 1])), {"learning_rate": 1e-3}, 24)
    means = rows["return_sum"].sum(1) / rows["episodes"].sum(1)
    assert means[:2].mean() < 40
    assert np.nanmean(means[-4:]) > 120  # a run whose episodes outlast an interval has learned, too
    ends = []
    for _ in range(3):  # more than are kept alive: what is visited costs the run nothing
        with fast.task.visit():
            fork = fast.branch(pick(state, 0, 2), keys([7, 7]))
            assert not np.asarray(fork.running).any()
            ends.append(fast.advance(fork, {}, 2)[1]["return_sum"])
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[0][:, 0], ends[0][:, 1])  # common random numbers
    assert fast.advance(state, {}, 1)[1]["episodes"].sum() > 0


def test_a_round_is_a_function_of_task_and_number() -> None:
    size: dict[str, Any] = {"steps": 6 * 512, "actions": 3, "seeds": 1, "horizon_updates": 1, "episodes": 2}
    recipe = Recipe(env=CARTPOLE, scale=(20.0, 500.0), behaviour="near", **size)
    first, second = (branches.collect_round(recipe, 0) for _ in range(2))
    assert len(first) == LANES
    assert {(c.family, c.task) for c in first} == {("envpool", CARTPOLE)}
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.end, other.end)
    assert all(np.isfinite(c.end).all() for c in first)
    assert np.mean([c.state.intervals[0].theta["learning_rate"] == 3e-4 for c in first if c.state.intervals]) > 0.5


def test_names() -> None:
    assert find("envpool/Ant-v5").id == "Ant-v5"
    assert find("envpool/Ant-v5").algorithm == "ppo"
    assert full("envpool/Ant-v5") == short("envpool/Ant-v5") == "envpool/Ant-v5"
    assert full(short("gymnax/lake")) == "gymnax/lake"
    assert relatives("envpool/Swimmer-v5") == {"envpool/Swimmer-v5", "Swimmer-v5"}


def test_sealed_tasks_stay_sealed_under_a_compiled_learner() -> None:
    assert part_of("envpool/Swimmer-v5") == "source"
    with pytest.raises(InvalidValue, match="sealed"):
        check("envpool/HalfCheetah-v5", {})
    with pytest.raises(InvalidValue, match="sealed"):
        collector("envpool/HalfCheetah-v5")
    with pytest.raises(InvalidValue, match="validation"):
        check("envpool/Walker2d-v5", {})


def test_a_visit_within_a_visit_closes_its_own_alone() -> None:
    host, action = Host("CartPole-v1"), np.zeros(1, np.int32)
    with host.visit():
        _, outer = jax.vmap(host.reset)(keys([0]))
        with host.visit():
            _, inner = jax.vmap(host.reset)(keys([1]))
        jax.block_until_ready(jax.vmap(host.step)(keys([0]), outer, action))
        with pytest.raises(Exception, match="not those of pool"):
            jax.block_until_ready(jax.vmap(host.step)(keys([0]), inner, action))
