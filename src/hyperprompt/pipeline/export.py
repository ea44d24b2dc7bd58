"""What a run found, for use elsewhere: the schedule as YAML."""

from __future__ import annotations

from pathlib import Path

import yaml

from hyperprompt.errors import InvalidValue
from hyperprompt.runs import RunFolder


def schedule_yaml(folder: Path) -> str:
    """The schedule of theta in a run folder, a point per change, replayed by the controller `schedule:FILE`.

    Raises:
        RunFolderError: not a run folder.
        InvalidValue: the run has taken no decision yet.
    """
    run = RunFolder.open(folder, readonly=True)
    config, decisions = run.config, run.decisions()
    if not decisions:
        raise InvalidValue(f"{folder} holds no decision to export")
    changes = [d for i, d in enumerate(decisions) if i == 0 or d.theta_after != decisions[i - 1].theta_after]
    schedule = [
        {"step": d.step, "progress": d.step / config["steps"], "theta": {n: float(v) for n, v in d.theta_after.items()}}
        for d in changes
    ]
    origin = {key: config[key] for key in ("env", "algo", "controller", "seed", "steps")}
    return yaml.safe_dump({"origin": origin, "schedule": schedule}, sort_keys=False)
