"""What stands in a row and where: the fields of a transcript, the same for rendering and for reading back.

A row is a sequence of *atoms*: literal strings, each encoded into tokens as a unit, and single characters (a digit or "-"),
each exactly one token. Nothing else ever touches a digit, so no tokenizer can merge one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from hyperprompt.errors import InvalidValue, UnknownName
from hyperprompt.prompt.numbers import NA_DIGIT, PLACEHOLDER

SIGNALS: dict[str, tuple[str, ...]] = {
    "ppo": ("approx_kl", "clip_fraction", "entropy_fraction", "value_loss", "explained_variance", "gradient_norm"),
    "a2c": ("entropy_fraction", "value_loss", "policy_loss", "explained_variance", "gradient_norm"),
    "sac": ("td_error", "q_value", "actor_loss", "alpha", "gradient_norm"),
    "td3": ("td_error", "q_value", "actor_loss", "gradient_norm"),
    "dqn": ("td_error", "q_value", "exploration_rate", "gradient_norm"),
}
"""The signals of a compact row, by algorithm."""
VERBOSE_SIGNALS: dict[str, tuple[str, ...]] = {
    "ppo": ("approx_kl", "entropy_fraction", "explained_variance"),
    "a2c": ("entropy_fraction", "value_loss", "explained_variance"),
    "sac": ("td_error", "alpha"),
    "td3": ("td_error", "q_value", "actor_loss"),
    "dqn": ("td_error", "q_value", "exploration_rate"),
}
"""A named number costs two more tokens: the signals that fit 60 tokens beside the algorithm's default hyperparameters."""
KNOWN_SIGNALS = tuple(sorted({name for names in SIGNALS.values() for name in names} | {"return_std"}))

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
class PromptConfig:
    """Which sections a transcript has, and its limits. `None` takes the rendering's default.

    Raises:
        InvalidValue: a number out of range, or an unknown rendering.
        UnknownName: a signal HyperPrompt does not know.
    """

    rendering: Literal["compact", "verbose"] = "compact"
    task: bool = True
    """The line that describes the task, in the head."""
    returns: bool = True
    """Return of the interval, its change, and the best so far."""
    episode_length: bool | None = None
    signals: tuple[str, ...] | None = None
    """Names of the algorithm's signals; () for none."""
    transitions: int | None = None
    """k sampled transitions (o, a, r), seven digits each."""
    theta: bool = True
    history: bool = True
    """The steps last taken."""
    demonstration_rows: int = 6
    """Rows taken from one expert run when demonstrations are given."""
    window: int = 32
    """L, the rows kept when a transcript of 2L rows is rebased; shrinks to what fits `max_tokens`."""
    max_tokens: int = 2048
    max_row_tokens: int = 60

    def __post_init__(self) -> None:
        if self.rendering not in ("compact", "verbose"):
            raise InvalidValue(f"rendering must be 'compact' or 'verbose', not {self.rendering!r}")
        for name, low in (("demonstration_rows", 1), ("window", 1), ("max_tokens", 1), ("max_row_tokens", 1)):
            if getattr(self, name) < low:
                raise InvalidValue(f"{name} must be at least {low}, not {getattr(self, name)}")
        if self.transitions is not None and self.transitions < 0:
            raise InvalidValue(f"transitions must not be negative, not {self.transitions}")
        if self.signals is not None:
            # A list out of a YAML file would make the configuration unhashable.
            object.__setattr__(self, "signals", tuple(self.signals))
            for name in self.signals:
                if name not in KNOWN_SIGNALS:
                    raise UnknownName("signal", name, KNOWN_SIGNALS)

    def to_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PromptConfig:
        """Inverse of `to_dict`; absent settings take their defaults.

        Raises:
            UnknownName: a setting there is not.
        """
        valid = [f.name for f in fields(cls)]
        for name in data:
            if name not in valid:
                raise UnknownName("prompt setting", name, valid)
        return cls(**data)


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
    if algorithm not in SIGNALS:
        raise UnknownName("algorithm", algorithm, SIGNALS)
    if not names:
        raise InvalidValue("a prompt needs at least one hyperparameter")
    verbose = config.rendering == "verbose"
    signals = config.signals
    if signals is None:
        signals = (VERBOSE_SIGNALS if verbose else SIGNALS)[algorithm]
    transitions = config.transitions if config.transitions is not None else 0 if verbose else 1
    length = config.episode_length if config.episode_length is not None else not verbose

    def said(text: str) -> str:
        return text if verbose else ""

    rows = [Field("progress", "", "\n", 2)]
    if config.returns:
        # The progress of a verbose row reads "37%".
        rows += [Field("return", "", said("% return "), 2), Field("change", "", said(" change "), 2)]
        rows += [Field("best", "", said(" best "), 2)]
    if length:
        rows.append(Field("length", "", said(" length "), 2))
    rows += [Field("signal", name, said(f" {SHORT.get(name, name)} "), 2) for name in signals]
    for k in range(transitions):
        rows.append(Field("transition", f"{k}.o", said(" o "), _OBSERVATION_DIGITS))
        rows.append(Field("transition", f"{k}.a", said(" a "), _ACTION_DIGITS))
        rows.append(Field("transition", f"{k}.r", said(" r "), 1))
    if config.theta:
        rows += [Field("theta", name, said(f" {SHORT.get(name, name)} "), 2) for name in names]
    if config.history:
        rows += [Field("step", name, said(" last ") if j == 0 else "", 1) for j, name in enumerate(names)]
    rows += [Field("slot", name, (said(" next ") or ">") if j == 0 else "", 1) for j, name in enumerate(names)]
    built = Layout(tuple(rows), config)
    check_row(built, estimate(built))
    return built


def estimate(layout: Layout) -> int:
    """Tokens of a row if every name, space and sign is one token, as in the usual byte-level vocabularies."""
    literals = sum(len(f.literal.split()) + f.literal.count("\n") + f.literal.endswith(" ") for f in layout.fields)
    return literals + sum(f.width for f in layout.fields)


def check_row(layout: Layout, tokens: int) -> None:
    """Raises InvalidValue, with what could be switched off, when a row of `tokens` is over the configuration's limit."""
    config = layout.config
    if tokens <= config.max_row_tokens:
        return
    present = {f.kind for f in layout.fields}
    parts = {"transition": "transitions=0", "length": "episode_length=False", "signal": "signals=() or fewer of them"}
    advice = [text for kind, text in parts.items() if kind in present]
    advice += ["history=False"] if config.history else []
    advice += ["rendering='compact'"] if config.rendering == "verbose" else []
    raise InvalidValue(
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
