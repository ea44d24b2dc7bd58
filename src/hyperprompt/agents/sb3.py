"""Stable-Baselines3: where each hyperparameter lives, and how weights are read and written.

Assigning the attribute of the constructor's name is often not enough: schedules are objects made at construction, gamma and
lambda are copied into the buffers. `tests/agents/test_effect_sb3.py` proves every line of the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule

from hyperprompt.agents.base import ModelAgent, Setting, episodic_refusals, gradient_steps, integer, plain
from hyperprompt.agents.snapshots import to_plain

LEARNING_RATE = Setting(
    lambda model: model.lr_schedule(model._current_progress_remaining),
    {"learning_rate": float, "lr_schedule": FloatSchedule},
)
GAMMA = plain("gamma")
ON_POLICY_GAMMA = Setting(GAMMA.read, {"gamma": float, "rollout_buffer.gamma": float})
REPLAY_GAMMA = Setting(GAMMA.read, {"gamma": float, "replay_buffer.gamma": float})

ON_POLICY: dict[str, Setting] = {
    "learning_rate": LEARNING_RATE,
    "ent_coef": plain("ent_coef"),
    "vf_coef": plain("vf_coef"),
    "gamma": ON_POLICY_GAMMA,
    "gae_lambda": Setting(lambda model: model.gae_lambda, {"gae_lambda": float, "rollout_buffer.gae_lambda": float}),
}
OFF_POLICY: dict[str, Setting] = {
    "learning_rate": LEARNING_RATE,
    "tau": plain("tau"),
    "gamma": REPLAY_GAMMA,
    "gradient_steps": gradient_steps(),
    "batch_size": plain("batch_size", integer),
}
SETTINGS: dict[str, dict[str, Setting]] = {
    "ppo": ON_POLICY
    | {
        "n_epochs": plain("n_epochs", integer),
        "clip_range": Setting(
            lambda model: model.clip_range(model._current_progress_remaining), {"clip_range": FloatSchedule}
        ),
        "max_grad_norm": plain("max_grad_norm"),
        "batch_size": plain("batch_size", integer),
        "target_kl": plain("target_kl"),
    },
    "a2c": ON_POLICY | {"max_grad_norm": plain("max_grad_norm")},
    "sac": OFF_POLICY | {"target_entropy": plain("target_entropy")},
    "td3": OFF_POLICY
    | {
        "policy_delay": plain("policy_delay", integer),
        "target_policy_noise": plain("target_policy_noise"),
        "target_noise_clip": plain("target_noise_clip"),
    },
    "dqn": OFF_POLICY
    | {
        # Read after every step, for the action after it.
        "exploration_rate": Setting(
            lambda model: model.exploration_schedule(model._current_progress_remaining),
            {"exploration_schedule": ConstantSchedule},
        ),
        # In environment steps; the model divides by the number of environments at every step.
        "target_update_interval": plain("target_update_interval", integer),
        "max_grad_norm": plain("max_grad_norm"),
    },
}


def _refusals(model: Any, algorithm: str) -> dict[str, str]:
    refused = episodic_refusals(model)
    if algorithm == "sac" and model.ent_coef_optimizer is None:
        refused["target_entropy"] = "the entropy coefficient is fixed; construct the model with ent_coef='auto'"
    return refused


class Sb3Agent(ModelAgent):
    """A Stable-Baselines3 model."""

    library = "sb3"

    def __init__(self, model: Any, algorithm: str) -> None:
        super().__init__(model, algorithm, SETTINGS[algorithm], _refusals(model, algorithm))

    def updates(self) -> int:
        if self.algorithm != "ppo":
            return super().updates()
        model = self.model
        steps = [int(state["step"]) for state in model.policy.optimizer.state.values() if "step" in state]
        if steps:
            return max(steps)
        # An optimiser that counts nothing, or has not begun: whole epochs.
        return int(model._n_updates * math.ceil(model.n_steps * model.n_envs / model.batch_size))

    def _weights(self) -> dict[str, Any]:
        # SAC's log alpha is neither in the policy nor in an optimiser.
        variables = self.model._get_torch_save_params()[1]
        return {"modules": self.model.get_parameters(), "variables": {name: getattr(self.model, name) for name in variables}}

    def _load_weights(self, weights: Mapping[str, Any]) -> None:
        # A copy: optimisers adopt the tensors they are given and would write into the snapshot.
        self.model.set_parameters(to_plain(weights["modules"]), exact_match=True, device=self.model.device)
        with torch.no_grad():
            for name, value in weights["variables"].items():
                getattr(self.model, name).copy_(value)  # in place: the optimiser holds this very tensor
