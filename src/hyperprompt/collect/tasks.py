"""Tasks for the compiled collectors: environments of gymnax and of EnvPool behind one pair of functions, and their variants.

A *variant* changes what the learner sees, or how it is parametrised, without changing what is counted: the scale of
observations, rewards and logits, rewards paid only at the end of an episode, sticky actions, noise on rewards. Returns are
always sums of the task's own rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hyperprompt.collect import hosted, sources
from hyperprompt.collect.bases import Base, Gymnax
from hyperprompt.errors import InvalidValue


class Variant(NamedTuple):
    """One variant of a task; every field may be a traced array, one value a run."""

    observation_scale: Any = 1.0
    reward_scale: Any = 1.0
    gain: Any = 1.0
    """Factor on the policy's logits, or on continuous actions before they are clipped: a step of the parameters moves the
    policy that many times as far."""
    delayed: Any = 0.0
    """1: rewards are withheld and their sum is paid when the episode ends."""
    sticky: Any = 0.0
    """Probability that the previous action is repeated instead (Machado et al. 2018, arXiv:1709.06009)."""
    noise: Any = 0.0
    """Standard deviation of Gaussian noise on every reward, in units of the task's rewards."""


class EnvState(NamedTuple):
    inner: Any
    action: Array
    withheld: Array


class Step(NamedTuple):
    """What one step of one environment gives. `observation` is already the next episode's first where one ended."""

    observation: Array
    final_observation: Array
    reward: Array
    """What the learner is given."""
    score: Array
    """What counts: the task's own reward."""
    terminated: Array
    truncated: Array


@dataclass(frozen=True)
class JaxTask:
    """One base task. `reset` and `step` are pure and written for one environment; the collector vmaps them."""

    name: str
    observation_size: int
    action_size: int
    image: bool
    limit: int
    """Steps after which an episode is truncated."""
    reset: Callable[[Array, Variant], tuple[Array, EnvState]]
    step: Callable[[Array, EnvState, Array, Variant], tuple[EnvState, Step]]
    continuous: bool = False
    """Actions are then `action_size` numbers, which the task clips to its bounds, otherwise one of `action_size`."""
    host: hosted.Host | None = None
    """Who keeps the environments, where they are no values: a state goes on once then, what branches begins new episodes."""

    def visit(self) -> AbstractContextManager[None]:
        """Whatever is begun within goes on no longer than that."""
        return self.host.visit() if self.host else nullcontext()


@cache
def make(name: str) -> JaxTask:
    """The base task `name`.

    Raises:
        UnknownName: lists the tasks.
        MissingDependency: gymnax, or EnvPool, is not installed.
    """
    source = sources.find(name)
    return _varied(name, hosted.Host(source.id) if source.hosted else Gymnax(source))


def _varied(name: str, base: Base) -> JaxTask:
    idle = jnp.zeros(base.action_size) if base.continuous else jnp.int32(0)

    def reset(key: Array, variant: Variant) -> tuple[Array, EnvState]:
        observation, inner = base.reset(key)
        return observation * variant.observation_scale, EnvState(inner, idle, jnp.float32(0.0))

    def step(key: Array, state: EnvState, action: Array, variant: Variant) -> tuple[EnvState, Step]:
        key_env, key_sticky, key_noise = jax.random.split(key, 3)
        action = jnp.where(jax.random.uniform(key_sticky) < variant.sticky, state.action, action)
        inner, raw = base.step(key_env, state.inner, variant.gain * action if base.continuous else action)
        done = raw.terminated | raw.truncated
        owed = state.withheld + raw.score
        paid = jnp.where(variant.delayed > 0, jnp.where(done, owed, 0.0), raw.score)
        reward = variant.reward_scale * (paid + variant.noise * jax.random.normal(key_noise))
        seen, final = (part * variant.observation_scale for part in (raw.observation, raw.final_observation))
        outcome = Step(seen, final, reward, raw.score, raw.terminated, raw.truncated)
        return EnvState(inner, action, jnp.where(done, 0.0, owed)), outcome

    host = base if isinstance(base, hosted.Host) else None
    return JaxTask(name, base.observation_size, base.action_size, base.image, base.limit, reset, step, base.continuous, host)


RANGES: Mapping[str, tuple[float, float]] = {"observation_scale": (0.2, 5.0), "reward_scale": (0.1, 10.0), "gain": (0.1, 10.0)}
CONTINUOUS_RANGES: Mapping[str, tuple[float, float]] = {
    "observation_scale": (0.3, 3.0), "reward_scale": (0.1, 10.0), "gain": (0.5, 2.0)
}  # fmt: skip


def draw(seed: int, continuous: bool = False) -> Variant:
    """A random variant: scales log-uniform over RANGES; delayed, sticky (0.1) and noisy (0.1) at odds 1/4 each.

    Continuous tasks have narrower ranges, since a push that is a tenth as strong solves none of them, and are never delayed:
    what is paid after a hundred steps is not learned about within ten thousand.

    Raises:
        InvalidValue: a negative seed.
    """
    if seed < 0:
        raise InvalidValue(f"seed must not be negative, got {seed}")
    rng = np.random.default_rng(seed)
    ranges = CONTINUOUS_RANGES if continuous else RANGES
    scales = {name: float(np.exp(rng.uniform(*np.log(bounds)))) for name, bounds in ranges.items()}
    delayed, sticky, noisy = (rng.random(3) < 0.25).astype(float)
    late = 0.0 if continuous else float(delayed)
    return Variant(**scales, delayed=late, sticky=0.1 * float(sticky), noise=0.1 * float(noisy))
