"""The configuration of `hyperprompt sft`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hyperprompt.config import validated, with_settings
from hyperprompt.core import Certain
from hyperprompt.errors import UnknownName
from hyperprompt.llm.adapters import HeadName
from hyperprompt.llm.names import DEFAULT

Architecture = Literal["llm", "llm-random", "gru", "mlp"]


class SFTConfig(BaseModel):
    """Everything that decides a supervised meta-training.

    `llm` fine-tunes a pre-trained model; the controls are the same architecture from random weights, a GRU over the run's
    intervals and an MLP on the last one, all on the same labels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...]
    """Folders of datasets of the source tasks."""
    validation: tuple[str, ...] = ()
    """Folders of datasets of the validation tasks: early stopping and offline scores. Empty: source runs set aside."""
    algorithms: tuple[str, ...] = ()
    """Only runs of these algorithms are read; empty: of all. Few runs of one make labels that mislead it (docs/collect.md)."""
    without: tuple[str, ...] = ()
    """Tasks of these datasets that are not read, to be judged on later."""
    arch: Architecture = "llm"
    model: str = DEFAULT
    start: str = ""
    """Folder of an adapter of the same head, rank and layers to go on from, like a checkpoint whose optimiser is forgotten."""
    head: HeadName = "digits"
    """`digits`: cross-entropy of the slots' digits; `continuous`: squared error of one real step a slot (llm/heads.py)."""
    choice: Certain = "mean"
    """How the model's probabilities become steps when it steers: `mean` for labels that doubt; `likeliest` for those of a rule
    that names places, since of a mean even a small chance of a step adds up along a run."""
    prompt: dict[str, Any] = {"transitions": 0}
    labels: Literal["pooled", "effects", "tuned"] = "pooled"
    """`pooled`: effects that small networks fit to the branches of all checkpoints at once, for every decision of every run;
    `effects`: main effects of each checkpoint by itself, for its own decision; `tuned`: the step toward the values that a
    tuner's search found best, for every decision of its runs (mode bayes of `hyperprompt collect`)."""
    teacher: str = ""
    """Folder of a control whose own policy is the label of every decision, in place of labels from branches; or the name of
    any controller, whose steps are (with sharpness=1)."""
    exchanged: int = Field(default=0, ge=0)
    """Copies of every run with the signals of other runs' intervals in place of its own, labelled by a controller, `teacher`:
    they teach to read signals where progress alone foretells most labels."""
    tau: float = Field(default=0.05, gt=0)
    """p(step) ~ exp(effect / tau), effects in task units."""
    sharpness: float = Field(default=2.5, gt=0)
    """Training's labels are made at tau / sharpness, and the policy is read at temperature `sharpness`, which undoes it: the
    same policy, taught by labels that differ more between states. 1 with a continuous head, which has no temperature, and with
    labels=tuned, which have no tau."""
    mean_share: float = Field(default=0.5, ge=0, le=1)
    """w of the score (1 - w) end + w mean of a branch."""
    ceiling: float | None = Field(default=None, gt=0)
    """Checkpoints of runs that stand at this level or above, in task units, teach `pooled` nothing: where nothing is left to
    learn a lower rate always pays, and labels that know only such states let it fall everywhere."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Of the tasks that each of the networks of `pooled` is shown, so that they differ where tasks do."""
    pessimism: float = Field(default=0.0, ge=0)
    """Deviations between those networks that are taken off every effect but keep's: where they do not agree, keep."""
    rank: int = Field(default=16, ge=0)
    """Of the low-rank adapters; 0 trains every weight, in float32."""
    dtype: Literal["bfloat16", "float32"] | None = None
    """Of the adapted model's frozen weights while training; by default what `llm.weights.load` takes on this machine. A core
    without AMX multiplies long transcripts faster in float32."""
    layers: int | None = Field(default=None, ge=1)
    """Topmost layers that are trained; all by default."""
    learning_rate: float = Field(default=5e-4, gt=0)
    batch: int = Field(default=8, ge=1)
    """Transcripts a gradient step."""
    epochs: int = Field(default=6, ge=1)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises; then it falls along a cosine, unless `constant`."""
    constant: bool = False
    patience: int = Field(default=3, ge=1)
    """Evaluations without a better one after which training stops."""
    evaluations: int = Field(default=2, ge=1)
    """Evaluations an epoch; each one is also a checkpoint."""
    augment: float = Field(default=0.2, ge=0, le=1)
    """Odds of another order of the hyperparameters; a quarter of it, of other changes: see `Augmentation`."""
    noise: float = Field(default=0.1, ge=0)
    """Of the standardised inputs of `gru` and `mlp` while training, the counterpart of augmented transcripts: the larger, the
    smoother the policy, and the less it makes of signals unlike those of the sources."""
    held_out: float = Field(default=0.1, ge=0, lt=1)
    """Share of the source runs set aside where no validation data is given."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _blunt(cls, values: dict[str, Any]) -> dict[str, Any]:
        blunt = values.get("head") == "continuous" or values.get("labels") == "tuned"
        return {"sharpness": 1.0, **values} if blunt else values

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.data:
            raise ValueError("data names no dataset: --data FOLDER, as often as there are")
        if self.head == "continuous" and self.sharpness != 1.0:
            raise ValueError(f"sharpness must be 1 with head=continuous, not {self.sharpness:g}: it is cross-entropy's alone")
        if self.labels == "tuned" and self.sharpness != 1.0:
            raise ValueError(f"sharpness must be 1 with labels=tuned, not {self.sharpness:g}: these labels have no tau")
        if self.choice != "mean" and self.head == "continuous":
            raise ValueError(f"choice must be mean with head=continuous, not {self.choice}: such a head answers by it")
        if self.head == "continuous" and self.arch in ("llm", "llm-random") and not self.rank:
            raise ValueError("rank must be 1 or more with head=continuous, not 0: such a head is kept beside an adapter")
        return self


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "short": {},
    "paper": {"learning_rate": 5e-5, "batch": 8, "epochs": 50, "rank": 0, "constant": True, "warmup": 0.0, "patience": 100},
    "cpu": {"layers": 14, "learning_rate": 6e-4, "batch": 3, "epochs": 6, "patience": 6, "augment": 0.05, "held_out": 0.06},
    "tiny": {"epochs": 1, "rank": 4, "layers": 2, "batch": 2, "evaluations": 1},
}
"""`paper` is the recipe of the seed paper (AdamW 5e-5, batches of 8, 50 epochs); `cpu` is what hours of one
core afford: the shipped adapter's recipe, with more epochs; `tiny` is for tests."""


def read(preset: str, values: Mapping[str, Any], settings: Sequence[str] = ()) -> SFTConfig:
    """A configuration from a preset, keys and values, and `key=value` settings; the later ones win.

    Raises:
        UnknownName: no such preset.
        InvalidValue: one line naming the key, what is wrong with it, and the valid choices.
    """
    if preset not in PRESETS:
        raise UnknownName("preset", preset, PRESETS)
    merged = {**PRESETS[preset], **values}
    for key in ("data", "validation"):
        merged[key] = tuple(str(path) for path in merged.get(key, ()))
    return validated(SFTConfig, with_settings(merged, settings))
