"""A run driven from outside equals `learn`, and branches from one state as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hyperprompt import HyperPromptCallback
from hyperprompt.agents.loop import rebuild_environments
from hyperprompt.config import RunConfig, parse
from hyperprompt.core import MetaAction
from hyperprompt.errors import InvalidValue
from hyperprompt.meta.live import LiveRun
from hyperprompt.pipeline.resolve import agent, resolve

PPO: dict[str, Any] = {
    "env": "CartPole-v1",
    "algo": "ppo",
    "steps": 640,
    "every": 128,
    "n_envs": 2,
    "normalize": {"observation": True, "reward": True},
    "agent": {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}},
}
OFF_POLICY: dict[str, Any] = {"learning_starts": 16, "buffer_size": 60, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}}
"""A buffer that has gone round after 60 steps."""
SAC: dict[str, Any] = {
    "env": "Pendulum-v1",
    "algo": "sac",
    "steps": 160,
    "every": 32,
    "n_envs": 2,
    "normalize": {"observation": True, "reward": False},
    "agent": OFF_POLICY,
}
SBX: dict[str, Any] = {**SAC, "algo": "sbx-sac", "normalize": None}
RUNS = [
    pytest.param(PPO, id="ppo"),
    pytest.param(SAC, id="sac"),
    pytest.param(SBX, id="sbx-sac", marks=pytest.mark.slow),
]


def config(settings: dict[str, Any], **changes: Any) -> RunConfig:
    if settings["algo"].startswith("sbx"):
        pytest.importorskip("sbx")
    return resolve(parse({**settings, "controller": "static", **changes}))


def equal(a: Any, b: Any) -> bool:
    """Whether two trees of arrays and numbers are the same, bit for bit; NaN equals NaN."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, torch.Tensor | np.ndarray):
        return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
    return bool(a == b)


def weights_of(snapshot: dict[str, Any]) -> Any:
    return snapshot["agent"]["weights"]


def learnt(snapshot: dict[str, Any]) -> Any:
    """A snapshot without what a fork has of its own: its name, and the generators that SBX keeps beside the weights."""
    own = {name: part for name, part in weights_of(snapshot).items() if name != "keys"}
    return {**snapshot["agent"], "weights": own}, snapshot["replay"]


def weights(run: LiveRun) -> Any:
    return weights_of(run.snapshot())


@pytest.fixture
def live() -> Any:
    """Builds runs, and closes them at the end."""
    runs: list[LiveRun] = []

    def build(settings: dict[str, Any] | LiveRun, **changes: Any) -> LiveRun:
        runs.append(settings if isinstance(settings, LiveRun) else LiveRun(config(settings, **changes)))
        return runs[-1]

    yield build
    for run in runs:
        run.close()


Build = Callable[..., LiveRun]


@pytest.mark.parametrize("settings", RUNS)
def test_driven_in_intervals_it_is_the_run_that_learn_would_make(settings: dict[str, Any], live: Build) -> None:
    class Line:  # a schedule of the user's: it has to see the progress of the whole budget, not of an interval
        def __call__(self, left: float) -> float:
            return 1e-2 * left

    changes = {"agent": {**settings["agent"], "learning_rate": Line()}} if settings is PPO else {}
    whole = agent(config(settings, **changes))
    callback = HyperPromptCallback("static", every=settings["every"], env=settings["env"])
    whole.learn(settings["steps"], callback=callback)
    run = live(settings, **changes)
    while not run.finished:
        run.apply(MetaAction())
        np.random.seed(3)  # noqa: NPY002  somebody else at work between the intervals
        torch.manual_seed(3)
        run.advance()
    assert callback.meta is not None
    assert equal(weights(run), callback.meta.agent.snapshot()["weights"])
    assert equal(run.meta.intervals, callback.meta.intervals)
    assert run.model._current_progress_remaining == pytest.approx(0.0)
    assert run.updates == run.agent.updates() > 0
    assert whole.env is not None
    whole.env.close()


def test_progress_is_that_of_the_whole_budget(live: Build) -> None:
    for settings in (PPO, SAC):
        run = live(settings)
        run.advance(settings["steps"] // 5)
        assert run.model._current_progress_remaining == pytest.approx(0.8)
        assert run.state().progress == pytest.approx(0.2)


def test_its_model_can_be_saved(live: Build, tmp_path: Path) -> None:
    run = live(PPO)
    run.model.save(tmp_path / "model.zip")
    loaded = type(run.model).load(tmp_path / "model.zip", device="cpu")
    assert "_update_current_progress_remaining" not in vars(loaded)


@pytest.mark.parametrize("settings", RUNS)
def test_a_fork_starts_from_the_same_bits_and_leaves_its_parent_alone(settings: dict[str, Any], live: Build) -> None:
    run = live(settings)
    run.apply(MetaAction({"learning_rate": 0.5}))
    run.advance(64)
    before = run.snapshot()
    fork = live(run.fork(1))
    assert equal(learnt(fork.snapshot()), learnt(before))
    assert equal(fork.state().intervals, run.state().intervals)
    assert fork.state().theta == run.state().theta
    fork.apply(MetaAction({"learning_rate": -2.0}))
    fork.advance(64)
    assert not equal(weights(fork), before["agent"]["weights"])
    assert equal(run.snapshot(), before)
    assert run.agent.get()["learning_rate"] == pytest.approx(4 * fork.agent.get()["learning_rate"])


@pytest.mark.parametrize("settings", RUNS)
def test_equal_branches_continue_equally_and_different_ones_do_not(settings: dict[str, Any], live: Build) -> None:
    run = live(settings)
    run.advance(32)  # the replay buffer is not full
    snapshot = run.snapshot()
    forks = [live(run.fork(branch)) for branch in (1, 1, 2)]
    for _ in range(2):  # in lockstep: none draws from another's generators
        for fork in forks:
            fork.advance(32)
    first, again, other = map(weights, forks)
    assert equal(first, again)
    assert not equal(first, other)
    run.restore(snapshot, 1)
    run.advance(32)
    run.advance(32)
    assert equal(weights(run), first)
    assert equal(run.state().intervals, forks[0].state().intervals)


@pytest.mark.parametrize("settings", RUNS)
def test_a_forks_first_update_sees_the_moments_of_its_optimisers(settings: dict[str, Any], live: Build) -> None:
    """With a fresh Adam the same gradients would lead elsewhere: nothing but the moments differs between the two."""
    run = live(settings)
    run.advance(64)
    snapshot = run.snapshot()
    fork = live(run.fork(1))
    fork.advance(64)
    outcomes = []
    for moments in (lambda tree: tree, without_moments):
        run.restore({**snapshot, "agent": {**snapshot["agent"], "weights": moments(weights_of(snapshot))}}, 1)
        run.advance(64)
        outcomes.append(weights(run))
    assert equal(weights(fork), outcomes[0])
    assert not equal(weights(fork), outcomes[1])


def without_moments(tree: Any) -> Any:
    """The tree with every first and second moment of Adam at zero."""
    if not isinstance(tree, dict):
        return tree
    moments = ("exp_avg", "exp_avg_sq", "mu", "nu")
    return {k: _zeros(v) if k in moments else without_moments(v) for k, v in tree.items()}


def _zeros(tree: Any) -> Any:
    return {k: _zeros(v) for k, v in tree.items()} if isinstance(tree, dict) else torch.zeros_like(tree)


def test_the_first_transition_on_new_environments_is_stored_as_they_gave_it(live: Build) -> None:
    """Under VecNormalize the replay buffer holds raw observations, which the model keeps beside the normalised ones."""
    run = live(SAC)
    run.advance(32)
    buffer: Any = run.model.replay_buffer  # type: ignore[attr-defined]
    first = buffer.pos
    rebuild_environments(run.model)
    begun = np.array(run.model.env.get_original_obs())  # type: ignore[union-attr]
    run.advance(16)
    assert np.array_equal(buffer.observations[first], begun)


def test_evaluation_has_fixed_seeds_and_changes_nothing(live: Build) -> None:
    run = live(PPO)
    twin = live(PPO)
    run.advance()
    twin.advance()
    before = run.snapshot()
    assert np.array_equal(run.evaluate(4), run.evaluate(4))
    assert not np.array_equal(run.evaluate(4), run.evaluate(4, seed=2))
    assert equal(run.snapshot(), before)
    run.advance()
    twin.advance()
    assert equal(weights(run), weights(twin))
    assert equal(run.state(), twin.state())


@pytest.mark.slow
def test_evaluation_of_an_sbx_agent_draws_from_the_seed_alone(live: Build) -> None:
    run = live(SBX)
    run.advance()
    before = run.snapshot()
    assert np.array_equal(run.evaluate(2), run.evaluate(2))
    assert equal(run.snapshot(), before)


def test_whole_updates_within_the_budget(live: Build) -> None:
    run = live(PPO)
    assert run.advance(1).step == 64
    assert run.advance(65).step == 192
    assert run.advance(10_000).step == 640
    assert run.finished
    with pytest.raises(InvalidValue, match="640"):
        run.advance()
    with pytest.raises(InvalidValue, match="-1"):
        live(PPO).advance(-1)


def test_a_snapshot_of_another_buffer_is_refused(live: Build) -> None:
    run, other = live(SAC), live(SAC, agent={**OFF_POLICY, "buffer_size": 20})
    run.advance(64)
    with pytest.raises(InvalidValue, match="rows"):
        other.restore(run.snapshot(), 0)
