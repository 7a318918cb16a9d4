"""[profiles], [vocabularies] and [features]: what is learnt from."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.table import WRITTEN, Name, NotNegative, Positive, Table

Measure = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]
"""`enter` counts events of that type; `watch.duration_ms` sums that column over them."""

KINDS = (
    "column", "attribute", "sql", "count", "sum", "rate", "share", "distinct", "decay", "top", "last", "since",
    "since_first", "target", "image",
)  # fmt: skip
SETTINGS = {
    "by": ("count", "sum", "rate", "share", "distinct", "decay", "top", "last"),
    "window_days": ("count", "sum", "rate", "share", "distinct", "target"),
    "half_life_days": ("decay", "top"),
    "k": ("top",),
    "smoothing": ("rate", "share", "target"),
    "prior_by": ("rate",),
    "edges": ("attribute", "sql", "count", "sum", "distinct", "decay", "since", "since_first"),
    "of": ("target",),
    "hash_buckets": ("column", "attribute"),
    "scored_as": ("column", "sql"),
}
"""Which kinds of feature a setting goes with: what is split by a value, what looks over days, what is a ratio, ..."""
ALWAYS_SPLIT = ("share", "distinct", "top", "last")
"""Kinds that say nothing without `by`."""
MOST_BUCKETS = 2**31 - 4
"""Of a hash: its ids, with the three reserved ones, are int32."""
HOUR = "hour"
"""What `by` calls the hour of an event in the product's zone."""


class Profiles(Table):
    """When the profile of a day may be used."""

    ready_after_s: NotNegative = 21_600


class Vocabulary(Table):
    """How often a value must have been seen to get an id."""

    min_count: Positive = 1


class Feature(Table):
    """One input of the model; exactly one of the keys in KINDS says how it is computed.

    column        a column of the exposure, as an id
    attribute     what the entity said of itself, as an id (or by `edges`)
    sql           a number from one exposure
    count, sum    over the last `window_days` days
    rate          of two such sums: [numerator, denominator]
    share         of the exposure's own value of `by` in a sum over all values: { share = "enter", by = "hour" }
    distinct      how many values of `by` the events of that type had
    decay         a sum that halves every `half_life_days`: s = s * g + x once a day, x being what arrived on it
    top           the `k` values of `by` with most decay, as a list of ids, greatest first
    last          the value of `by` at the latest event of that type, as an id
    since         hours since the latest event of that type
    since_first   hours since the first one
    target        target encoding: how often that label was 1 in earlier examples with the same ids in all features
                  `of`: { target = "enter", of = ["user_city", "item_category"] }
    image         the image of a row of an idx table, as its bytes

    `by` splits a sum: by the id or an attribute of the other entity, by a column of events, or by "hour" (of the
    event, in $.product.day_zone). count, sum, rate and decay then give that of the exposure's own value.

    A `target` looks at the examples of the `window_days` days that end with the profile's: their labels were final by
    then. Null counts as a value like any other, and so does unknown, for all values without an id together.

    An id by `hash_buckets` needs no vocabulary: it is a hash of the text, and two values may share one.

    An input that is `scored_as` a value is read in training alone, for what it explains of the label there; wherever
    the model scores, it is that value (of `sql` a number, of `column` a text; "" is null). Such is the position.

    A rate is smoothed towards a prior that counts as `smoothing` observations: the rate over all training rows, or
    with `prior_by` the rate of all entities of the same value of that attribute of theirs, such as the item's category
    (which in turn is smoothed towards the rate over all).
    """

    column: Name | None = None
    attribute: Name | None = None
    sql: str | None = None
    count: Measure | None = None
    sum: Measure | None = None
    rate: tuple[Measure, Measure] | None = None
    share: Measure | None = None
    distinct: Name | None = None
    decay: Measure | None = None
    top: Measure | None = None
    last: Name | None = None
    since: Name | None = None
    since_first: Name | None = None
    target: Name | None = None
    image: Literal["image"] | None = None
    """The image of a row of an idx table, as its bytes."""
    by: Name | None = None
    window_days: Positive = 7
    half_life_days: Positive = 7
    k: Annotated[int, Field(gt=0, le=100)] = 3
    smoothing: Annotated[float, Field(gt=0)] = 20.0
    prior_by: Name | None = None
    edges: tuple[float, ...] | None = Field(default=None, min_length=1)
    of: tuple[Name, ...] | None = Field(default=None, min_length=1)
    hash_buckets: Annotated[int, Field(gt=0, le=MOST_BUCKETS)] | None = None
    scored_as: float | str | None = None

    @field_validator(*SETTINGS)
    @classmethod
    def _means_something(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None or info.context != WRITTEN:
            return given
        kinds, wanted = _kinds(info.data), SETTINGS[str(info.field_name)]
        if len(kinds) == 1 and kinds[0] not in wanted:
            raise ValueError(f"means nothing beside `{kinds[0]}`, only beside {', '.join(wanted)}: leave it out")
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> Feature:
        kinds = _kinds(self.__dict__)
        if len(kinds) != 1:
            raise ValueError(f"needs exactly one of {', '.join(KINDS)}; got {kinds or 'none'}")
        if self.by is None and kinds[0] in ALWAYS_SPLIT:
            raise ValueError(f'`{kinds[0]}` needs `by`, the value whose {kinds[0]} is meant, such as by = "item_id"')
        if self.target is not None and self.of is None:
            raise ValueError('`target` needs `of`, the id features that must be equal, such as of = ["item_id"]')
        if self.hash_buckets is not None and self.edges is not None:
            raise ValueError("`hash_buckets` makes ids of texts, `edges` ranges of numbers: give one of them")
        if isinstance(self.scored_as, float) and self.sql is None:
            raise ValueError(f'`scored_as` of a `column` is a text ("" is null), got {self.scored_as:g}')
        if isinstance(self.scored_as, str) and self.sql is not None and self.scored_as:
            raise ValueError(f'`scored_as` of an `sql` is a number ("" is null), got {self.scored_as!r}')
        if self.prior_by is not None and self.by is not None:
            raise ValueError("`prior_by` does not go with `by`: the prior is of a rate that is not split")
        if self.by == HOUR and kinds[0] in ("top", "last"):
            raise ValueError(f"`{kinds[0]}` gives ids, and hours have no vocabulary: by must be something else")
        held = [_float32(edge) for edge in self.edges or ()]
        if held != sorted(set(held)) or not all(map(math.isfinite, held)):
            raise ValueError(f"edges must rise strictly, in float32 too, got {list(self.edges or ())}")
        return self


def _kinds(feature: Mapping[str, Any]) -> list[str]:
    """Which of the keys that say how a feature is computed are given."""
    return [kind for kind in KINDS if feature.get(kind) is not None]


def _float32(value: float) -> float:
    """As the graph will hold it; a number beyond its range becomes infinite."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


class Sequence(Table):
    """The user's latest `last` values of a column, newest last, known before the exposure."""

    of: Name
    events: tuple[Name, ...] = Field(min_length=1)
    last: Positive = 20
    window_days: Positive = 7


class Cross(Table):
    """Two id features hashed together into `buckets`, by (a * 1000003 + b) mod buckets."""

    of: tuple[Name, Name]
    buckets: Positive


class Features(Table):
    """The inputs of the model, by what they describe."""

    user: dict[Name, Feature] = Field(default={})
    item: dict[Name, Feature] = Field(default={})
    context: dict[Name, Feature] = Field(default={})
    sequence: dict[Name, Sequence] = Field(default={})
    cross: dict[Name, Cross] = Field(default={})
