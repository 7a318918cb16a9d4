"""One example: each feature with its value, what its ids mean, and the event rows that it came from."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from pipeline.config import Feature, Negatives
from pipeline.days import Day, add_days
from pipeline.errors import MissingInput
from pipeline.features import FIRST_ID, NULL_ID, PAD_ID, UNKNOWN_ID, FeatureSpec, feature_specs, target_features
from pipeline.models.transforms import CROSS_FACTOR
from pipeline.schemas import ENTITY_ID
from pipeline.show.label_traces import label_trace
from pipeline.show.published import Published, Row
from pipeline.show.traces import Point, sequence_trace, sum_trace, target_trace
from pipeline.steps.measures import features_of
from pipeline.steps.sums import decay_of, latest_of

COLUMNS_SHOWN = ("event_id", "event_type", "user_id", "item_id", "room_id", "event_time", "available_at")
RESERVED = {PAD_ID: "(padding)", NULL_ID: "(null)", UNKNOWN_ID: "(unknown)"}


@dataclass(frozen=True)
class _Found:
    """An example, the event that it is (with a sampled candidate in it), and the days that served it."""

    row: Row
    event: Row
    beside: str | None
    """Of what was sampled, the event that it stands beside."""
    profile_day: Day
    vocabulary_day: Day


def show_example(published: Published, example_id: str, day: Day) -> Row:
    """The example with its event, its days, its features and where they came from.

    Sums, sequences and labels are computed again from `events` (target encodings from earlier examples) by their
    definition; `agrees` says whether that is what the example holds. Raises MissingInput with the nearest thing to do
    where there is no such example.
    """
    found = _find(published, example_id, day)
    row, event = found.row, found.event
    known = {
        entity: _profile(published, entity, row[column], found.profile_day) for entity, column in ENTITY_ID.items()
    }
    point = Point(published, event, found.profile_day, found.vocabulary_day, known)
    return {
        "example": example_id,
        "dt": day,
        "event": _event(published, event),
        "served": {
            "profile_day": found.profile_day,
            "vocabulary_day": found.vocabulary_day,
            **{entity: "known" if profile else "cold: in no profile of that day" for entity, profile in known.items()},
        },
        **_sampled(found),
        "labels": {name: value for name, value in row.items() if name.startswith("label_")},
        "features": [_feature(point, spec, row) for spec in feature_specs(published.config)],
        **_traces(point, found, day),
    }


def _sampled(found: _Found) -> Row:
    """Of a candidate, beside what it was drawn and how likely that was."""
    if found.beside is None:
        return {}
    probability = found.row["sampling_probability"]
    return {"sampled": {"beside": found.beside, "sampling_probability": probability}}


def _find(published: Published, example_id: str, day: Day) -> _Found:
    config, dataset = published.config, f"examples/{published.config.training.label}"
    rows = published.rows(dataset, day, "example_id", [example_id])
    if not rows:
        raise MissingInput(_nowhere(published, dataset, example_id, day))
    row = rows[0]
    exposed = published.local_day(row["event_time"])
    events = published.events(add_days(exposed, -1), day, "event_id", example_id)
    beside = None
    if not events and config.negatives is not None:
        beside = example_id.rpartition("~")[0]
        logged = published.events(add_days(exposed, -1), day, "event_id", beside)
        events = [_candidate(config.negatives, event, row) for event in logged]
    if not events:
        raise MissingInput(f"example {example_id!r} is in {dataset}/dt={day}, but its event is in no day of events")
    ready = row["event_time"] - datetime.timedelta(seconds=config.profiles.ready_after_s)
    return _Found(row, events[0], beside, add_days(published.local_day(ready), -1), add_days(exposed, -1))


def _candidate(negatives: Negatives, event: Row, row: Row) -> Row:
    """The event as a sampled candidate has it."""
    own = {"item_id": row["item_id"], "room_id": row["room_id"]}
    known = {*COLUMNS_SHOWN, "arrived", "source_file", *negatives.keep}
    return {name: own.get(name, value if name in known else None) for name, value in event.items()}


def _nowhere(published: Published, dataset: str, example_id: str, day: Day) -> str:
    """Which day has it, or why none has."""
    config = published.config
    missing = f"{example_id!r} is not in {dataset}/dt={day}"
    near = [add_days(day, -1), day, add_days(day, 1)]
    events = [
        e for d in near if published.has("events", d) for e in published.rows("events", d, "event_id", [example_id])
    ]
    if not events:
        similar = published.similar(dataset, day, "example_id", example_id)
        likeness = "" if similar is None else f"; ids look like {similar!r}"
        return f"{missing}, and no event of the days around it has that id{likeness}"
    event, exposure = events[0], config.event_labels[config.training.label].of
    if event["event_type"] != exposure:
        return f"{missing}: the event is of type {event['event_type']!r}, examples are made of {exposure!r}"
    if event["bot_rule"] is not None:
        return f"{missing}: the event is a bot's (rule {event['bot_rule']!r}), and bots make no examples"
    matures = published.local_day(event["event_time"] + datetime.timedelta(seconds=config.mature_after_s))
    if matures == day:
        return (
            f"{missing}: the event is there, but it arrived later than that day, has no user or item, or was known "
            "before it happened"
        )
    return f"{missing}: its labels mature on {matures}: --dt {matures}"


def _profile(published: Published, entity: str, id_: str, day: Day) -> Row | None:
    """None when cold."""
    if day < published.config.product.first_day:
        return None
    return next(iter(published.rows(f"profiles/{entity}", day, "id", [id_])), None)


def _event(published: Published, event: Row) -> Row:
    named = ("event_type", "user_id", "item_id", "room_id")
    clocks = {name: published.local(event[name]) for name in ("event_time", "available_at")}
    return {
        **{name: event[name] for name in named},
        **clocks,
        "arrived": event["arrived"],
        "source_file": event["source_file"],
    }


def _feature(point: Point, spec: FeatureSpec, row: Row) -> Row:
    """Name, kind, value as the model gets it, the values behind ids, and what the ids were made from."""
    named: Row = {"feature": spec.name, "kind": spec.kind}
    if spec.scored_as is not None:
        named["scored as"] = "(null)" if spec.scored_as == "" else spec.scored_as
    if spec.of is not None:
        first, second = (row[name] for name in spec.of)
        bucket = (first * CROSS_FACTOR + second) % (spec.buckets or 1)
        return {**named, "value": bucket, "means": " x ".join(spec.of)}
    if spec.vocabulary is not None:
        ids = row[spec.name] if spec.kind == "sequence" else [row[spec.name]]
        values = {**point.published.values(spec.vocabulary, point.vocabulary_day, ids), **RESERVED}
        means = [values.get(one, "?") for one in ids]
        return {**named, "value": row[spec.name], "means": means, "from": _raw(point, spec.name)}
    if spec.hashed:
        bucket = f"bucket {row[spec.name] - FIRST_ID} of {spec.buckets:,}"
        return {
            **named, "value": row[spec.name], "means": RESERVED.get(row[spec.name], bucket),
            "from": _raw(point, spec.name),
        }  # fmt: skip
    if spec.kind == "rate":
        parts = [column.removeprefix(f"{spec.name}__") for column in spec.columns]
        return {**named, "value": [row[column] for column in spec.columns], "means": parts}
    return {**named, "value": row[spec.name], "means": ""}


def _raw(point: Point, full: str) -> Any:
    """What an id, or those of a `top` feature, were made from: of the event, or of the profile that served."""
    group, _, name = full.partition("_")
    feature = getattr(point.published.config.features, group)[name]
    if not isinstance(feature, Feature):
        return None
    if feature.column is not None:
        return point.event.get(feature.column)
    profile, latest, decay = point.profiles[group], latest_of(feature), decay_of(feature)
    if profile is None:
        return None
    if feature.attribute is not None:
        return profile[feature.attribute]
    if latest is not None:
        return profile[latest.name] and profile[latest.name]["key"]
    entries = [entry for entry in profile[decay.name] if entry["weight"] > 0][: feature.k] if decay is not None else []
    return [f"{entry['key']} {entry['weight']:.4g}" for entry in entries]


def _traces(point: Point, found: _Found, day: Day) -> dict[str, Any]:
    """Where sums, sequences and labels came from: a summary, then the event rows of each."""
    row, summary, rows = found.row, [], {}
    for entity in ENTITY_ID:
        for name, feature in features_of(point.published.config, entity).items():
            full = f"{entity}_{name}"
            if (trace := sum_trace(point, entity, feature)) is not None:
                columns = [full] if len(trace.values) == 1 else [f"{full}__num", f"{full}__den"]
                stored = [row[column] for column in columns]
                summary.append(trace.summary(full, stored))
                rows[f"rows of {full}"] = trace.rows
    for full, (feature, keys) in target_features(point.published.config).items():
        trace = target_trace(point, feature, {key: row[key] for key in keys})
        summary.append(trace.summary(full, [row[f"{full}__num"], row[f"{full}__den"]]))
        rows[f"rows of {full}"] = trace.rows
    for name, sequence in point.published.config.features.sequence.items():
        full = f"sequence_{name}"
        trace = sequence_trace(point, sequence)
        summary.append(trace.summary(full, row[full]))
        rows[f"rows of {full}"] = trace.rows
    for name, label in point.published.config.event_labels.items():
        full = f"label_{name}"
        trace = label_trace(point, day, label, found.beside is not None)
        summary.append(trace.summary(full, [row[full]]))
        rows[f"rows of {full}"] = trace.rows
    return {"recomputed": summary, **{name: lines for name, lines in rows.items() if lines}}
