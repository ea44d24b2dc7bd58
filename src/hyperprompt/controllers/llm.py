"""The language model as a controller: meta-states to transcripts, transcripts to distributions over STEPS.

Zero-shot a model is nearly blind to the state and copies the placeholder and the steps it sees. The calibrated policy asks
what the *values* of the transcript change, and starts from a prior that keeps:

    pi(k | s_meta) = softmax_k( log p(k | transcript) - log p(k | content-free transcript) + log prior(k) )

(contextual calibration, Zhao et al. 2021, arXiv:2102.09690). The content-free transcript has the same head, the same number
of rows and the same steps, and NA for every value; it grows beside the real one in the same forward pass.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperprompt.core import Choice, MetaAction, MetaState, step_sizes
from hyperprompt.errors import InvalidValue, ModelUnavailable
from hyperprompt.llm.calibration import keep_log_prior, log_softmax
from hyperprompt.llm.names import DEFAULT, adapter_of, check
from hyperprompt.llm.options import check_continuous, check_options
from hyperprompt.llm.tokens import Encoder, Tokens
from hyperprompt.llm.weights import LanguageModel, load
from hyperprompt.prompt import demonstrations as shots
from hyperprompt.prompt import template
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.prompt.layout import Row
from hyperprompt.prompt.transcript import Transcriber, Transcript

if TYPE_CHECKING:
    from hyperprompt.llm.policy import SlotPolicy

_SESSIONS = 8
"""Sessions kept at a time, least recently used first to go: each holds a key-value cache of tens of megabytes a run."""


@dataclass
class _Session:
    """A memo: the policy's cache, and what it has read of each run, to tell whether it may be continued."""

    policy: SlotPolicy
    heads: tuple[tuple[str, ...], ...]
    start: int
    index: int = -1
    last: tuple[str, ...] = ()
    texts: list[Any] = field(default_factory=list)


class LLMController:
    """pi_phi as a pre-trained causal language model, zero-shot or with an expert run as demonstration.

    Args:
        model: a name of `hyperprompt models`, a hub id, or a local folder. Read by `prepare`, or at the first decision.
        prompt: what the rows hold; a mapping is read as `PromptConfig.from_dict`. By default what an adapter was trained on;
            else verbose, and compact where too many hyperparameters are tuned for a verbose row.
        choice: the "likeliest" step of each hyperparameter, the "mean" of the steps, or "sample", drawn with the generator of
            (seed, run, decision). By default what an adapter's record says, else the likeliest.
        temperature: divides the log-probabilities before they are normalised; 1 by default, or what an adapter was made for.
            With a continuous head always 1.
        keep_prior: prior probability of keeping a hyperparameter; used only with calibration.
        calibrate: "content-free", or "none" for the model's own distribution. By default only without an adapter; not with a
            continuous head.
        demonstrations: None (zero-shot), "shipped", or a file of `prompt.demonstrations.record`.
        dtype: see `llm.weights.load`; "float32" where a resumed run must repeat its distributions closely.

    Raises:
        UnknownName, ModelUnavailable, MissingDependency: see `llm.names.check`.
        InvalidValue: an option of the wrong type or out of range, or demonstrations that cannot be read.
    """

    name = "llm"

    def __init__(
        self,
        model: str = DEFAULT,
        *,
        prompt: PromptConfig | Mapping[str, Any] | None = None,
        seed: int = 0,
        choice: Choice | None = None,
        temperature: float | None = None,
        keep_prior: float = 0.5,
        calibrate: Literal["content-free", "none"] | None = None,
        demonstrations: str | Path | None = None,
        dtype: Literal["bfloat16", "float32"] | None = None,
    ) -> None:
        check_options(model, prompt, seed, choice, temperature, keep_prior, calibrate, demonstrations, dtype)
        check(model)
        self.model, self.dtype = model, dtype
        adapter = adapter_of(model)
        if adapter and adapter.head == "continuous":
            check_continuous(temperature, calibrate)
        if prompt:
            given = prompt if isinstance(prompt, PromptConfig) else PromptConfig.from_dict(prompt)
            self._prompts: tuple[PromptConfig, ...] = (given,)
        else:
            self._prompts = (adapter.prompt,) if adapter else (PromptConfig(rendering="verbose"), PromptConfig())
        self._algorithms = adapter.algorithms if adapter else ()
        self._taught = adapter.hyperparameters if adapter else None
        self.seed, self.temperature = seed, temperature or (adapter.temperature if adapter else 1.0)
        self.choice: Choice = choice or (adapter.choice if adapter else "likeliest")
        self.calibrate = (calibrate or ("none" if adapter else "content-free")) == "content-free"
        self._prior = keep_log_prior(keep_prior)
        self._shots = shots.load(demonstrations) if demonstrations is not None else ()
        self._loaded: tuple[LanguageModel, Encoder] | None = None
        self._transcriber: Transcriber | None = None
        self._sessions: OrderedDict[tuple[Any, ...], _Session] = OrderedDict()

    def prepare(self, states: Sequence[MetaState] = ()) -> None:
        """Reads the weights now and plans the transcripts of `states`: what cannot work is known before a run begins.

        Raises:
            ModelUnavailable, MissingDependency: with what to do.
            InvalidValue: a transcript that cannot fit its limits.
        """
        if not states or any(map(self.knows, states)):
            self._model()
        for state in states:
            if self.knows(state):
                self._transcript(state)
                if untaught := [name for name in state.space.names if not self._moves(name)]:
                    warnings.warn(
                        f"the language model was not taught to move {', '.join(untaught)}: they keep their values",
                        stacklevel=3,
                    )
            else:
                known = ", ".join(self._algorithms)
                warnings.warn(
                    f"the language model was trained for {known} only: it keeps every hyperparameter here", stacklevel=3
                )

    def decide(self, states: Sequence[MetaState]) -> list[MetaAction]:
        """One meta-action per meta-state, runs of the same shape in one batch.

        Raises:
            InvalidValue: the model answered with a number that is not finite, or the transcript is over its limits.
            ModelUnavailable: at the first decision, if the weights turn out to be missing or damaged.
        """
        groups: dict[tuple[Any, ...], list[int]] = {}
        actions = {
            p: MetaAction(note=f"not trained for {s.task.algorithm}") for p, s in enumerate(states) if not self.knows(s)
        }
        transcripts = {p: self._transcript(state) for p, state in enumerate(states) if p not in actions}
        for position, transcript in transcripts.items():
            groups.setdefault(transcript.shape, []).append(position)
        for positions in groups.values():
            decided = self._decide_group([transcripts[p] for p in positions])
            actions |= dict(zip(positions, decided, strict=True))
        return [actions[p] for p in range(len(states))]

    def knows(self, state: MetaState) -> bool:
        """Whether it was trained on runs of this algorithm; where not, it keeps every hyperparameter."""
        return not self._algorithms or state.task.algorithm in self._algorithms

    def _moves(self, name: str) -> bool:
        return self._taught is None or name in self._taught

    def _model(self) -> tuple[LanguageModel, Encoder]:
        if self._loaded is None:
            language_model = load(self.model, dtype=self.dtype)
            encoder = Encoder(language_model.tokenizer)
            if self.model != DEFAULT and language_model.head == "digits":
                from hyperprompt.llm.policy import agrees

                if not agrees(language_model, encoder):
                    raise ModelUnavailable(f"{self.model!r} changes its logits after the output embedding: not supported")
            self._loaded = language_model, encoder
        return self._loaded

    def _transcript(self, state: MetaState) -> Transcript:
        if self._transcriber is None:
            language_model, encoder = self._model()
            context = language_model.context - len(language_model.prefix)
            self._transcriber = Transcriber(self._prompts, lambda atoms: encoder.encode(atoms).ids, context)
        return self._transcriber(state, shots.choose(self._shots, state) if self._shots else None)

    def _decide_group(self, transcripts: Sequence[Transcript]) -> list[MetaAction]:
        key = (transcripts[0].state.space.names, *(t.state.run for t in transcripts))
        session = self._sessions.pop(key, None)
        index = transcripts[0].state.index
        if session is None or not self._continues(session, transcripts):
            session = self._open(transcripts)
        new = range(max(session.index + 1, session.start), index + 1)
        real = [[template.row(t.state, i, t.config) for i in new] for t in transcripts]
        pieces = [self._piece(rows) for rows in real]
        if self.calibrate:
            pieces += [self._piece([template.content_free(t.state, i, t.config) for i in new]) for t in transcripts]
        logp_BSK = session.policy.append(pieces)
        # Not before the pass has succeeded: an interrupted session is dropped, and the next decision reads it all again.
        self._sessions[key] = session
        while len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        session.index, session.last = index, tuple(rows[-1].text for rows in real)
        for text, rows in zip(session.texts, real, strict=True):
            text.update("".join(row.text for row in rows).encode())
        scores = logp_BSK[: len(transcripts)]
        if self.calibrate:
            scores = scores - logp_BSK[len(transcripts) :] + self._prior
        # A continuous head gives the steps that are no neighbours of its answer probability 0.
        zero = np.isneginf(scores) & (self._model()[0].head == "continuous")
        if not (np.isfinite(scores) | zero).all():
            del self._sessions[key]
            raise InvalidValue(f"non-finite log-probabilities from {self.model!r}")
        logp = log_softmax(scores / np.float32(self.temperature))
        return [self._action(t, p, text.hexdigest()) for t, p, text in zip(transcripts, logp, session.texts, strict=True)]

    def _continues(self, session: _Session, transcripts: Sequence[Transcript]) -> bool:
        """Whether the session has read exactly these transcripts up to an earlier row."""
        first = transcripts[0]
        if session.start != first.start or not session.start <= session.index < first.state.index:
            return False
        if session.heads != tuple(t.head for t in transcripts):
            return False
        return session.last == tuple(template.row(t.state, session.index, t.config).text for t in transcripts)

    def _open(self, transcripts: Sequence[Transcript]) -> _Session:
        from hyperprompt.llm.policy import SlotPolicy

        language_model, encoder = self._model()
        heads = [t.head_ids for t in transcripts] * (2 if self.calibrate else 1)
        policy = SlotPolicy(language_model, encoder, heads, max_tokens=transcripts[0].config.max_tokens)
        texts = [hashlib.sha256("".join(t.head).encode()) for t in transcripts]
        return _Session(policy, tuple(t.head for t in transcripts), transcripts[0].start, -1, (), texts)

    def _piece(self, rows: Sequence[Row]) -> Tokens:
        """Rows as tokens, of which only the last one's slots are asked for."""
        _, encoder = self._model()
        ids: list[int] = []
        for row in rows[:-1]:
            ids.extend(encoder.encode(row.atoms).ids)
        last = encoder.encode(rows[-1].atoms, rows[-1].slots)
        return Tokens((*ids, *last.ids), tuple(len(ids) + slot for slot in last.slots))

    def _action(self, transcript: Transcript, logp_SK: NDArray[np.float32], prompt_sha256: str) -> MetaAction:
        state, names = transcript.state, transcript.state.space.names
        probabilities_SK = np.exp(logp_SK.astype(np.float64))
        probabilities_SK /= probabilities_SK.sum(-1, keepdims=True)
        run = int.from_bytes(hashlib.sha256(state.run.encode()).digest()[:8], "little")
        steps = step_sizes(probabilities_SK, self.choice, np.random.default_rng([self.seed, run, state.index]))
        shot = f", after expert run {shots.choose(self._shots, state).run!r}" if self._shots else ""
        moved = [each for each in zip(names, steps, probabilities_SK, strict=True) if self._moves(each[0])]
        return MetaAction(
            delta={name: step for name, step, _ in moved},
            probabilities={name: tuple(map(float, p)) for name, _, p in moved},
            prompt_sha256=prompt_sha256,
            note=self.choice + (", calibrated" if self.calibrate else "") + shot,
        )
