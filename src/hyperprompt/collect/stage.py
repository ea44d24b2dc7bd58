"""The collect stage: every round that a collection asks for and its folder lacks, one part file a (task, round).

A finished round is a file in the folder's manifest, and nothing else is kept: what was killed in the middle of a round begins
that round again, and a round is a function of (task, round).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from threading import Thread
from typing import Any

from hyperprompt.collect import card, dataset, manifest
from hyperprompt.collect.config import Collection, Recipe
from hyperprompt.collect.dataset import Checkpoint, Part
from hyperprompt.collect.progress import Outlook
from hyperprompt.durable import FolderLock, cache_dir, clear_torn_writes
from hyperprompt.errors import HyperPromptError, InvalidValue, RunFolderError

Round = tuple[Recipe, int]
Outcome = tuple[list[Checkpoint], dict[str, float], str]
"""What a round found, what it cost, and its error, "" without one."""


def run(
    collection: Collection, out: Path, jobs: int = 1, say: Callable[[str], None] = lambda line: None, command: str = ""
) -> list[str]:
    """Collect what is missing in `out`, `jobs` rounds side by side, and write its card; returns the errors of failed rounds.

    A round that fails is reported and the rest goes on; the next start tries it again.

    Raises:
        DatasetError: the folder holds a damaged part, which it names.
        InvalidValue: it holds parts of a task that were collected with other settings.
        RunFolderError: it is in use, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot make {out}: {error.strerror or error}") from error
    lock = FolderLock(out / "lock")
    try:
        clear_torn_writes(out)
        todo, known = missing(collection, out)
        outlook = Outlook.of(collection, todo, known, jobs)
        say(outlook.begun())
        failures = _carry_out(todo, out, jobs, outlook, say)
        card.write(out, command)
        return failures
    finally:
        lock.release()


def part_name(recipe: Recipe, round_: int) -> str:
    return f"{recipe.env.replace('/', '_')}-{round_:03d}.parquet"


def config_of(recipe: Recipe, round_: int) -> dict[str, Any]:
    """What a part says about how it was made: everything that decides it."""
    return {**recipe.model_dump(mode="json", exclude={"rounds"}), "round": round_}


def missing(collection: Collection, out: Path) -> tuple[list[Round], list[Part]]:
    """The rounds without a part, first rounds first, and the parts that are there. What a kill left half done is removed.

    Raises:
        DatasetError, InvalidValue: see `run`.
    """
    wanted = {part_name(recipe, i): (recipe, i) for recipe in collection.tasks for i in range(recipe.rounds)}
    listed = manifest.listing(out)
    for name in wanted:
        if name not in listed:
            (out / name).unlink(missing_ok=True)
    if gone := [name for name in listed if name in wanted and not (out / name).exists()]:
        manifest.forget(out, gone)
    parts = dataset.parts(out) if manifest.listing(out) else []
    known = {part.name: part for part in parts}
    for name, (recipe, i) in wanted.items():
        config = config_of(recipe, i)
        if name in known and (made := _made(known[name], config)) != config:
            key = next(key for key in config if made.get(key) != config[key])
            raise InvalidValue(
                f"{out / name} was collected with {key}={made.get(key)!r}, not {config[key]!r}: "
                "collect into another folder, or remove it"
            )
    todo = [found for name, found in wanted.items() if name not in known]
    return sorted(todo, key=lambda found: found[1]), parts


def _made(part: Part, config: dict[str, Any]) -> dict[str, Any]:
    """How a part was made, in the terms of today's `config`."""
    # A part from before a key existed was collected with its default.
    made = Recipe(env="").model_dump(mode="json", exclude={"rounds"}) | part.config
    # One without `tune` had the default set of its day, which its meta-states name.
    tuned = config["set"].get("tune")
    if tuned and "tune" not in made["set"] and all(set(c.state.space.names) == set(tuned) for c in part.checkpoints):
        made["set"] = {**made["set"], "tune": tuned}
    return made


def _carry_out(todo: list[Round], out: Path, jobs: int, outlook: Outlook, say: Callable[[str], None]) -> list[str]:
    failures: list[str] = []
    running: dict[Future[Outcome], Round] = {}
    queue = list(todo)
    others = set(multiprocessing.active_children())
    with _pool(jobs) as pool:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    recipe, i = queue.pop(0)
                    running[pool.submit(collect_round, recipe.model_dump_json(), i)] = recipe, i
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    recipe, i = running.pop(future)
                    found, spent, error = future.result()
                    if error:
                        failures.append(f"{recipe.env}, round {i}: {error}")
                    else:
                        dataset.write(out / part_name(recipe, i), found, config_of(recipe, i), spent)
                    say(outlook.ended(recipe, i, found, spent, error))
        except BrokenExecutor as error:
            raise HyperPromptError("a worker process died, for lack of memory perhaps; the same command goes on") from error
        except BaseException:
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
            raise
    return failures


def _pool(jobs: int) -> Executor:
    # A process a round: compiled programs and environments of a hundred rounds would not fit into one.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_prepare, max_tasks_per_child=1)


def _prepare() -> None:
    """A worker has one thread, and ends with whoever started it, in the middle of a round as well."""
    os.environ["OMP_NUM_THREADS"] = "1"
    # A round is a process, and half of a compiled round's seconds would go into compiling what the last one had.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir() / "xla"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # control-C is the parent's to deal with
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with(sentinel: int) -> None:
        wait_for([sentinel])
        os._exit(1)

    Thread(target=end_with, args=(parent.sentinel,), daemon=True).start()


def collect_round(recipe_json: str, round_: int) -> Outcome:
    """One round, in whatever process. Exceptions are returned, since not all of them survive the way to another process."""
    recipe = Recipe(**json.loads(recipe_json))
    wall, core = time.perf_counter(), time.process_time()
    try:
        found = _backend(recipe, round_)
    except HyperPromptError as error:
        return [], {}, str(error)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [], {}, f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"
    spent = {
        "steps": float(environment_steps(found)),
        "seconds": time.perf_counter() - wall,
        "core_seconds": time.process_time() - core,
    }
    return found, spent, ""


def _backend(recipe: Recipe, round_: int) -> list[Checkpoint]:
    if recipe.mode == "roll":
        from hyperprompt.collect import roll

        return roll.collect_round(recipe, round_)
    if recipe.compiled:
        from hyperprompt.collect import branches

        return branches.collect_round(recipe, round_)
    from hyperprompt.pipeline import process

    process.prepare()
    if recipe.mode == "bayes":
        from hyperprompt.collect import bayes

        return bayes.collect_round(recipe, round_)
    from hyperprompt.collect import live

    return live.collect_round(recipe, round_)


def environment_steps(checkpoints: list[Checkpoint]) -> int:
    """Training steps behind these checkpoints: of each run as far as it is seen, and of every branch."""
    runs: dict[str, int] = {}
    for c in checkpoints:
        runs[c.run] = max(runs.get(c.run, 0), c.state.step)
    return sum(runs.values()) + sum(c.horizon * len(c.seeds) for c in checkpoints)
