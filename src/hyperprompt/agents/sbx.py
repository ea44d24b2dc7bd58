"""SBX (JAX): where each hyperparameter lives, and how weights are read and written.

What training sees as a new shape or a static argument is compiled anew: each new value of `batch_size` (PPO and SAC) and of
`gradient_steps` (SAC) costs seconds once. All else passes without recompilation.

PPO's `vf_coef` reaches the loss but hardly the weights: actor and critic have an Adam each, which does not see the scale of
a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import serialization
from stable_baselines3.common.utils import FloatSchedule

from hyperprompt.agents import sb3
from hyperprompt.agents.base import ModelAgent, Setting, episodic_refusals, integer, plain


def _set_entropy_rate(model: Any, value: float) -> None:
    """Actor and critic take the schedule at every update; the entropy coefficient's optimiser has to be reached by hand."""
    hyperparams = getattr(model.ent_coef_state.opt_state, "hyperparams", None)
    if hyperparams is not None:
        # The same dtype as before, or the whole update is compiled again.
        hyperparams["learning_rate"] = jnp.asarray(value, dtype=hyperparams["learning_rate"].dtype)


SETTINGS: dict[str, dict[str, Setting]] = {
    "ppo": sb3.ON_POLICY
    | {
        "n_epochs": plain("n_epochs", integer),
        "clip_range": Setting(
            lambda model: model.clip_range_schedule(model._current_progress_remaining),
            {"clip_range": float, "clip_range_schedule": FloatSchedule},
        ),
        "batch_size": plain("batch_size", integer),
    },
    "sac": sb3.OFF_POLICY
    | {
        "learning_rate": Setting(sb3.LEARNING_RATE.read, sb3.LEARNING_RATE.into, _set_entropy_rate),
        "target_entropy": plain("target_entropy", np.float32),
    },
}
_STATES = {
    "ppo": ("policy.actor_state", "policy.vf_state"),
    "sac": ("policy.actor_state", "policy.qf_state", "ent_coef_state"),
}
_KEYS = ("key", "policy.key", "policy.noise_key")


def _refusals(model: Any, algorithm: str) -> dict[str, str]:
    if algorithm == "ppo":
        refused = {
            "max_grad_norm": "SBX builds it into the optimiser at construction",
            "target_kl": "in SBX it does not stop an update early but adapts the learning rate; set it at construction",
        }
        if model.target_kl is not None:
            refused["learning_rate"] = f"SBX adapts it to target_kl={model.target_kl:g}; construct the model without target_kl"
        return refused
    refused = episodic_refusals(model)
    if not _learns_entropy(model):
        refused["target_entropy"] = "the entropy coefficient is fixed; construct the model with ent_coef='auto'"
    return refused


def _learns_entropy(model: Any) -> bool:
    return isinstance(model.ent_coef_init, str)


def _inject_entropy_rate(model: Any) -> None:
    """Make the learning rate of the entropy coefficient part of its optimiser's state, where it can change.

    SBX builds `optax.adam` with the rate as a constant. Only the rate is injected: as arrays the other numbers of Adam
    would be rounded differently (1 - b1 in float32).
    """
    state = model.ent_coef_state
    if not _learns_entropy(model) or hasattr(state.opt_state, "hyperparams"):
        return
    rate = float(model.lr_schedule(1))
    tx = optax.inject_hyperparams(optax.adam, static_args=("b1", "b2", "eps", "eps_root", "mu_dtype", "nesterov"))(
        learning_rate=rate
    )
    opt_state = tx.init(state.params)._replace(inner_state=state.opt_state)
    model.ent_coef_state = state.replace(tx=tx, opt_state=opt_state)


class SbxAgent(ModelAgent):
    """An SBX model. SAC's `qf_learning_rate`, where the user gave one, stays the user's."""

    library = "sbx"

    def __init__(self, model: Any, algorithm: str) -> None:
        super().__init__(model, algorithm, SETTINGS[algorithm], _refusals(model, algorithm))
        if algorithm == "sac":
            _inject_entropy_rate(model)

    def seed(self, seed: int) -> None:
        super().seed(seed)
        # Actions are drawn from keys of the policy's own, which set_random_seed leaves alone.
        self.model.policy.key, self.model.policy.noise_key = jax.random.split(jax.random.PRNGKey(seed + 1))

    def updates(self) -> int:
        return int(self.model.policy.actor_state.step) if self.algorithm == "ppo" else super().updates()

    def _weights(self) -> dict[str, Any]:
        states = {name: serialization.to_state_dict(attrgetter(name)(self.model)) for name in _STATES[self.algorithm]}
        adaptive = getattr(self.model, "adaptive_lr", None)
        return {
            "states": _tree(_to_numpy, states),
            "keys": {name: np.asarray(attrgetter(name)(self.model), dtype=np.int64) for name in _KEYS},
            "adaptive_lr": None if adaptive is None else float(adaptive.current_adaptive_lr),
        }

    def _load_weights(self, weights: Mapping[str, Any]) -> None:
        for name, saved in weights["states"].items():
            owner, attribute = _owner(self.model, name)
            setattr(owner, attribute, serialization.from_state_dict(getattr(owner, attribute), _tree(_to_jax, saved)))
        for name, saved in weights["keys"].items():
            owner, attribute = _owner(self.model, name)
            setattr(owner, attribute, jnp.array(saved.numpy(), dtype=jnp.uint32))
        if self.algorithm == "sac":
            # As for actor and critic, the rate is the model's or the one set, not part of what was learnt.
            _set_entropy_rate(self.model, self._held.get("learning_rate", self.model.lr_schedule(1)))
        if weights["adaptive_lr"] is not None:
            self.model.adaptive_lr.current_adaptive_lr = weights["adaptive_lr"]


def _owner(model: Any, path: str) -> tuple[Any, str]:
    parent, _, name = path.rpartition(".")
    return (attrgetter(parent)(model) if parent else model), name


def _tree(convert: Any, tree: Any) -> Any:
    return {k: _tree(convert, v) for k, v in tree.items()} if isinstance(tree, Mapping) else convert(tree)


def _to_numpy(leaf: Any) -> Any:
    return np.array(leaf) if isinstance(leaf, (jax.Array, np.ndarray)) else leaf


def _to_jax(leaf: Any) -> Any:
    return jnp.array(leaf.numpy()) if isinstance(leaf, torch.Tensor) else leaf
