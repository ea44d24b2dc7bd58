"""What stands in a row and where: the fields of a transcript, the same for rendering and for reading back.

A row is a sequence of *atoms*: literal strings, each encoded into tokens as a unit, and single characters (a digit or "-"),
each exactly one token. Nothing else ever touches a digit, so no tokenizer can merge one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.prompt.config import SIGNALS, VERBOSE_SIGNALS, PromptConfig
from hyperprompt.prompt.numbers import NA_DIGIT, PLACEHOLDER

SHORT = {
    "approx_kl": "KL", "clip_fraction": "cut", "entropy_fraction": "entropy", "explained_variance": "fit",
    "gradient_norm": "grad", "value_loss": "loss", "policy_loss": "policy", "td_error": "error", "q_value": "value",
    "actor_loss": "actor", "exploration_rate": "explore", "return_std": "spread",
    "learning_rate": "lr", "n_epochs": "epochs", "ent_coef": "bonus", "clip_range": "clip", "gae_lambda": "lambda",
    "vf_coef": "weight", "max_grad_norm": "norm", "batch_size": "batch", "target_kl": "stop", "gradient_steps": "steps",
    "target_entropy": "target", "policy_delay": "delay", "target_policy_noise": "noise", "target_noise_clip": "limit",
    "target_update_interval": "sync",
}  # fmt: skip
"""Names of one token each in a verbose row; others stand as they are."""

_OBSERVATION_DIGITS = 4
_ACTION_DIGITS = 2


@dataclass(frozen=True)
class Field:
    """One group of characters of a row: what it tells, the literal in front of it, how many characters it has."""

    kind: Literal["progress", "return", "change", "best", "length", "signal", "transition", "theta", "step", "slot"]
    name: str
    literal: str
    width: int

    @property
    def key(self) -> str:
        """The field's name within its row."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True)
class Layout:
    """The fields of every row of one transcript, in order; a function of algorithm, hyperparameters and configuration."""

    fields: tuple[Field, ...]
    config: PromptConfig

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters in slot order."""
        return tuple(f.name for f in self.fields if f.kind == "slot")


@dataclass(frozen=True)
class Row:
    """One row as atoms, and the indices of the atoms that are slots."""

    atoms: tuple[str, ...]
    slots: tuple[int, ...]

    @property
    def text(self) -> str:
        return "".join(self.atoms)


def layout(algorithm: str, names: Sequence[str], config: PromptConfig) -> Layout:
    """The fields of a row for the hyperparameters `names`, in slot order.

    Raises:
        UnknownName: an algorithm HyperPrompt does not know.
        InvalidValue: no hyperparameters, or more than `config.max_row_tokens` allow.
    """
    return _build(names, settle(algorithm, names, config))


def settle(
    algorithm: str, names: Sequence[str], config: PromptConfig, tokens: Callable[[Layout], int] | None = None
) -> PromptConfig:
    """`config` with its defaults (None) decided such that a row fits: signals go from the end, then the episode length, then
    transitions. What was asked for explicitly stays.

    Args:
        tokens: counts a row's tokens where the tokenizer is known; never taken for fewer than the `estimate`.

    Raises:
        UnknownName, InvalidValue: see `layout`.
    """
    if algorithm not in SIGNALS:
        raise UnknownName("algorithm", algorithm, SIGNALS)
    if not names:
        raise InvalidValue("a prompt needs at least one hyperparameter")
    for candidate in _candidates(algorithm, config):
        built = _build(names, candidate)
        count = max(estimate(built), tokens(built) if tokens else 0)
        if count <= config.max_row_tokens:
            return candidate
    raise _too_long(built, count)


def _candidates(algorithm: str, config: PromptConfig) -> Iterator[PromptConfig]:
    verbose = config.rendering == "verbose"
    signals = (VERBOSE_SIGNALS if verbose else SIGNALS)[algorithm] if config.signals is None else config.signals
    length = not verbose if config.episode_length is None else config.episode_length
    transitions = (0 if verbose else 1) if config.transitions is None else config.transitions
    settled = replace(config, signals=signals, episode_length=length, transitions=transitions)
    yield settled
    if config.signals is None:
        for kept in range(len(signals) - 1, -1, -1):
            settled = replace(settled, signals=signals[:kept])
            yield settled
    if config.episode_length is None and length:
        settled = replace(settled, episode_length=False)
        yield settled
    if config.transitions is None and transitions:
        yield replace(settled, transitions=0)


def _build(names: Sequence[str], config: PromptConfig) -> Layout:
    """The fields of a row under a settled configuration."""
    verbose = config.rendering == "verbose"

    def said(text: str) -> str:
        return text if verbose else ""

    rows = [Field("progress", "", "\n", 2)]
    if config.returns:
        # The progress of a verbose row reads "37%".
        rows += [Field("return", "", said("% return "), 2), Field("change", "", said(" change "), 2)]
        rows += [Field("best", "", said(" best "), 2)]
    if config.episode_length:
        rows.append(Field("length", "", said(" length "), 2))
    rows += [Field("signal", name, said(f" {SHORT.get(name, name)} "), 2) for name in config.signals or ()]
    for k in range(config.transitions or 0):
        rows.append(Field("transition", f"{k}.o", said(" o "), _OBSERVATION_DIGITS))
        rows.append(Field("transition", f"{k}.a", said(" a "), _ACTION_DIGITS))
        rows.append(Field("transition", f"{k}.r", said(" r "), 1))
    if config.theta:
        rows += [Field("theta", name, said(f" {SHORT.get(name, name)} "), 2) for name in names]
    if config.history:
        rows += [Field("step", name, said(" last ") if j == 0 else "", 1) for j, name in enumerate(names)]
    rows += [Field("slot", name, (said(" next ") or ">") if j == 0 else "", 1) for j, name in enumerate(names)]
    return Layout(tuple(rows), config)


def estimate(layout: Layout) -> int:
    """Tokens of a row if every name, space and sign is one token, as in the usual byte-level vocabularies."""
    literals = sum(len(f.literal.split()) + f.literal.count("\n") + f.literal.endswith(" ") for f in layout.fields)
    return literals + sum(f.width for f in layout.fields)


def _too_long(layout: Layout, tokens: int) -> InvalidValue:
    """Says what could be switched off."""
    config = layout.config
    present = {f.kind for f in layout.fields}
    parts = {"transition": "transitions=0", "length": "episode_length=False", "signal": "signals=() or fewer of them"}
    advice = [text for kind, text in parts.items() if kind in present]
    advice += ["history=False"] if config.history else []
    advice += ["rendering='compact'"] if config.rendering == "verbose" else []
    return InvalidValue(
        f"a row for {len(layout.names)} hyperparameters takes {tokens} tokens, more than max_row_tokens="
        f"{config.max_row_tokens}. Tune fewer, or switch off sections: {', '.join(advice) or 'none is left'}"
    )


def assemble(layout: Layout, codes: dict[str, str]) -> Row:
    """The row whose fields hold `codes` by key; a slot without one holds the placeholder, any other field NA.

    Raises:
        InvalidValue: a code of the wrong width.
    """
    atoms: list[str] = []
    slots: list[int] = []
    for f in layout.fields:
        code = codes.get(f.key, PLACEHOLDER if f.kind == "slot" else NA_DIGIT * f.width)
        if len(code) != f.width:
            raise InvalidValue(f"{f.key}: {code!r} has not {f.width} characters")
        if f.literal:
            atoms.append(f.literal)
        if f.kind == "slot":
            slots.append(len(atoms))
        atoms.extend(code)
    return Row(tuple(atoms), tuple(slots))
