"""Whether the features and labels of a config can be computed from the columns that it declares."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import schemas
from pipeline.config import Config, Feature
from pipeline.errors import ConfigError
from pipeline.steps.measures import COUNTERPART, attribute_columns, features_of, measures, measures_of

INTEGERS = ("int", "bigint")


def check_features(config: Config) -> None:
    """Raise ConfigError with every feature, sequence and label that names something which is not there."""
    faults = [*_entities(config), *_context(config), *_sequences(config), *_labels(config)]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{len(faults)} fault(s) in features and labels:\n{lines}")


def event_columns(config: Config) -> schemas.Columns:
    """Columns of an event that are known when it happens: no arrival clock, no verdict, not its own id or type."""
    later = {"event_id", "event_type", "available_at", *schemas.EVENTS_VERDICTS}
    return {name: type_ for name, type_ in schemas.events(config).items() if name not in later}


def _entities(config: Config) -> Iterator[str]:
    for entity in COUNTERPART:
        for name, feature in features_of(config, entity).items():
            for fault in _feature(config, entity, feature):
                yield f"$.features.{entity}.{name}.{fault}"
        names = [measure.name for measure in measures(config, entity)]
        if len(names) != len(set(names)):
            yield f"$.features.{entity}: two sums would both be called {_twice(names)}; rename a column of events"


def _feature(config: Config, entity: str, feature: Feature) -> Iterator[str]:
    yield from _column(config, feature)
    known = attribute_columns(config, entity)
    if feature.attribute is not None and feature.attribute not in known:
        yield f"attribute is {feature.attribute!r}; declared {entity} attributes are {sorted(known)}"
    if feature.by is not None and feature.by not in (keys := _possible_keys(config, entity)):
        yield f"by is {feature.by!r}; it must be one of {sorted(keys)}"
    columns = schemas.events(config)
    for measure in measures_of(feature):
        if measure.column is not None and columns.get(measure.column) not in INTEGERS:
            came = columns.get(measure.column, "not a column")
            yield f"sums {measure.column!r}, which must be an int or long column of events (sums are exact), got {came}"


def _possible_keys(config: Config, entity: str) -> set[str]:
    other = COUNTERPART[entity]
    return {*attribute_columns(config, other), schemas.ENTITY_ID[other]}


def _column(config: Config, feature: Feature) -> Iterator[str]:
    if feature.column is not None and feature.column not in (known := event_columns(config)):
        yield f"column is {feature.column!r}; columns known at an event are {sorted(known)}"


def _context(config: Config) -> Iterator[str]:
    for name, feature in config.features.context.items():
        for fault in _column(config, feature):
            yield f"$.features.context.{name}.{fault}"
        if feature.column is None and feature.sql is None:
            yield f"$.features.context.{name}: only `column` and `sql` describe an event; move it to user or item"


def _sequences(config: Config) -> Iterator[str]:
    for name, sequence in config.features.sequence.items():
        if sequence.of not in (known := event_columns(config)):
            yield f"$.features.sequence.{name}.of is {sequence.of!r}; columns known at an event are {sorted(known)}"


def _labels(config: Config) -> Iterator[str]:
    exposure = config.labels[config.training.label].of
    known = event_columns(config)
    for name, label in config.labels.items():
        if label.of != exposure:
            yield f"$.labels.{name}.of is {label.of!r}, but examples are made of {exposure!r} (the training label's)"
        for column in label.match:
            if column not in known:
                yield f"$.labels.{name}.match names {column!r}; columns known at an event are {sorted(known)}"


def _twice(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)
