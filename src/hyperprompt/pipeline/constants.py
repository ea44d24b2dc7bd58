"""The fixed scale of every listed task: what random actions return, and what static defaults reach at T.

Rewards of the meta-MDP and scores of comparisons are measured in it: random = 0, static at T = 1. The runs use seeds that
serve nothing else. One finished run is one file, so that an interrupted computation goes on where it stopped, and their
learning curves are the evidence that a task can be learned here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hyperprompt.config import RunConfig
from hyperprompt.durable import atomic_write
from hyperprompt.envs import make as envs
from hyperprompt.envs.scale import RANDOM_EPISODES
from hyperprompt.errors import HyperPromptError
from hyperprompt.evaluation.rollout import random_returns
from hyperprompt.pipeline.executor import Job, Plan, Processes, drive
from hyperprompt.pipeline.results import Record

SEEDS = (9001, 9002, 9003)
ROUND = 64
"""Environments at a time: more of them take more memory than a run does."""
SHARED = ("preset", "algo", "steps")


def measure(tasks: Sequence[str], seeds: Iterable[int], jobs: int, curves: Path, runs: Path) -> list[str]:
    """Train every task under every seed that `curves` holds no file of, `jobs` at a time; returns the failures.

    A run that fails is reported and the rest goes on; one that was interrupted starts afresh.
    """
    todo = [
        Job(
            f"{task} seed {seed}",
            task,
            RunConfig(env=task, controller="static", seed=seed),
            runs / f"{_stem(task)}-s{seed}",
            _file(curves, task, seed),
        )
        for seed in seeds
        for task in tasks
    ]
    messages: list[str] = []

    def listen(job: Job, record: Record) -> None:
        if "error" in record:
            messages.append(f"{job.label}: {record['error']}")
        else:
            print(f"{job.label}: final return {record['result']['final_return']}", flush=True)

    def plan() -> Plan[None]:
        yield todo

    with Processes() as executor:
        drive([plan()], executor, jobs, {}, listen)
    return messages


def table(tasks: Sequence[str], curves: Path) -> dict[str, Any]:
    """Task -> its constants, from the runs in `curves`; a task without a finished run is left out.

    Raises:
        HyperPromptError: the runs of a task differ in preset, algorithm or budget; names the task.
    """
    result: dict[str, Any] = {}
    for task in tasks:
        records = [json.loads(path.read_text()) for path in sorted(curves.glob(f"{_stem(task)}-s*.json"))]
        if not records:
            continue
        shared = {tuple(record["config"][key] for key in SHARED) for record in records}
        if len(shared) != 1:
            raise HyperPromptError(f"the runs of {task} in {curves} differ in {', '.join(SHARED)}: {sorted(shared)}")
        finals = [record["result"]["final_return"] for record in records]
        mean, deviation = random_policy(task, records[0]["config"]["env_options"])
        result[task] = {
            "random": mean,
            "random_std": deviation,
            "static": float(np.mean(finals)),
            "static_seeds": finals,
            "seeds": [record["seed"] for record in records],
            **dict(zip(SHARED, shared.pop(), strict=True)),
        }
    return result


def random_policy(task: str, options: Mapping[str, Any]) -> tuple[float, float]:
    """Mean and standard deviation of the returns of RANDOM_EPISODES episodes of random actions."""
    rounds = []
    for i in range(RANDOM_EPISODES // ROUND):
        env = envs.make(task, ROUND, SEEDS[0] + i * ROUND, **options)
        try:
            rounds.append(random_returns(env, SEEDS[0] + i * ROUND))
        finally:
            env.close()
    returns = np.concatenate(rounds)
    return float(returns.mean()), float(returns.std(ddof=1))


def write_table(tasks: Sequence[str], curves: Path, out: Path) -> None:
    """`table` as YAML, one task a block, with the command that made it."""
    text = yaml.safe_dump(table(tasks, curves), sort_keys=False)
    atomic_write(out, f"# Made by: hyperprompt constants (runs: {curves})\n{text}")


def _stem(task: str) -> str:
    return task.replace("/", "_")


def _file(curves: Path, task: str, seed: int) -> Path:
    return curves / f"{_stem(task)}-s{seed}.json"
