"""The compiled SAC: the library's update to the last digits, hyperparameters that act, runs that branch and learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("gymnax")

from hyperprompt.agents import measures
from hyperprompt.collect import sac_equations as equations
from hyperprompt.collect import tasks
from hyperprompt.collect.sac import Q_BATCH, Collector
from hyperprompt.collect.sac_equations import Batch, Learner
from hyperprompt.collect.steer import interval_signals, keys, pick
from hyperprompt.collect.tasks import Variant
from hyperprompt.errors import InvalidValue, UnknownName


@pytest.fixture(scope="module")
def sac() -> Collector:
    return Collector(tasks.make("point"), n_steps=30, batch_size=8, hidden=8, learning_starts=30, buffer_size=300)


def of(tree, lane):
    return jax.tree.map(lambda x: x[lane], tree)


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_a_branch_with_the_run_s_own_key_and_theta_is_the_run(sac):
    state, _ = sac.advance(sac.init(keys([1, 2])), {"learning_rate": 3e-3}, 2)
    undisturbed, seen = sac.advance(state, {"learning_rate": 3e-3, "gradient_steps": np.asarray([1, 2])}, 2)
    branch, again = sac.advance(pick(state, 1, copies=2), {"learning_rate": 3e-3, "gradient_steps": 2}, 2)
    for lane in range(2):
        assert equal(of(undisturbed.learner, 1), of(branch.learner, lane))
        assert all(np.array_equal(seen[name][:, 1], again[name][:, lane], equal_nan=True) for name in seen)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 1e-3), ("tau", 0.1), ("gamma", 0.5), ("gradient_steps", 3), ("target_entropy", 0.0)],
)
def test_every_hyperparameter_acts_on_its_own_lane_only(sac, name, value):
    state, _ = sac.advance(sac.init(keys([3, 3])), {}, 2)
    changed, _ = sac.advance(state, {name: np.asarray([sac.defaults[name], value])}, 1)
    kept, _ = sac.advance(state, {}, 1)
    assert equal(of(changed.learner, 0), of(kept.learner, 0))
    assert not equal(of(changed.learner, 0), of(changed.learner, 1))


def test_gradient_steps_and_stored_transitions_are_counted(sac):
    start = sac.init(keys([5, 6]))
    idle, first = sac.advance(start, {}, sac.idle)
    assert equal(idle.learner, start.learner)
    assert not first["learnt"].any()
    state, rows = sac.advance(idle, {"gradient_steps": np.asarray([1, 4]), "learning_rate": 0.0}, 2)
    assert state.learner.count.tolist() == [60.0, 240.0]
    assert equal(state.learner.params, start.learner.params)
    assert (rows["learnt"] == 30).all()
    # Both lanes have stored one random row after the other; here the rows' own contents tell that none is missing.
    batch = equations.split(state.replay[0, :90], sac.task.observation_size, sac.task.action_size)
    np.testing.assert_array_equal(batch.observation[1:], batch.following[:-1])
    assert np.abs(batch.action).max() <= 1.0
    full, _ = sac.advance(state, {}, 9)
    assert full.stored.tolist() == [360, 360]


def test_signals_are_those_of_live_runs(sac):
    assert measures.Q_BATCH == Q_BATCH
    state, early = sac.advance(sac.init(keys([0, 1])), {}, 1)
    assert set(interval_signals(early, 0).values) == {"q_value"}
    state, rows = sac.advance(state, {}, 4)
    signals = interval_signals(rows, 1)
    assert signals.episodes == 1
    assert set(signals.values) == set(measures.NAMES["sac"])
    assert signals.values["episode_length"] == sac.task.limit
    assert signals.values["q_value"] == pytest.approx(float(rows["q_value"][-1, 1]))


def test_a_diverged_network_plays_on(sac):
    state = sac.init(keys([0, 1]))
    broken = jax.tree.map(lambda x: x * jnp.nan, state.learner)
    after, rows = sac.advance(state._replace(learner=broken), {}, 4)
    assert np.isfinite(sac.evaluate(after, keys([0, 1]), 2)).all()
    assert set(interval_signals(rows, 0).values) == {"return_mean", "return_std", "episode_length"}


def test_variants_count_the_task_s_own_rewards(sac):
    changed = Variant(observation_scale=3.0, reward_scale=9.0, noise=2.0)
    state, _ = sac.advance(sac.init(keys([0, 0]), [Variant(), changed]), {}, 1)
    rewards = equations.split(state.replay[:, :30], sac.task.observation_size, sac.task.action_size).reward
    # The first steps are random and alike, so only what the learner is told differs.
    assert not np.allclose(rewards[0], rewards[1])
    np.testing.assert_array_equal(state.running[0], state.running[1])


def test_mistakes_are_named(sac):
    with pytest.raises(UnknownName, match="learning_rate"):
        sac.advance(sac.init(keys([0, 1])), {"lr": 1.0}, 1)
    with pytest.raises(InvalidValue, match="3 variants for 2 runs"):
        sac.init(keys([0, 1]), [Variant()] * 3)
    with pytest.raises(InvalidValue, match="cartpole"):
        Collector(tasks.make("cartpole"))
    with pytest.raises(InvalidValue, match="50"):
        Collector(tasks.make("point"), buffer_size=50)


def test_one_update_is_the_library_s(monkeypatch):
    """Same weights, moments, batch and noise: the same weights, slow copies and alpha after two gradient steps."""
    import gymnasium as gym
    import torch
    from stable_baselines3 import SAC

    size, theta = 32, {"learning_rate": 3e-3, "tau": 0.03, "gamma": 0.9, "target_entropy": -0.5}
    model = SAC(
        "MlpPolicy", gym.make("Pendulum-v1"), seed=0, batch_size=size, learning_starts=20,
        policy_kwargs={"net_arch": [16, 16]}, **theta,
    )  # fmt: skip
    model.learn(60)  # leaves transitions behind, and weights and moments that are not the first ones

    def critic(net):
        layers = [[net.get_submodule(f"qf{i}")[j] for j in (0, 2, 4)] for i in range(2)]
        return {"w": [[layer.weight for layer in q] for q in layers], "b": [[layer.bias for layer in q] for q in layers]}

    def stack(found, read):
        return {
            f"{kind}{j + 1}": jnp.stack([jnp.asarray(read(q[j]).detach().numpy().T) for q in found[kind]])
            for kind in "wb"
            for j in range(3)
        }

    def actor(read):
        found = model.actor.latent_pi[0], model.actor.latent_pi[2]
        heads = model.actor.mu, model.actor.log_std
        one = {f"w{j}": read(layer.weight).detach().numpy().T for j, layer in enumerate(found, 1)}
        one |= {f"b{j}": read(layer.bias).detach().numpy() for j, layer in enumerate(found, 1)}
        one |= {"w3": np.concatenate([read(h.weight).detach().numpy().T for h in heads], 1)}
        one |= {"b3": np.concatenate([read(h.bias).detach().numpy() for h in heads])}
        return {name: jnp.asarray(value) for name, value in one.items()}

    adam = {**model.actor.optimizer.state, **model.critic.optimizer.state, **model.ent_coef_optimizer.state}

    def read(of):
        alpha = jnp.asarray(of(model.log_ent_coef).detach().numpy())[0]
        return {"pi": actor(of), "qf": stack(critic(model.critic), of), "log_alpha": alpha}

    learner = Learner(
        params=read(lambda p: p),
        target=stack(critic(model.critic_target), lambda p: p),
        first=read(lambda p: adam[p]["exp_avg"]),
        second=read(lambda p: adam[p]["exp_avg_sq"]),
        count=jnp.float32(40),
    )
    data = model.replay_buffer.sample(size)
    monkeypatch.setattr(model.replay_buffer, "sample", lambda *_, **__: data)
    noise = np.random.default_rng(0).normal(size=(2, 2, size, 1)).astype(np.float32)
    drawn = iter(noise.reshape(4, size, 1))
    monkeypatch.setattr(
        torch.distributions.Normal, "rsample", lambda self, *_: self.loc + self.scale * torch.as_tensor(next(drawn))
    )
    model.train(2, size)

    columns = data.observations, data.actions, data.rewards[:, 0], data.dones[:, 0], data.next_observations
    batch = Batch(*(jnp.asarray(column.numpy()) for column in columns))
    step, after, reports = jax.jit(equations.update), learner, []
    for i in range(2):
        after, report = step(after, batch, noise[i], theta)
        reports.append(report)
    expected = read(lambda p: p), stack(critic(model.critic_target), lambda p: p)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), learner.params, expected[0])
    for ours, theirs, by in zip(*map(jax.tree.leaves, (after.params, expected[0], moved)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * by + 1e-6)
    for ours, theirs in zip(jax.tree.leaves(after.target), jax.tree.leaves(expected[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    logged = model.logger.name_to_value
    for ours, theirs in (("critic_loss", "critic_loss"), ("actor_loss", "actor_loss"), ("alpha", "ent_coef")):
        np.testing.assert_allclose(np.mean([r[ours] for r in reports]), logged[f"train/{theirs}"], rtol=1e-4)
    np.testing.assert_allclose(reports[-1]["gradient_norm"], measures.gradient_norm(model, "sac"), rtol=1e-3)


@pytest.mark.slow
def test_the_pendulum_is_learned():
    """From the -1,240 of random actions to -177 and -360 within 5,000 steps; the library's runs end at -110 to -165."""
    sac = Collector(tasks.make("swingup"))
    state = sac.init(keys([0, 1]))
    assert (sac.evaluate(state, keys([0, 1])).mean(1) < -900).all()
    state, _ = sac.advance(state, {"learning_rate": 3e-3, "gradient_steps": 2}, 50)
    assert (sac.evaluate(state, keys([0, 1])).mean(1) > -450).all()
