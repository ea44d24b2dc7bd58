"""From the meta-state to a transcript: a fixed head, then one row an interval, written once and never rewritten.

    transcript(s_meta_t) = head, row_0, row_1, ..., row_t

Row 0 knows nothing but theta, and reads 00%, of a model trained before as well.
Row i tells interval i-1 from what was known at its end. So `row(state, i)` does not depend on any interval after it, which is
what lets a key-value cache live as long as the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hyperprompt.core import MetaState, Task, Transition
from hyperprompt.errors import InvalidValue
from hyperprompt.prompt import numbers
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.layout import SHORT, Layout, Row, assemble, layout

INSTRUCTION = (
    "You steer the hyperparameters of a reinforcement learning run while it trains. Every line reports one interval: "
    "the share of the budget spent, the returns, the signals, the hyperparameters, the steps last taken. Numbers from 00 "
    "to 99 are positions in a range, change is 50 when nothing changed, -- is unknown. The digits after next are your "
    "steps, one for each hyperparameter, from 0, the largest decrease, over 3, which keeps it, to 6, the largest increase. "
    "Raise what makes the return grow, lower what makes it fall.\n"
)


def layout_of(state: MetaState, config: PromptConfig) -> Layout:
    """The layout of every row of `state`'s transcript."""
    return layout(state.task.algorithm, state.space.names, config)


def head(state: MetaState, config: PromptConfig, demonstration: MetaState | None = None) -> tuple[str, ...]:
    """The atoms in front of row 0: instruction (verbose), task line, hyperparameters in slot order, an expert run's rows.

    The rows of `demonstration` have this transcript's layout, are `config.demonstration_rows` evenly spaced ones, and hold
    in their slots the steps really taken next instead of the placeholder.

    Raises:
        InvalidValue: a demonstration without intervals.
    """
    verbose = config.rendering == "verbose"
    atoms = [INSTRUCTION] if verbose else []
    if config.task:
        atoms.append(f"Task: {_describe(state.task)}.\n" if verbose else f"{_terse(state.task)}\n")
    names = [SHORT.get(name, name) for name in state.space.names]
    atoms.append(f"Hyperparameters: {', '.join(names)}." if verbose else " ".join(names))
    if demonstration is not None:
        if not demonstration.intervals:
            raise InvalidValue(f"demonstration {demonstration.run!r} has no intervals, so it shows no steps")
        fields = layout_of(state, config)
        atoms.append(f"\nAn expert on {_describe(demonstration.task)}:" if verbose else "\nexpert")
        for i in spaced(len(demonstration.intervals), config.demonstration_rows):
            atoms.extend(_row(demonstration, i, fields, taken=True).atoms)
        atoms.append("\nThis run:" if verbose else "\nrun")
    return tuple(atoms)


def spaced(count: int, wanted: int) -> list[int]:
    """At most `wanted` evenly spaced indices below `count`, first and last among them."""
    if wanted >= count:
        return list(range(count))
    if wanted == 1:
        return [0]
    return [round(j * (count - 1) / (wanted - 1)) for j in range(wanted)]


def _describe(task: Task) -> str:
    return (
        f"{task.algorithm}, {task.action_size} {task.action} actions, {task.observation_size} numbers of {task.observation} "
        f"observation, {task.n_envs} environments, {task.total_steps} steps"
    )


def _terse(task: Task) -> str:
    return (
        f"{task.algorithm} {task.action} {task.action_size} {task.observation} {task.observation_size} "
        f"envs {task.n_envs} steps {task.total_steps}"
    )


def row(state: MetaState, index: int, config: PromptConfig) -> Row:
    """Row `index` of the transcript, 0 <= index <= len(state.intervals), its slots holding the placeholder.

    Equal for every state that shares the first `index` intervals.

    Raises:
        InvalidValue: an index outside the transcript.
    """
    return _row(state, index, layout_of(state, config), taken=False)


def rows(state: MetaState, config: PromptConfig, start: int = 0) -> list[Row]:
    """Rows `start` to the last."""
    fields = layout_of(state, config)
    return [_row(state, i, fields, taken=False) for i in range(start, len(state.intervals) + 1)]


def content_free(state: MetaState, index: int, config: PromptConfig) -> Row:
    """Row `index` with every value NA but the steps last taken."""
    fields = layout_of(state, config)
    if index > 0:
        return assemble(fields, {k: v for k, v in _codes(state, index).items() if k.startswith("step:")})
    return assemble(fields, {f"step:{name}": numbers.PLACEHOLDER for name in fields.names if config.history})


def start_row(rows: int, window: int) -> int:
    """First row of a transcript that has had `rows` rows, with L = `window`: all up to 2L, then rebased to the last L.

    Between L + 1 and 2L rows are kept after a rebase. A function of the number of rows alone, so that a resumed run has
    the transcript of the undisturbed one.
    """
    return 0 if rows <= 2 * window else window * (-(-rows // window) - 2)


def text(atoms: Sequence[str], rows: Sequence[Row]) -> str:
    """The transcript as one string."""
    return "".join(atoms) + "".join(r.text for r in rows)


def _row(state: MetaState, index: int, fields: Layout, *, taken: bool) -> Row:
    if not 0 <= index <= len(state.intervals):
        raise InvalidValue(f"row {index} is outside a transcript of {len(state.intervals) + 1} rows")
    known = {f.key for f in fields.fields}
    codes = {k: v for k, v in _codes(state, index, fields).items() if k in known}
    if taken:
        # Hyperparameters the expert did not have are not available, rather than kept.
        delta = state.intervals[index].delta
        here = set(state.space.names)
        for name in fields.names:
            codes[f"slot:{name}"] = numbers.encode_step(delta.get(name, 0.0)) if name in here else numbers.NA_DIGIT
            if f"step:{name}" in known and name not in here:
                codes[f"step:{name}"] = numbers.NA_DIGIT
    return assemble(fields, codes)


def _codes(state: MetaState, index: int, fields: Layout | None = None) -> dict[str, str]:
    """Codes by field key, of everything known after the first `index` intervals; what is not known is left out."""
    if index == 0:
        theta = {h.name: h.default for h in state.space}
        delta: dict[str, float] = {}
    else:
        theta = dict(state.intervals[index - 1].theta)
        delta = dict(state.intervals[index - 1].delta)
    codes: dict[str, str] = {}
    for h in state.space:
        value = float(theta.get(h.name, math.nan))
        codes[f"theta:{h.name}"] = numbers.encode_position(math.nan if math.isnan(value) else h.position(value))
        codes[f"step:{h.name}"] = numbers.encode_step(float(delta.get(h.name, 0.0)))
    total = max(1, state.task.total_steps)
    step = state.intervals[index - 1].step if index else 0
    codes["progress"] = numbers.encode_position(step / total)
    if index:
        codes |= _return_codes(_history(state, "return_mean", index))
        signals = state.intervals[index - 1].signals
        codes["length"] = _signal_code(state, "episode_length", index)
        for f in fields.fields if fields else ():
            if f.kind == "signal":
                codes[f.key] = _signal_code(state, f.name, index)
            elif f.kind == "transition":
                k, part = f.name.split(".")
                if int(k) < len(signals.transitions):
                    codes[f.key] = _transition_code(signals.transitions[int(k)], part, f.width, state.task)
    return codes


def _history(state: MetaState, name: str, index: int) -> list[float]:
    return [_number(interval.signals.values.get(name)) for interval in state.intervals[:index]]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _return_codes(returns: list[float]) -> dict[str, str]:
    now, finite = returns[-1], [r for r in returns if math.isfinite(r)]
    bounds = numbers.robust_range(returns)
    earlier = [r for r in returns[:-1] if math.isfinite(r)]
    change = numbers.change_in(earlier[-1], now, bounds) if earlier else math.nan
    # The best so far ends its own range by definition: it stands on an absolute scale and tells the size of the returns.
    best = numbers.FIXED["return_best"].position(max(finite)) if finite else math.nan
    return {
        "return": numbers.encode_position(numbers.position_in(now, bounds)),
        "change": numbers.encode_change(change),
        "best": numbers.encode_position(best),
    }


def _signal_code(state: MetaState, name: str, index: int) -> str:
    history = _history(state, name, index)
    if name in numbers.FIXED:
        return numbers.encode_position(numbers.FIXED[name].position(history[-1]))
    # Losses span magnitudes within one run; their range is taken of the logarithm.
    logs = [numbers.symlog(v) for v in history]
    return numbers.encode_position(numbers.position_in(logs[-1], numbers.robust_range(logs)))


def _transition_code(transition: Transition, part: str, width: int, task: Task) -> str:
    if part == "r":
        return numbers.encode_digit(numbers.squash(transition.reward))
    if part == "a" and task.action == "discrete":
        # The index itself while it is a digit, else its position among the actions.
        scale = max(10, task.action_size)
        digits = [numbers.encode_digit((a + 0.5) / scale) for a in transition.action]
    else:
        digits = [
            numbers.encode_digit(numbers.squash(x)) for x in (transition.action if part == "a" else transition.observation)
        ]
    return "".join(digits[:width]).ljust(width, numbers.NA_DIGIT)
