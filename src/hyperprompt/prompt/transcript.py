"""One run's transcript as it is to be read now: which configuration, which head, from which row on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hyperprompt.core import MetaState
from hyperprompt.errors import InvalidValue
from hyperprompt.prompt import template
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.layout import Layout, assemble, settle


@dataclass(frozen=True)
class Transcript:
    """What a decision reads: the head, then rows `start` to `state.index`."""

    state: MetaState
    config: PromptConfig
    """Settled: nothing in it is left to a default."""
    head: tuple[str, ...]
    head_ids: tuple[int, ...]
    row_tokens: int
    start: int

    @property
    def shape(self) -> tuple[Any, ...]:
        """Runs of one shape are decided in one batch."""
        return (self.row_tokens, len(self.state.space), self.start, self.state.index)


def window(config: PromptConfig, context: int, head_tokens: int, row_tokens: int) -> int:
    """L as far as 2L rows fit behind the head. Raises InvalidValue, with what to change, where two rows do not."""
    rows = min(config.window, (min(config.max_tokens, context) - head_tokens) // (2 * row_tokens))
    if rows < 1:
        raise InvalidValue(
            f"a head of {head_tokens} tokens and two rows of {row_tokens} do not fit {config.max_tokens} tokens. Take "
            "rendering='compact' or fewer demonstration_rows, or raise max_tokens"
        )
    return rows


class Transcriber:
    """Plans transcripts for one tokenizer and its model's context.

    Args:
        configs: in order of preference; the first whose rows fit is taken, once for each set of hyperparameters.
        encode: atoms to token ids.
        context: the most tokens the model reads, what it puts in front left out.
    """

    def __init__(
        self, configs: Sequence[PromptConfig], encode: Callable[[Sequence[str]], tuple[int, ...]], context: int
    ) -> None:
        self._configs, self._encode, self._context = tuple(configs), encode, context
        self._settled: dict[tuple[str, tuple[str, ...]], PromptConfig] = {}

    def __call__(self, state: MetaState, demonstration: MetaState | None = None) -> Transcript:
        """Raises InvalidValue, with what to change, for a row or a transcript that cannot fit."""
        config = self._config(state.task.algorithm, state.space.names)
        head = template.head(state, config, demonstration)
        head_ids = self._encode(head)
        row_tokens = self._tokens(template.layout_of(state, config))
        kept = window(config, self._context, len(head_ids), row_tokens)
        return Transcript(state, config, head, head_ids, row_tokens, template.start_row(state.index + 1, kept))

    def _tokens(self, layout: Layout) -> int:
        """Of every row of this layout: a digit, known or not, is one token."""
        return len(self._encode(assemble(layout, {}).atoms))

    def _config(self, algorithm: str, names: tuple[str, ...]) -> PromptConfig:
        key = (algorithm, names)
        for last, config in ((c is self._configs[-1], c) for c in self._configs):
            if key in self._settled:
                break
            try:
                self._settled[key] = settle(algorithm, names, config, self._tokens)
            except InvalidValue:
                if last:
                    raise
        return self._settled[key]
