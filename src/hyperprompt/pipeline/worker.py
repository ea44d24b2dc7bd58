"""One run in a process of its own: `python -m hyperprompt.pipeline.worker`, with the job as a line of JSON on standard input.

Standard input stays open as long as whoever gave the job lives. When it closes the process ends at once, so that a killed
benchmark leaves nothing behind that trains on.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from hyperprompt.errors import HyperPromptError


def run(job: dict[str, Any]) -> None:
    """Train what the job says (`executor.Job.to_dict`) from zero and write its record."""
    from hyperprompt.config import parse
    from hyperprompt.pipeline import deploy, results

    config, folder, record = parse(job["config"]), Path(job["folder"]), Path(job["record"])
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted try left
    if job["population"] is not None:
        from hyperprompt.controllers.population import train_population
        from hyperprompt.pipeline import process
        from hyperprompt.runs import RunFolder

        process.prepare()  # as `deploy.train` does for one run
        with RunFolder.create(folder, config.model_dump(mode="json")) as run:
            trained = train_population(config, seed=config.seed, listen=run.append_progress, **job["population"])
        results.write(record, results.from_population(config, trained))
        return
    deploy.train(config, folder, page=False)
    results.write(record, results.from_folder(folder))


def _end_with_whoever_started_this() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> None:
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_whoever_started_this, daemon=True).start()
    try:
        run(job)
    except HyperPromptError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
