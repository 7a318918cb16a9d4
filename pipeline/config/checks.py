"""What must hold between the tables of a config: a name that one of them uses is declared by another.

A fault is (place, message), the place as a dotted path from the table that is checked. Plain functions find them;
refuse() raises them together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

if TYPE_CHECKING:
    from pipeline.config import Column, Config, Feature

Fault = tuple[str, str]

RESERVED = {
    **dict.fromkeys(("line", "source_file", "fields", "fate", "verdict", "detail"), "the steps of cleaning"),
    **dict.fromkeys(("bot_rule", "bot_available_at"), "the verdicts on robots"),
    **dict.fromkeys(("id", "key", "keys", "event_day"), "the sums of a day"),
    **dict.fromkeys(("said_at", "said_event", "profile_day"), "the profiles"),
    "example_id": "the examples",
}
"""Names that a column of a source cannot have: a table on its way holds a column of that name already."""
RESERVED_PREFIXES = ("text_", "value_")
"""And these: what cleaning makes of each column. (A leading underscore is no Name.)"""
NEEDED = {
    "events": ("event_id", "event_type", "event_time", "user_id", "item_id"),
    "rooms": ("event_id", "event_type", "event_time", "room_id", "item_id"),
    "attributes.user": ("event_id", "event_time", "user_id"),
    "attributes.item": ("event_id", "event_time", "item_id"),
}
"""Columns without which a source cannot fill a dataset."""
BROADCAST = ("start", "end")
"""What a line of the rooms source says."""


def refuse(faults: Iterable[Fault]) -> None:
    """Raise what pydantic reports at each place, if there is any."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("refused", "{message}", {"message": message}),
            loc=tuple(place.split(".")),
            input={},
        )
        for place, message in faults
    ]
    if details:
        raise ValidationError.from_exception_data("config", details)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`must be one of ['malformed', ...], got rule 'malfrmed'; did you mean 'malformed'?`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"must be one of {names}, got {what} {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def column_faults(columns: Mapping[str, Column], fields: tuple[str, ...] | None) -> list[Fault]:
    """Every fault among the columns of one source, whose lines have these `fields` (None: not said here)."""
    return [*_clocks(columns), *_reserved(columns), *unknown_fields(columns, fields)]


def cross_faults(config: Config) -> list[Fault]:
    """Every fault between the tables."""
    from pipeline.config.drift import drift_faults
    from pipeline.config.label_checks import label_faults
    from pipeline.config.sessions import session_faults

    sources = list(_unknown_sources(config))
    crosses = list(unknown_crosses(config))
    found = [
        *sources,
        *crosses,
        *_targets(config),
        *fixed_faults(config),
        *label_faults(config),
        *unknown_labels(config),
        *_taken_names(config),
        *unknown_vocabularies(config),
        *pii_faults(config),
        *_begins_late(config),
    ]
    if sources:
        return found
    drift = [] if crosses else drift_faults(config)  # it asks for the columns of every feature
    sessions = session_faults(config)
    return [*found, *_missing_columns(config), *_rooms(config), *_unknown_event_types(config), *sessions, *drift]


def _clocks(columns: Mapping[str, Column]) -> Iterator[Fault]:
    if "event_time" not in columns:
        yield "event_time", 'is missing: say when a line happened, such as { from = "ts", time = ["epoch_ms"] }'
    for clock in ("event_time", "available_at"):
        if clock in columns and columns[clock].time is None:
            yield f"{clock}.time", 'is missing: say how the clock is written, such as time = ["epoch_ms"]'
    if "event_id" in columns and columns["event_id"].default is not None:
        yield "event_id.default", "would make one event of all lines without an id: leave it out"


def _reserved(columns: Mapping[str, Column]) -> Iterator[Fault]:
    for name in columns:
        if name in RESERVED:
            yield name, f"is a name that {RESERVED[name]} need for themselves; call the column something else"
        elif prefix := next((prefix for prefix in RESERVED_PREFIXES if name.startswith(prefix)), None):
            yield name, f"begins with {prefix!r}, as what cleaning adds does; call the column something else"


def unknown_fields(columns: Mapping[str, Column], fields: tuple[str, ...] | None) -> Iterator[Fault]:
    for name, column in columns.items():
        if column.source is not None and "`" in column.source:
            yield f"{name}.from", f"must be the name of a field, without a backtick, got {column.source!r}"
        elif fields is not None and column.source is not None and column.source not in fields:
            yield f"{name}.from", unknown("field", column.source, fields)


def _used(config: Config) -> dict[str, str]:
    """Dataset -> the source that fills it."""
    used = {"events": config.datasets.events, "rooms": config.datasets.rooms}
    used |= {f"attributes.{entity}": source for entity, source in config.datasets.attributes.items()}
    return {place: source for place, source in used.items() if source is not None}


def _unknown_sources(config: Config) -> Iterator[Fault]:
    for place, source in _used(config).items():
        if source not in config.sources or config.sources[source].kind != "events":
            yield f"datasets.{place}", f"names source {source!r}; declared are {sorted(_event_sources(config))}"


def _event_sources(config: Config) -> list[str]:
    return [name for name, source in config.sources.items() if source.kind == "events"]


def _missing_columns(config: Config) -> Iterator[Fault]:
    for place, source in _used(config).items():
        in_rooms = ("room_id",) if place == "events" and config.datasets.rooms is not None else ()
        declared = config.sources[source].columns
        if absent := [name for name in (*NEEDED[place], *in_rooms) if name not in declared]:
            yield f"sources.{source}.columns", f"must declare {absent} to fill $.datasets.{place}, got {list(declared)}"


def _rooms(config: Config) -> Iterator[Fault]:
    rooms = config.datasets.rooms
    if rooms is None:
        return
    if rooms == config.datasets.events:
        yield "datasets.rooms", f"must be another source than that of events, got {rooms!r}"
    event_type = config.sources[rooms].columns.get("event_type")
    values = [] if event_type is None or event_type.values is None else list(event_type.values.values())
    if event_type is not None and not set(BROADCAST) <= set(values):
        example = 'values = { opened = "start", closed = "end" }'
        message = f"must say which raw values mean the start and the end of a room, such as {example}, got {values}"
        yield f"sources.{rooms}.columns.event_type.values", message


def _begins_late(config: Config) -> Iterator[Fault]:
    """A source of which nothing is left of the product's first days."""
    first = config.product.first_day
    for name in sorted({*_used(config).values()} & {*_event_sources(config)}):
        not_before = getattr(config.sources[name], "not_before", None)
        if not_before is not None and not_before > first:
            told = f"must not be after $.product.first_day, {first}, whose lines it would leave out; got {not_before}"
            yield f"sources.{name}.not_before", told


def pii_faults(config: Config) -> Iterator[Fault]:
    """Hashed in one source and plain in another, an id would be two; and a hash needs its key."""
    hashed = {name for source in config.sources.values() for name, column in source.columns.items() if column.pii}
    for name, source in config.sources.items():
        for plain in sorted(hashed & {column for column, declared in source.columns.items() if not declared.pii}):
            yield (
                f"sources.{name}.columns.{plain}.pii",
                f"must be true: another source says that {plain} names a person",
            )
    if hashed and config.clean.pii_key_file is None:
        yield "clean.pii_key_file", f"is missing: {sorted(hashed)} have pii = true, so name a file that holds a secret"


def unknown_labels(config: Config) -> Iterator[Fault]:
    if config.training.label not in config.labels:
        yield "training.label", f"is {config.training.label!r}; declared labels are {sorted(config.labels)}"


def unknown_crosses(config: Config) -> Iterator[Fault]:
    from pipeline.features import id_feature_names

    names = id_feature_names(config.features)
    for cross, declared in config.features.cross.items():
        for part in declared.of:
            if part not in names:
                yield f"features.cross.{cross}.of", f"names {part!r}; id features are {sorted(names)}"


def _targets(config: Config) -> Iterator[Fault]:
    """Target encodings of labels or by ids that there are not."""
    from pipeline.features import id_feature_names

    names = id_feature_names(config.features)
    for group in ("user", "item"):
        for name, feature in getattr(config.features, group).items():
            if feature.target is not None:
                yield f"features.{group}.{name}.target", "looks at whole examples: move it to features.context"
    for name, feature in config.features.context.items():
        if feature.target is not None and feature.target not in config.labels:
            yield f"features.context.{name}.target", unknown("label", feature.target, config.labels)
        for part in feature.of or ():
            if part not in names:
                yield f"features.context.{name}.of", f"names {part!r}; id features are {sorted(names)}"


def fixed_faults(config: Config) -> Iterator[Fault]:
    """A model whose every input is one value says the same of everything."""
    groups = (config.features.user, config.features.item, config.features.context)
    declared = [feature for group in groups for feature in group.values()]
    if declared and not config.features.sequence and all(feature.scored_as is not None for feature in declared):
        yield "features", "are all `scored_as` one value, so every score would be the same: give an input that varies"


def _taken_names(config: Config) -> Iterator[Fault]:
    """Features that would be called like a column of the examples, or of the events that they come from."""
    from pipeline.schemas import EXAMPLES

    events = config.sources.get(config.datasets.events)
    declared = {} if events is None else events.columns
    for group in ("user", "item", "context", "sequence"):
        for name in getattr(config.features, group):
            full = f"{group}_{name}"
            if full in EXAMPLES:
                yield f"features.{group}.{name}", f"would be column {full}, which examples have already"
            elif full in declared:
                yield f"features.{group}.{name}", f"would be column {full}, which events have already; rename either"


def unknown_vocabularies(config: Config) -> Iterator[Fault]:
    from pipeline.features import vocabulary_names

    features = config.features.model_copy(update={"cross": {}})  # they need no vocabulary, and may be at fault
    names = vocabulary_names(config.model_copy(update={"features": features}))
    for name in config.vocabularies:
        if name not in names:
            yield f"vocabularies.{name}", f"{unknown('vocabulary', name, names)}: those are what the features need"


def _unknown_event_types(config: Config) -> Iterator[Fault]:
    """Event types that no line can have; their counts and labels would be 0 for ever."""
    source = config.datasets.events
    event_type = config.sources[source].columns.get("event_type")
    if event_type is None or event_type.values is None:
        return
    known = sorted(set(event_type.values.values()))
    for place, name in _event_types(config):
        if name not in known and not _is_session(config, place, name):
            hint = "" if name != "session" else "; sessions are declared by [sessions], and features.user may name them"
            says = f"$.sources.{source}.columns.event_type.values says so{hint}"
            yield place, f"{unknown('event type', name, known)}: {says}"


def _is_session(config: Config, place: str, name: str) -> bool:
    from pipeline.config.sessions import SESSION

    return config.sessions is not None and name == SESSION and place.startswith("features.user.")


def _event_types(config: Config) -> Iterator[Fault]:
    """(place, event type) wherever one is named."""
    if config.clean.bots is not None:
        yield from ((f"clean.bots.{name}.event", rule.event) for name, rule in config.clean.bots.rules.items())
    for name, label in config.event_labels.items():
        yield f"labels.{name}.of", label.of
        if (followed := getattr(label, "event", None)) is not None:
            yield f"labels.{name}.event", followed
    if config.negatives is not None:
        yield "negatives.popularity", config.negatives.popularity
    for entity in ("user", "item"):
        for name, key, event, _ in features_by_event(getattr(config.features, entity)):
            yield f"features.{entity}.{name}.{key}", event
    if config.sessions is not None:
        yield from (("sessions.events", event) for event in config.sessions.events or ())
    for name, sequence in config.features.sequence.items():
        yield from ((f"features.sequence.{name}.events", event) for event in sequence.events)


def features_by_event(features: Mapping[str, Feature]) -> Iterator[tuple[str, str, str, str]]:
    """(feature, key, event type, column that is summed or "") wherever features of an entity name an event type."""
    for name, feature in features.items():
        yield from ((name, key, *measure) for key, measure in _events_of(feature))


def _events_of(feature: Feature) -> Iterator[tuple[str, tuple[str, str]]]:
    single = ("count", "sum", "share", "distinct", "decay", "top", "last", "since", "since_first")
    named = [*((key, getattr(feature, key)) for key in single), *(("rate", part) for part in feature.rate or ())]
    parts = ((key, measure.partition(".")) for key, measure in named if measure is not None)
    yield from ((key, (event, column)) for key, (event, _, column) in parts)
