"""[model], [training], [gate] and [recommend]: what learns, how, and what it must reach."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.checks import unknown
from pipeline.config.table import WRITTEN, Name, NotNegative, Positive, Table

GOES_WITH = {
    "decay_steps": ("cosine", "exponential"),
    "decay_rate": ("exponential",),
    "staircase": ("exponential",),
    "final_share": ("cosine",),
}
"""Which kinds of schedule a setting goes with."""


class Model(Table):
    """Which model family, and its size."""

    kind: Name = "wide_deep"
    embedding_dim: Positive = 16
    hidden: tuple[Positive, ...] = (128, 64)

    @field_validator("kind")
    @classmethod
    def _a_family(cls, kind: str) -> str:
        from pipeline.models.registry import FAMILIES

        if kind not in FAMILIES:
            raise ValueError(unknown("model family", kind, FAMILIES))
        return kind


class Rule(Table):
    """An optimizer of tsengine.train by name."""

    kind: Literal["gradient_descent", "adagrad", "rowwise_adagrad", "adam"]
    learning_rate: Annotated[float, Field(gt=0)]


class Optimizer(Rule):
    """The optimizer of the dense parameters, and of the embedding tables."""

    tables: Rule = Rule(kind="rowwise_adagrad", learning_rate=0.05)

    @model_validator(mode="after")
    def _by_element(self) -> Optimizer:
        if self.kind == "rowwise_adagrad":
            raise ValueError(
                "kind must be gradient_descent, adagrad or adam, got rowwise_adagrad: that one is for tables"
            )
        return self


class Schedule(Table):
    """How the learning rates go along, all alike: a straight way up to what `optimizer` says, then by kind.

    cosine       half a cosine down to `final_share` of the rate
    exponential  rate * decay_rate ^ (step / decay_steps), the exponent rounded down with `staircase`
    """

    kind: Literal["constant", "cosine", "exponential"] = "constant"
    warm_up_steps: NotNegative = 0
    decay_steps: Positive | None = None
    """Counted after the warm-up. A cosine needs none: it ends with the training."""
    decay_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    staircase: bool = False
    final_share: Annotated[float, Field(ge=0, le=1)] = 0.0

    @field_validator(*GOES_WITH)
    @classmethod
    def _means_something(cls, given: Any, info: ValidationInfo) -> Any:
        kind, wanted = info.data.get("kind"), GOES_WITH[str(info.field_name)]
        if given is not None and info.context == WRITTEN and kind is not None and kind not in wanted:
            raise ValueError(f"means nothing beside kind = {kind!r}, only beside {', '.join(wanted)}: leave it out")
        return given

    @model_validator(mode="after")
    def _decays(self) -> Schedule:
        absent = [name for name in ("decay_steps", "decay_rate") if getattr(self, name) is None]
        if self.kind == "exponential" and absent:
            raise ValueError(f"kind = 'exponential' needs decay_steps and decay_rate, {' and '.join(absent)} is absent")
        return self


class Training(Table):
    """How the model is trained and judged."""

    label: Name
    days: Positive = 6
    evaluation_days: Positive = 2
    evaluate_on: Literal["validation", "test"] | None = None
    """Of a table's splits the one to judge on; when it is absent "validation", or "test" where there is no other."""
    epochs: Positive = 1
    batch_size: Positive = 4096
    shards: Positive = 8
    workers: Positive = 2
    window_row_groups: Positive = 8
    seed: int = 42
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Limit of the norm over all gradients of a step together; a longer one is shortened to it."""
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=0.001)
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _shards(self) -> Training:
        if self.workers > self.shards:
            raise ValueError(f"workers ({self.workers}) must not exceed shards ({self.shards})")
        if self.batch_size % self.shards:
            raise ValueError(f"batch_size ({self.batch_size}) must be a multiple of shards ({self.shards})")
        return self


class Threshold(Table):
    """What a metric must reach, alone and against the model in service.

    `at_least` and `change_at_least` are for what should be high (auc, gauc), `at_most` and `change_at_most` for a loss
    (logloss). A change is candidate minus the model in service, on the same rows; nothing is negated on the way.
    """

    at_least: float | None = None
    at_most: float | None = None
    change_at_least: float | None = None
    change_at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Threshold:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(
                "needs at_least or change_at_least (a loss: at_most or change_at_most): "
                "a gate without a threshold never refuses anything"
            )
        return self


class Recommend(Table):
    """For whom, and from what."""

    candidates: Literal["on_air", "recent"] = "on_air"
    active_days: Positive = 7
    pool: Positive = 200
    """Of recent items, so many of the most frequent are scored for everybody."""
    top: Positive = 20
