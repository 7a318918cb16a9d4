"""Whether the features and labels of a config can be computed from the columns that it declares."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import HOUR, SESSION, SESSION_SUMS, ChosenLabel, Config, Feature, Label
from pipeline.errors import ConfigError
from pipeline.steps.measures import COUNTERPART, attribute_columns, features_of, latests, measures, priors, summed
from pipeline.steps.sums import Measure, Window, measures_of

INTEGERS = ("int", "bigint")
COMPARED = (*INTEGERS, "double")
KEYS = ("string", "boolean", *INTEGERS)
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "timestamp", "void")
"""With the decimals, what Spark casts to float without a look at the value."""
BY_OWN_VALUE = ("count", "sum", "rate", "share", "decay")
"""Kinds of feature that, split `by` something, look up the example's own value of it."""
LARGEST_SUMMED = 10**10
"""So far from 0 may the `min` and `max` of a summed column lie: 900 million rows of it then fit into 64 bits."""


def check_features(config: Config) -> None:
    """Raise ConfigError with every feature, sequence and label that names something which is not there."""
    if config.table is not None:
        return  # what a feature of a row may name is checked with the config
    _refuse([*_entities(config), *_context(config), *_sequences(config), *_labels(config)])


def check_sql(config: Config, spark: SparkSession) -> None:
    """Raise ConfigError with every `sql` of context features that is no expression over one event with a number.

    Spark analyses each over an event table without rows; nothing is run.
    """
    nothing = spark.createDataFrame([], schemas.ddl(_own(config)))
    written = {name: feature.sql for name, feature in config.features.context.items() if feature.sql is not None}
    found = ((name, _sql_fault(nothing, sql)) for name, sql in written.items())
    _refuse([f"$.features.context.{name}.sql: {fault}" for name, fault in found if fault is not None])


def _refuse(faults: list[str]) -> None:
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{len(faults)} fault(s) in features and labels:\n{lines}")


def _sql_fault(nothing: DataFrame, sql: str) -> str | None:
    """What is wrong with an expression, or None. What a join asks of two rows takes no aggregate, window or generator,
    and nothing that is random; nor must a feature."""
    try:
        type_ = nothing.select(F.expr(sql)).dtypes[0][1]
        other = nothing.sparkSession.range(0).toDF("_other")
        nothing.join(other, on=F.expr(sql).isNotNull(), how="left")
    except AnalysisException as error:  # a ParseException is one too
        first = str(error).strip().partition("\n")[0].rstrip(";")
        return f"{first}; it must say a number of one event, from {sorted(nothing.columns)}, got {sql!r}"
    if type_ == "string":
        return f"gives text, of which a line may say no number; write try_cast(... AS DOUBLE) around it, got {sql!r}"
    if type_ not in NUMBERS and not type_.startswith("decimal"):
        return f"gives {type_}, which does not become a float; it must give a number, a truth or a time, got {sql!r}"
    return None


def event_columns(config: Config) -> schemas.Columns:
    """Columns of an event that are known when it happens: no arrival clock, no verdict, not its own id or type."""
    later = {"event_id", "event_type", "available_at", *schemas.EVENTS_VERDICTS}
    return {name: type_ for name, type_ in schemas.events(config).items() if name not in later}


def _declared(config: Config) -> schemas.Columns:
    """Columns of a row of a table, or those of event_columns() that the source of events fills: the others are null."""
    if config.table is not None:
        return schemas.rows(config)
    declared = config.sources[config.datasets.events].columns
    return {name: type_ for name, type_ in event_columns(config).items() if name in declared}


def _own(config: Config) -> schemas.Columns:
    """Those of an example's own event that its features and labels may look at: none that says a label, and beside
    sampled candidates none that they do not share, or it would tell which were sampled."""
    answers = {label.column for label in config.event_labels.values() if isinstance(label, ChosenLabel)}
    declared = {name: type_ for name, type_ in _declared(config).items() if name not in answers}
    if config.negatives is None:
        return declared
    of_a_candidate = ("item_id", "room_id") if config.negatives.candidates == "on_air" else ("item_id",)
    shared = {"user_id", "event_time", *of_a_candidate, *config.negatives.keep}
    return {name: type_ for name, type_ in declared.items() if name in shared}


def _known(config: Config) -> str:
    """Those columns, for a message."""
    shared = "" if config.negatives is None else " (as sampled candidates share them: $.negatives.keep)"
    return f"columns known at an event are {sorted(_own(config))}{shared}"


def _entities(config: Config) -> Iterator[str]:
    for entity in COUNTERPART:
        for name, feature in features_of(config, entity).items():
            for fault in _feature(config, entity, feature):
                yield f"$.features.{entity}.{name}.{fault}"
        sums = [measure.name for measure in measures(config, entity)]
        for names in (sums, [*_whole_names(config, entity), *(latest.name for latest in latests(config, entity))]):
            if len(names) != len(set(names)):
                yield f"$.features.{entity}: two sums would both be called {_twice(names)}; rename a column of events"


def _whole_names(config: Config, entity: str) -> Iterator[str]:
    """Columns of a profile that one sum has for itself."""
    yield from (one.name for one in summed(config, entity) if not (isinstance(one, Window) and one.by))
    yield from (prior.name for prior in priors(config, entity))


def _feature(config: Config, entity: str, feature: Feature) -> Iterator[str]:
    yield from _column(config, feature)
    known = attribute_columns(config, entity)
    if feature.attribute is not None and feature.attribute not in known:
        yield f"attribute is {feature.attribute!r}; declared {entity} attributes are {sorted(known)}"
    if feature.prior_by is not None and feature.prior_by not in known:
        yield f"prior_by is {feature.prior_by!r}; declared {entity} attributes are {sorted(known)}"
    if feature.by is not None and feature.by not in (keys := _possible_keys(config, entity)):
        yield f"by is {feature.by!r}; it must be one of {sorted(keys)}"
    elif feature.by is not None and any(getattr(feature, kind) is not None for kind in BY_OWN_VALUE):
        said = {*attribute_columns(config, COUNTERPART[entity]), HOUR}
        if feature.by not in said and feature.by not in _own(config):
            yield f"by is {feature.by!r}, of which the example's own value is looked up; {_known(config)}"
    for measure in measures_of(feature):
        if measure.column is not None and not _of_sessions(config, measure):
            yield from _summed(config, measure.column)


def _of_sessions(config: Config, measure: Measure) -> bool:
    """Sessions of a user do not overlap: what is summed of them is bounded by the time that passes."""
    return config.sessions is not None and measure.event == SESSION and measure.column in SESSION_SUMS


def _summed(config: Config, column: str) -> Iterator[str]:
    """Sums are exact integers of 64 bits, and stay so when the values have bounds."""
    type_ = schemas.events(config).get(column, "not a column")
    if type_ not in INTEGERS:
        yield f"sums {column!r}, which must be an int or long column of events (sums are exact), got {type_}"
        return
    declared = config.sources[config.datasets.events].columns[column]
    bounds = (declared.min, declared.max)
    if not all(bound is not None and abs(bound) <= LARGEST_SUMMED for bound in bounds):
        place = f"$.sources.{config.datasets.events}.columns.{column}"
        yield (
            f"sums {column!r}, so {place} needs a `min` and a `max` between -{LARGEST_SUMMED} and {LARGEST_SUMMED} "
            f"(a sum must not overflow 64 bits), got min = {bounds[0]}, max = {bounds[1]}"
        )


def _possible_keys(config: Config, entity: str) -> set[str]:
    """What the other entity is or says of itself, the hour, and what an event says that is text or a whole number."""
    other, own = COUNTERPART[entity], schemas.ENTITY_ID[entity]
    said = {name for name, type_ in _declared(config).items() if type_ in KEYS and name != own}
    return {*attribute_columns(config, other), schemas.ENTITY_ID[other], HOUR, *said}


def _column(config: Config, feature: Feature) -> Iterator[str]:
    if feature.column is not None and feature.column not in _own(config):
        yield f"column is {feature.column!r}; {_known(config)}"


def _context(config: Config) -> Iterator[str]:
    for name, feature in config.features.context.items():
        for fault in _column(config, feature):
            yield f"$.features.context.{name}.{fault}"
        if feature.column is None and feature.sql is None and feature.target is None:
            yield (
                f"$.features.context.{name}: only `column`, `sql` and `target` describe an event; "
                f"move it to user or item"
            )


def _sequences(config: Config) -> Iterator[str]:
    for name, sequence in config.features.sequence.items():
        if sequence.of not in (known := _declared(config)):
            yield f"$.features.sequence.{name}.of is {sequence.of!r}; columns known at an event are {sorted(known)}"


def _labels(config: Config) -> Iterator[str]:
    exposure, own = config.event_labels[config.training.label].of, _own(config)
    for name, label in config.event_labels.items():
        place = f"$.labels.{name}"
        if label.of != exposure:
            yield f"{place}.of is {label.of!r}, but examples are made of {exposure!r} (the training label's)"
        if isinstance(label, Label):
            yield from (f"{place}.match names {name!r}; {_known(config)}" for name in label.match if name not in own)
            if label.column is not None:
                yield from (f"{place}.column {fault}" for fault in _summed(config, label.column))
        elif isinstance(label, ChosenLabel) and label.column is not None:
            type_ = _declared(config).get(label.column, "not a column of events")
            if type_ not in COMPARED:
                yield f"{place}.column is {label.column!r}, which must be an int, long or double, got {type_}"


def _twice(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)
