"""Every dataset's columns, and the key of each, in one place.

Types are written in Spark's DDL names. Times are TIMESTAMP (microseconds, UTC), durations `bigint` milliseconds, money
`bigint` minor units, raw ids `string`, encoded ids `int`, features and labels `float`. Where a product declares more
columns (attributes, events, features) they follow the fixed ones in the order of the config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.features import FeatureSpec, feature_specs

if TYPE_CHECKING:
    from pipeline.config import Config, Source

Columns = dict[str, str]
"""Column name -> Spark DDL type, in order."""

CLOCKS: Columns = {"event_time": "timestamp", "available_at": "timestamp"}

EVENTS: Columns = {  # key: event_id
    "event_id": "string",
    "user_id": "string",
    "item_id": "string",
    "room_id": "string",
    "event_type": "string",
    **CLOCKS,
}
EVENTS_VERDICTS: Columns = {"bot_rule": "string", "bot_available_at": "timestamp", "source_file": "string"}

QUARANTINE: Columns = {  # key: none
    "source": "string",
    "source_file": "string",
    "line": "binary",
    "rule": "string",
    "detail": "string",
}

ROOMS: Columns = {  # key: room_id; `ended_at` is null until the end is available
    "room_id": "string",
    "item_id": "string",
    "started_at": "timestamp",
    "start_available_at": "timestamp",
    "ended_at": "timestamp",
    "end_available_at": "timestamp",
}

SESSIONS: Columns = {  # key: session_id; `available_at` is null while the session is open
    "session_id": "string",  # user_id@started_at in microseconds; an open session may still begin earlier
    "user_id": "string",
    "started_at": "timestamp",
    "ended_at": "timestamp",  # of the last event so far
    "available_at": "timestamp",
    "events": "bigint",
    "duration_ms": "bigint",
    "bot_rule": "string",  # of the event of it that was known first to be a robot's
    "bot_available_at": "timestamp",
}

VOCABULARY: Columns = {  # key: value; id is null below min_count; of who was forgotten the value is a tombstone
    "value": "string",
    "id": "int",
    "count": "bigint",
    "first_dt": "date",
}

TOMBSTONE = " forgotten "
"""How the value begins that stands in a vocabulary for one that was forgotten, its id behind: an id stays taken. No
value of the logs begins with a space, for cleaning takes spaces away."""

EXAMPLES: Columns = {  # key: example_id (the event_id of the exposure; of what is sampled beside it <event_id>~<k>)
    "example_id": "string",
    "user_id": "string",
    "item_id": "string",
    "room_id": "string",
    "event_time": "timestamp",
    "weight": "float",
}

SAMPLED: Columns = {  # of examples where $.negatives is declared
    "sampling_probability": "float",  # 1 of what was logged; else that of one draw, among all that could be drawn then
}

TABLE_EXAMPLES: Columns = {  # key: example_id (the row_id of a row of a table)
    "example_id": "string",
    "user_id": "string",
    "weight": "float",
}

RECOMMENDATIONS: Columns = {  # key: (user_id, rank)
    "user_id": "string",
    "rank": "int",
    "item_id": "string",
    "room_id": "string",
    "score": "float",
    "model_version": "string",
}

STATISTICS: Columns = {  # key: (dataset, column)
    "dataset": "string",
    "column": "string",
    "kind": "string",  # pipeline.statistics.columns
    "rows": "bigint",
    "nulls": "bigint",  # of an id: those of the id of null too
    "distinct": "bigint",  # exact of a category or an id, else by HyperLogLog, give or take a twentieth
    "min": "string",
    "max": "string",
    "unknown": "bigint",  # of an id: rows with the id of what the vocabulary did not hold
    "positive": "bigint",  # of a label
    "quantiles": "array<double>",  # at QUANTILE_PERCENTS, of a number
    "histogram": "array<struct<bin:int,count:bigint>>",  # of a number, by bin (pipeline.statistics.bins)
    "top": "array<struct<value:string,count:bigint>>",  # of a category or an id, most frequent first
}
QUANTILE_PERCENTS = (1, 5, 25, 50, 75, 95, 99)
VALUES_LISTED = 100
"""So many values of a category are in `top`; of one that has no more, every value."""

TRUTH_EXPOSURES: Columns = {  # key: example_id; what the simulator knows and no log says
    "example_id": "string",
    "p_true": "double",
    "entered": "boolean",
}

TRUTH_LINES: Columns = {  # key: none; every line that carries dirt, and what must become of it
    "source": "string",
    "line_id": "string",
    "kind": "string",
    "fate": "string",
}

ENTITY_ID = {"user": "user_id", "item": "item_id"}
_SOURCE_TYPES = {"string": "string", "int": "int", "long": "bigint", "double": "double", "boolean": "boolean"}


def declared_columns(source: Source) -> Columns:
    """The columns of a source as its config types them."""
    return {
        name: "timestamp" if column.time is not None else _SOURCE_TYPES[column.type]
        for name, column in source.columns.items()
    }


def events(config: Config) -> Columns:
    """One clean event that arrived on the day; key event_id."""
    extra = declared_columns(config.sources[config.datasets.events])
    return {**EVENTS, **{k: v for k, v in extra.items() if k not in EVENTS}, **EVENTS_VERDICTS}


def attributes(config: Config, entity: str) -> Columns:
    """What a user or an item said of itself that day, one row a line; key (id, event_id)."""
    source = config.sources[config.datasets.attributes[entity]]  # type: ignore[index]
    extra = declared_columns(source)
    own = {ENTITY_ID[entity]: "string", "event_id": "string", **CLOCKS}
    return {**own, **{k: v for k, v in extra.items() if k not in own}}


def rows(config: Config) -> Columns:
    """One labelled row of a table; key row_id."""
    table = config.table
    if table is None:
        raise ConfigError(f"product {config.product.name!r} has events, no table of rows ($.datasets.rows)")
    image = {"image": "binary"} if table.format == "idx" else {}
    return {"row_id": "string", **image, **declared_columns(table)}


def examples(config: Config) -> Columns:
    """One exposure or sampled candidate, or one row of a table, with its labels and features; key example_id."""
    labels = {f"label_{name}": "float" for name in config.labels}
    features = {column: _feature_type(spec) for spec in feature_specs(config) for column in spec.columns}
    sampled = {} if config.negatives is None else SAMPLED
    return {**(EXAMPLES if config.table is None else TABLE_EXAMPLES), **sampled, **labels, **features}


def ddl(columns: Columns) -> str:
    """As a Spark schema string."""
    return ", ".join(f"`{name}` {type_}" for name, type_ in columns.items())


def _feature_type(spec: FeatureSpec) -> str:
    return {"id": "int", "sequence": "array<int>", "image": "binary"}.get(spec.kind, "float")
