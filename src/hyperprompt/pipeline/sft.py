"""The stage `sft`: datasets in, an adapter (or a control) out, with its curves, offline scores and model card."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hyperprompt.collect import dataset, split
from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.collect.manifest import MANIFEST
from hyperprompt.collect.student import Student
from hyperprompt.controllers import registry
from hyperprompt.core import Controller
from hyperprompt.durable import atomic_write, from_json, read_lines, to_json
from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.records import versions
from hyperprompt.sft import card, controls, labels, offline
from hyperprompt.sft.config import SFTConfig
from hyperprompt.sft.controls import NumericModel
from hyperprompt.sft.examples import Augmentation, Example
from hyperprompt.sft.train import Model, fit

Teachers = Mapping[labels.Kind, Student]
Scored = tuple[list[offline.Floats], list[offline.Floats]]
Listener = Callable[[dict[str, Any]], None]


def run(config: SFTConfig, folder: Path, listen: Listener = lambda line: None) -> dict[str, Any]:
    """Train, and write `folder`: config.yaml, log.jsonl, checkpoints/, model/ (adapter and record), result.json, card.md.

    A folder that holds an unfinished training of the same configuration goes on; a finished one is returned as it is.

    Raises:
        InvalidValue: a folder of another configuration, or whose data or teacher have changed since; no examples.
        DatasetError: a damaged dataset.
    """
    _refuse_another(config, folder)
    if (folder / "result.json").exists():
        return dict(from_json((folder / "result.json").read_text()))
    begun = time.perf_counter()
    controller = _controller(config)
    read = _read(config.data, config.algorithms)
    tasks = sorted({c.task for c in read})
    for task in tasks:
        if (part := split.part_of(task)) not in ("source", None):
            raise InvalidValue(f"{task} is a {part} task: decisions from it are never trained on (docs/split.md)")
    for task in set(config.without).difference(tasks):
        raise UnknownName("task in without", task, tasks)
    source = [c for c in read if c.task not in config.without]
    validation = _read(config.validation, config.algorithms)
    asked = (config.labels == "pooled" and not config.teacher) or validation
    doubts = {"ceiling": config.ceiling, "share": config.share, "pessimism": config.pessimism}
    teachers = labels.teachers(source, config.mean_share, **doubts) if asked else {}
    examples, held_out = _examples(config, source, validation, teachers, controller)
    copies: list[Example] = []
    if controller is not None:
        examples += labels.exchanged_examples(examples, controller, config.exchanged, config.seed)
        copies = labels.exchanged_examples(held_out, controller, config.exchanged, config.seed + 1)
    model = build(config, [*examples, *held_out])
    folder.mkdir(parents=True, exist_ok=True)
    _note_inputs(config, folder)
    atomic_write(folder / "config.yaml", _text(config))
    progress = fit(model, examples, [*held_out, *copies], config, folder, listen)
    _save(model, config, examples, folder)
    log, _ = read_lines(folder / "log.jsonl", from_json)
    own = _scored(model, held_out)
    result = {
        "arch": config.arch,
        "source_runs": len(examples),
        "validation_runs": len(held_out),
        "decisions": sum(len(e.labels) for e in examples),
        "steps": progress.step,
        "measure": model.head.measure,
        "before": log[0]["validation"],
        "after": progress.best,
        "seconds": time.perf_counter() - begun,
        "calibration": offline.calibration(*own),
        "explained": {
            "own signals": _explained(own, held_out),
            **({"exchanged signals": _explained(_scored(model, copies), copies)} if copies else {}),
        },
        "offline": _offline(config, folder, validation, teachers),
        "versions": versions(),
    }
    card.write(folder, config.model_dump(mode="json"), result, log)
    atomic_write(folder / "result.json", to_json(result, indent=1) + "\n")
    return result


def _read(paths: Sequence[str], algorithms: Sequence[str]) -> list[Checkpoint]:
    """The checkpoints of all folders; runs of one name in two of them are told apart."""
    return [
        replace(c, run=f"{path}:{c.run}", state=replace(c.state, run=f"{path}:{c.state.run}"))
        for path in paths
        for c in dataset.read(Path(path), algorithms)
    ]


def told(line: Mapping[str, Any]) -> str:
    """One line of the log, for people."""
    source = f", source {line['source']:.4f}" if "source" in line else ""
    measured = f"{line['measure']} on validation runs {line['validation']:.4f}{source}"
    return f"epoch {line['epoch']:.2f}, step {line['step']}: {measured}"


def build(config: SFTConfig, examples: Sequence[Example]) -> Model:
    """The model of a configuration before training."""
    if config.arch in ("gru", "mlp"):
        return NumericModel.of(config.arch, examples, config.seed, config.head, config.noise)
    from hyperprompt.llm import weights
    from hyperprompt.llm.names import random_name
    from hyperprompt.sft.model import SlotModel

    name = random_name(config.model, config.seed) if config.arch == "llm-random" else config.model
    language_model = weights.load(name, dtype=config.dtype if config.rank else "float32")
    prompt = PromptConfig.from_dict(config.prompt)
    changes = Augmentation.of(config.augment)
    model = SlotModel(language_model, prompt, config.rank, config.layers, config.seed, changes, config.head)
    if config.start:
        model.start_from(Path(config.start))
    return model


def _controller(config: SFTConfig) -> Controller | None:
    """The controller that is the teacher; None where labels are those of branches, of a tuner or of a control."""
    if not config.teacher or Path(config.teacher).is_dir():
        if config.exchanged:
            raise InvalidValue(
                "exchanged needs a controller as teacher: labels of anything else do not follow from the signals"
            )
        return None
    if config.sharpness != 1.0:
        raise InvalidValue(f"sharpness must be 1 with the controller {config.teacher!r} as teacher: its steps have no tau")
    return registry.create(config.teacher)


def _examples(
    config: SFTConfig,
    source: Sequence[Checkpoint],
    validation: Sequence[Checkpoint],
    teachers: Teachers,
    controller: Controller | None,
) -> tuple[list[Example], list[Example]]:
    """Source and validation runs with labels; who made them has seen the branches of the sources only."""
    tau = config.tau / config.sharpness
    if controller is not None:
        known, unseen = (labels.taught_examples(side, controller) for side in (source, validation))
    elif config.teacher:
        control = controls.read(Path(config.teacher))
        known, unseen = (controls.taught(side, control, config.sharpness) for side in (source, validation))
    elif config.labels == "tuned":
        known = labels.tuned_examples(source)
        unseen = labels.tuned_examples(validation) if validation else []
    elif config.labels == "effects":
        known = labels.effect_examples(source, tau, config.mean_share)
        unseen = labels.effect_examples(validation, tau, config.mean_share)
    else:
        known, unseen = labels.pooled_examples(source, teachers, tau), labels.pooled_examples(validation, teachers, tau)
    if config.validation:
        return known, unseen
    chosen = np.random.default_rng(config.seed).permutation(len(known)) < round(config.held_out * len(known))
    kept = [e for e, out in zip(known, chosen, strict=True) if not out]
    return kept, [e for e, out in zip(known, chosen, strict=True) if out]


def _scored(model: Model, examples: Sequence[Example]) -> Scored:
    """What the model answers and what the labels say in every slot of each run, (N, 7) each."""
    import torch

    with torch.no_grad():
        scored = [model.score(example) for example in examples]
    policy = [model.head.logp(outputs).exp().cpu().numpy() for outputs, _ in scored]
    return policy, [target.cpu().numpy() for _, target in scored]


def _explained(scored: Scored, examples: Sequence[Example]) -> dict[str, float]:
    policy, target = (np.concatenate(side) for side in scored)
    return offline.explained(policy, target, [name for example in examples for name in example.names()])


def _offline(
    config: SFTConfig, folder: Path, validation: Sequence[Checkpoint], teachers: Teachers
) -> dict[str, dict[str, Any]]:
    """Algorithm -> what the controller just saved, as it will be deployed, gains on branches of the validation tasks."""
    found: dict[str, dict[str, Any]] = {}
    branched = offline.branched(validation)
    controller = registry.create(f"{'numeric' if config.arch in ('gru', 'mlp') else 'llm'}:{folder / 'model'}")
    for algorithm in sorted({c.state.task.algorithm for c in branched}):
        checkpoints = [c for c in branched if c.state.task.algorithm == algorithm]
        arms: dict[str, list[offline.Floats]] = {config.arch: offline.taken(controller, checkpoints)}
        if all(labels.kind(c.state) in teachers for c in checkpoints):
            arms["teacher"] = labels.policy(teachers, checkpoints, config.tau)
        found[algorithm] = offline.judge(arms, checkpoints, config.arch, config.mean_share)
        found[algorithm]["checkpoints"] = len(checkpoints)
    return found


def _text(config: SFTConfig) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _refuse_another(config: SFTConfig, folder: Path) -> None:
    path = folder / "config.yaml"
    if path.exists() and path.read_text() != _text(config):
        raise InvalidValue(f"{folder} holds a training of another configuration: name another folder")


def _note_inputs(config: SFTConfig, folder: Path) -> None:
    """What the training reads, by checksum: with other data a resumed one would be neither the old nor the new."""
    files = [Path(path) / MANIFEST for path in (*config.data, *config.validation)]
    if config.teacher and not Path(config.teacher).is_dir():
        files += registry.files(config.teacher, {})
    for folder_read in filter(None, (config.teacher, config.start)):
        files += sorted(path for path in Path(folder_read).rglob("*") if path.is_file())
    found = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    noted = folder / "inputs.json"
    if noted.exists() and (begun := from_json(noted.read_text())) != found:
        changed = next(name for name in {**found, **begun} if found.get(name) != begun.get(name))
        raise InvalidValue(f"{folder} holds an unfinished training, and {changed} has changed since: name another folder")
    atomic_write(noted, to_json(found, indent=1) + "\n")


def _save(model: Model, config: SFTConfig, examples: Sequence[Example], folder: Path) -> None:
    from hyperprompt.llm import adapters
    from hyperprompt.llm.adapters import Adapter
    from hyperprompt.sft.model import SlotModel

    if isinstance(model, NumericModel):
        model.temperature, model.choice = config.sharpness, config.choice
    model.save(folder / "model")
    if isinstance(model, SlotModel):
        made = {"sft": config.model_dump(mode="json"), "versions": versions()}
        base = model.language_model
        adapters.record(
            Adapter(
                folder / "model",
                base.name if config.rank else "",
                base.sha,
                model.prompt,
                config.sharpness,
                tuple(sorted({e.state.task.algorithm for e in examples})),
                tuple(sorted({name for e in examples for name in e.names()})),
                config.head,
                config.choice,
            ),
            made,
        )
