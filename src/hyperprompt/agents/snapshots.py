"""The parts of a snapshot that both libraries share, as trees that `torch.load(weights_only=True)` accepts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hyperprompt.errors import InvalidValue

_COUNTERS = (
    "num_timesteps",
    "_n_updates",
    "_episode_num",
    "_total_timesteps",
    "_num_timesteps_at_start",
    "_current_progress_remaining",
    "exploration_rate",  # DQN
    "_n_calls",  # DQN: decides when the target network is updated
    "reset_idx",  # SBX: parameter resets done
)
_NUMBERS = (bool, int, float, np.number, np.bool_)


def to_plain(tree: Any) -> Any:
    """A copy of `tree` with every array as a CPU tensor and every number a Python one.

    Raises:
        InvalidValue: a leaf that would need pickled code.
    """
    if isinstance(tree, Mapping):
        return {key: to_plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [to_plain(value) for value in tree]
    if isinstance(tree, tuple):
        return tuple(to_plain(value) for value in tree)
    if isinstance(tree, torch.Tensor):
        return tree.detach().cpu().clone()
    if isinstance(tree, np.generic):
        return tree.item()
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(np.array(tree))
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise InvalidValue(f"a snapshot cannot hold a {type(tree).__name__}")


def counters(model: Any) -> dict[str, float]:
    return {name: to_plain(getattr(model, name)) for name in _COUNTERS if hasattr(model, name)}


def set_counters(model: Any, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        setattr(model, name, value)


def normaliser(model: Any) -> dict[str, Any] | None:
    """Running statistics of a `VecNormalize` around the environments; None without one."""
    env = model.get_vec_normalize_env()
    if env is None:
        return None
    rms: dict[str, Any] = {"return": env.ret_rms}
    if env.norm_obs:
        rms |= {f"observation/{k}": v for k, v in env.obs_rms.items()} if _several(env) else {"observation": env.obs_rms}
    return {name: {"mean": to_plain(r.mean), "var": to_plain(r.var), "count": float(r.count)} for name, r in rms.items()}


def set_normaliser(model: Any, values: Mapping[str, Any] | None) -> None:
    """Inverse of `normaliser`.

    Raises:
        InvalidValue: statistics for an agent without `VecNormalize`, or none for one with it.
    """
    env = model.get_vec_normalize_env()
    if (env is None) != (values is None):
        raise InvalidValue("the snapshot and the agent must both have a VecNormalize around the environments, or neither")
    for name, moments in (values or {}).items():
        kind, _, key = name.partition("/")
        rms = env.ret_rms if kind == "return" else env.obs_rms[key] if _several(env) else env.obs_rms
        for moment in ("mean", "var"):
            # Moments of the return are numpy scalars, of observations arrays; both read back as float64.
            setattr(rms, moment, np.asarray(moments[moment], dtype=np.float64).copy()[()])
        rms.count = moments["count"]


def _several(env: Any) -> bool:
    return isinstance(getattr(env, "obs_rms", None), dict)


def episodes(model: Any) -> dict[str, Any] | None:
    """The episodes that the model's own running means are taken over; None before the first `learn`."""
    if model.ep_info_buffer is None:
        return None
    return {
        "info": [{k: float(v) for k, v in info.items() if isinstance(v, _NUMBERS)} for info in model.ep_info_buffer],
        "success": [float(s) for s in model.ep_success_buffer],
    }


def set_episodes(model: Any, values: Mapping[str, Any] | None) -> None:
    if values is None:
        model.ep_info_buffer = model.ep_success_buffer = None
        return
    model.ep_info_buffer = deque((dict(info) for info in values["info"]), maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(values["success"], maxlen=model._stats_window_size)
