"""The typed config of one product, read from conf/<product>.toml.

Every table refuses unknown keys, every fault is reported at once with its path (`$.training.workers`), and all
defaults stand here. Objects are frozen. Units are in the names.
"""

from __future__ import annotations

import datetime
import difflib
import math
import shlex
import struct
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.config_checks import column_faults, cross_faults, refuse, unknown
from pipeline.errors import ConfigError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Measure = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]
"""`enter` counts events of that type; `watch.duration_ms` sums that column over them."""

WRITTEN = "written by a person"
"""The validation context of a TOML: what it says without effect is a mistake. (A dump of a config says everything.)"""
NUMERIC = ("int", "long", "double")
"""Types of a column that has a `min` and a `max`."""
INT64 = 2**63
RULE_IDS = (
    "invalid_utf8",
    "malformed",
    "missing_required",
    "unknown_value",
    "bad_type",
    "out_of_range",
    "future_clock",
    "too_late",
    "not_on_air",
)
"""The ids of steps.clean_logs.RULES, which are made of Spark's columns: a config is read without Spark."""


class Table(BaseModel):
    """A TOML table: frozen, and a stranger to keys it does not know, to nan and to inf."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Product(Table):
    """Whose logs these are, and where its datasets lie."""

    name: Name
    warehouse: str = "warehouse"
    day_zone: str = "UTC"
    first_day: datetime.date

    @field_validator("day_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"must be a time zone of the IANA database such as 'Asia/Shanghai', got {zone!r}")
        return zone

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose midnight begins a day."""
        return ZoneInfo(self.day_zone)


class Simulate(Table):
    """How much of the demonstration service `make run` simulates."""

    days: Positive = 8
    seed: int = 7
    users: Positive | None = None
    streamers: Positive | None = None


class Column(Table):
    """Where one column of a source comes from: a field (`from`) or an expression over the fields (`sql`)."""

    source: str | None = Field(default=None, alias="from")
    sql: str | None = None
    type: Literal["string", "int", "long", "double", "boolean"] = "string"
    required: bool = False
    values: dict[str, str] | None = Field(default=None, min_length=1)
    time: tuple[Literal["epoch_s", "epoch_ms", "epoch_us", "iso"], ...] | None = Field(default=None, min_length=1)
    min: int | float | None = None
    max: int | float | None = None

    @field_validator("values", "time")
    @classmethod
    def _instead_of_a_type(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None:
            return None
        if info.data.get("type", "string") != "string":
            raise ValueError(
                f"does not go with type = {info.data['type']!r}: a column with `values` is text, one with `time` is a "
                "time; leave `type` out"
            )
        if info.field_name == "time" and info.data.get("values") is not None:
            raise ValueError("does not go with `values`: give the one or the other")
        return given

    @field_validator("min", "max")
    @classmethod
    def _of_a_number(cls, bound: int | float | None, info: ValidationInfo) -> int | float | None:
        if bound is None:
            return None
        said = [key for key in ("values", "time") if info.data.get(key) is not None]
        if said or info.data.get("type", "string") not in NUMERIC:
            kind = f"has `{said[0]}`" if said else f"has type = {info.data.get('type', 'string')!r}"
            raise ValueError(f"goes with type = 'int', 'long' or 'double', and this column {kind}: say its type")
        if not -INT64 <= bound < INT64:
            raise ValueError("must be a number of 64 bits")
        if info.field_name == "max" and (least := info.data.get("min")) is not None and bound < least:
            raise ValueError(f"must be at least min ({least})")
        return bound

    @model_validator(mode="after")
    def _one_origin(self) -> Column:
        if (self.source is None) == (self.sql is None):
            raise ValueError(
                "needs exactly one of `from` (a field of the line) or `sql` (an expression over its fields)"
            )
        return self


class Source(Table):
    """One kind of raw log: where its files are and how a line becomes a row."""

    kind: Literal["events"]
    path: str
    format: Literal["json", "csv"] = "json"
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    fields: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Field names of a delimited file in order; read from the header when absent."""
    header: bool = Field(default_factory=lambda earlier: earlier["fields"] is None)
    """Whether the first line of a delimited file is none of its rows; so it is where `fields` is not given."""
    delay_s: NotNegative = 0
    columns: dict[Name, Column]

    @field_validator("separator", "fields", "header")
    @classmethod
    def _of_delimited_text(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None or info.context != WRITTEN:
            return given
        if info.data.get("format") == "json":
            raise ValueError("goes with format = 'csv'; a line of json names its own fields: leave it out")
        if info.field_name == "header" and not given and info.data.get("fields", ()) is None:
            raise ValueError("is false, so the source needs `fields`, the names of its fields in order")
        if info.field_name == "fields" and len(set(given)) < len(given):
            raise ValueError("must not hold a name twice")
        return given

    @field_validator("columns")
    @classmethod
    def _columns_fit(cls, columns: dict[str, Column], info: ValidationInfo) -> dict[str, Column]:
        refuse(column_faults(columns, info.data.get("fields")))
        return columns

    @property
    def has_day(self) -> bool:
        """Whether the path itself names the arrival day."""
        return "{dt}" in self.path


class Datasets(Table):
    """Which source fills which dataset."""

    events: Name
    attributes: dict[Literal["user", "item"], Name] = {}
    rooms: Name | None = None


class Bots(Table):
    """Who is too busy to be a person: more events of this type in a clock hour."""

    event: Name = "exposure"
    per_hour: Positive = 200


class Clean(Table):
    """What a clean event is."""

    lookback_days: NotNegative = 2
    future_tolerance_s: NotNegative = 3600
    on_air_grace_s: NotNegative = 60
    max_line_bytes: Positive = 1_048_576
    bots: Bots | None = None
    budgets: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}

    @field_validator("budgets")
    @classmethod
    def _of_rules(cls, budgets: dict[str, float]) -> dict[str, float]:
        refuse([(name, unknown("rule", name, RULE_IDS)) for name in budgets if name not in RULE_IDS])
        return budgets


class Label(Table):
    """An example is an event of type `of`; it is positive when `event` follows in time."""

    of: Name = "exposure"
    event: Name
    match: tuple[Name, ...] = Field(default=("user_id", "item_id"), min_length=1)
    within_s: Positive
    mature_after_s: Positive

    @model_validator(mode="after")
    def _matures(self) -> Label:
        if self.mature_after_s < self.within_s:
            raise ValueError(f"mature_after_s ({self.mature_after_s}) must be at least within_s ({self.within_s})")
        return self


class Profiles(Table):
    """When the profile of a day may be used."""

    ready_after_s: NotNegative = 21_600


class Vocabulary(Table):
    """How often a value must have been seen to get an id."""

    min_count: Positive = 1


KINDS = ("column", "attribute", "sql", "count", "sum", "rate", "since")
SETTINGS = {
    "window_days": ("count", "sum", "rate"),
    "smoothing": ("rate",),
    "edges": ("attribute", "sql", "count", "sum", "since"),
}
"""Which kinds of feature a setting goes with: what looks over days, what is a ratio, what is one number."""


class Feature(Table):
    """One input of the model; exactly one of the first seven keys says how it is computed."""

    column: Name | None = None
    attribute: Name | None = None
    sql: str | None = None
    count: Measure | None = None
    sum: Measure | None = None
    rate: tuple[Measure, Measure] | None = None
    since: Name | None = None
    by: Name | None = None
    window_days: Positive = 7
    smoothing: Annotated[float, Field(gt=0)] = 20.0
    edges: tuple[float, ...] | None = Field(default=None, min_length=1)

    @field_validator("window_days", "smoothing", "edges")
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
            raise ValueError(
                f"needs exactly one of column, attribute, sql, count, sum, rate, since; got {kinds or 'none'}"
            )
        if self.by is not None and kinds[0] not in ("count", "sum", "rate"):
            raise ValueError("`by` goes with count, sum or rate only")
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

    user: dict[Name, Feature] = {}
    item: dict[Name, Feature] = {}
    context: dict[Name, Feature] = {}
    sequence: dict[Name, Sequence] = {}
    cross: dict[Name, Cross] = {}


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


GOES_WITH = {
    "decay_steps": ("cosine", "exponential"),
    "decay_rate": ("exponential",),
    "staircase": ("exponential",),
    "final_share": ("cosine",),
}
"""Which kinds of schedule a setting goes with."""


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


class Config(Table):
    """One product."""

    product: Product
    simulate: Simulate | None = None
    sources: dict[Name, Source]
    datasets: Datasets
    clean: Clean = Clean()
    labels: dict[Name, Label]
    profiles: Profiles = Profiles()
    vocabularies: dict[Name, Vocabulary] = {}
    features: Features
    model: Model = Model()
    training: Training
    gate: dict[Literal["auc", "gauc", "logloss"], Threshold] = Field(min_length=1)
    recommend: Recommend = Recommend()
    _told_by: str = PrivateAttr("")
    """`CONF=` and `SET=` as a person would type them."""

    def command(self, verb: str, **names: object) -> str:
        """What to type for this product: `make backfill FROM=2026-01-01 TO=2026-01-02 CONF=conf/live.toml`."""
        return " ".join(["make", verb, *(f"{name}={value}" for name, value in names.items()), self._told_by]).rstrip()

    @model_validator(mode="after")
    def _references(self) -> Config:
        refuse(cross_faults(self))
        return self


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a product's TOML; `overrides` are `a.b=value` with value in TOML (a bare word is a string).

    Raises ConfigError with every fault, each with its path in the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}. Give a product's TOML by --conf") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    overrides = list(overrides)
    for override in overrides:
        _override(tables, override)
    config = parse_config(tables, str(path))
    config._told_by = f"CONF={path}" + (f" SET={shlex.quote(' '.join(overrides))}" if overrides else "")
    return config


def parse_config(tables: Mapping[str, Any], origin: str = "config") -> Config:
    """Check parsed TOML tables; ConfigError lists every fault with its path."""
    try:
        return Config.model_validate(tables, context=WRITTEN)
    except ValidationError as error:
        faults = [_explain(fault, tables) for fault in error.errors()]
    raise ConfigError(f"{origin} has {len(faults)} fault(s):\n" + "\n".join(f"  {fault}" for fault in faults))


def _override(tables: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in nested tables."""
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set takes section.key=value, got {override!r}")
    *parents, key = path.strip().split(".")
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} is a value, not a table")
    table[key] = _value(text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(fault: Any, tables: Mapping[str, Any]) -> str:
    """One line for one fault: where, what was expected, what came, and the likely way out."""
    place = "$" + "".join(f".{part}" for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key{_nearest(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{place}: is missing"
    message = fault["msg"].removeprefix("Value error, ")
    came = "" if isinstance(fault["input"], dict) else f", got {fault['input']!r}"
    return f"{place}: {message}{came if 'got' not in message else ''}"


def _nearest(location: tuple[str | int, ...]) -> str:
    """`; did you mean ...` from the keys that the table at this place knows."""
    known = {str(field.alias or name) for table in Table.__subclasses__() for name, field in table.model_fields.items()}
    close = difflib.get_close_matches(str(location[-1]), sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
