"""What the features of a product need of the days together, and the schemas that follow from it.

`daily` holds the measures of a day, split by key. A profile holds what pipeline.steps.sums makes of them, and the times
of first and latest events. Both schemas follow from the features alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import schemas
from pipeline.config import SESSION, Config, Feature
from pipeline.features import COUNTERPART as COUNTERPART
from pipeline.steps.sums import (
    Decay,
    Distinct,
    Latest,
    Measure,
    Prior,
    Window,
    decay_of,
    distinct_of,
    latest_of,
    priors_of,
    window_measures,
)

LATEST: schemas.Columns = {"at": "timestamp", "key": "string"}
"""What a profile says of a latest event: its time, then the key (the greatest where several came at once)."""


def features_of(config: Config, entity: str) -> dict[str, Feature]:
    """The declared features of `user` or `item`."""
    return getattr(config.features, entity)


def windows(config: Config, entity: str) -> tuple[Window, ...]:
    """Every window of an entity's profile, once, in a stable order."""
    features = features_of(config, entity).values()
    return tuple(sorted({Window(by, f.window_days, m) for f in features for by, m in window_measures(f)}))


def distincts(config: Config, entity: str) -> tuple[Distinct, ...]:
    """Every count of keys in an entity's profile."""
    return tuple(sorted({found for f in features_of(config, entity).values() if (found := distinct_of(f))}))


def decays(config: Config, entity: str) -> tuple[Decay, ...]:
    """Everything that fades in an entity's profile."""
    return tuple(sorted({found for f in features_of(config, entity).values() if (found := decay_of(f))}))


def priors(config: Config, entity: str) -> tuple[Prior, ...]:
    """Every sum over a group in an entity's profile."""
    return tuple(sorted({prior for f in features_of(config, entity).values() for prior in priors_of(f)}))


def latests(config: Config, entity: str) -> tuple[Latest, ...]:
    """Every key of a latest event in an entity's profile."""
    return tuple(sorted({found for f in features_of(config, entity).values() if (found := latest_of(f))}))


def summed(config: Config, entity: str) -> tuple[Window | Distinct | Decay, ...]:
    """Everything in an entity's profile that measures are summed for."""
    return (*windows(config, entity), *distincts(config, entity), *decays(config, entity))


def measures(config: Config, entity: str) -> tuple[Measure, ...]:
    """Every measure of an entity's days."""
    return tuple(sorted({one.measure for one in summed(config, entity)}))


def split_events(config: Config, entity: str) -> dict[str, tuple[str, ...]]:
    """What an entity's days are split by -> the event types that are split so, both sorted."""
    pairs = {(one.by, one.measure.event) for one in summed(config, entity) if one.by}
    pairs |= {(latest.by, latest.event) for latest in latests(config, entity)}
    return {by: tuple(sorted(e for b, e in pairs if b == by)) for by in sorted({by for by, _ in pairs})}


def split_windows(config: Config, entity: str) -> dict[tuple[str, int], tuple[Measure, ...]]:
    """(split key, days) -> the measures of that array of the profile."""
    found: dict[tuple[str, int], tuple[Measure, ...]] = {}
    for window in windows(config, entity):
        if window.by:
            found[window.by, window.days] = (*found.get((window.by, window.days), ()), window.measure)
    return found


def last_events(config: Config, entity: str) -> tuple[str, ...]:
    """Event types of which the latest time is kept."""
    return tuple(sorted({f.since for f in features_of(config, entity).values() if f.since is not None}))


def first_events(config: Config, entity: str) -> tuple[str, ...]:
    """Event types of which the first time is kept."""
    return tuple(sorted({f.since_first for f in features_of(config, entity).values() if f.since_first is not None}))


def reads_sessions(config: Config, entity: str) -> bool:
    """Whether a feature of an entity looks at sessions: only users have any."""
    times = (*last_events(config, entity), *first_events(config, entity))
    named = {measure.event for measure in measures(config, entity)} | {one.event for one in latests(config, entity)}
    return config.sessions is not None and entity == "user" and SESSION in {*named, *times}


def needs_of(feature: Feature) -> Iterator[str]:
    """What one feature reads of the profiles, in words: two that need the same say the same."""
    for by, measure in window_measures(feature):
        yield f"{measure.name} over {feature.window_days} days" + (f" by {by}" if by else "")
    named: list[Distinct | Decay | Latest | None] = [distinct_of(feature), decay_of(feature), latest_of(feature)]
    yield from (one.name for one in (*named, *priors_of(feature)) if one is not None)
    times = {"last": feature.since, "first": feature.since_first}
    yield from (f"{which}_{event}" for which, event in times.items() if event is not None)


def attribute_columns(config: Config, entity: str) -> schemas.Columns:
    """What an entity may say of itself; empty where no source fills its attributes."""
    if entity not in config.datasets.attributes:
        return {}
    own = {schemas.ENTITY_ID[entity], "event_id", *schemas.CLOCKS}
    return {name: type_ for name, type_ in schemas.attributes(config, entity).items() if name not in own}


def snapshot_columns(config: Config, entity: str) -> schemas.Columns:
    """Attributes with the statement they come from; key id. `said_at` and `said_event` are its time and event_id."""
    said = {"said_at": "timestamp", "said_event": "string"} if entity in config.datasets.attributes else {}
    return {"id": "string", **attribute_columns(config, entity), **said}


def daily_columns(config: Config, entity: str) -> schemas.Columns:
    """Exact sums of one arrival day; key (id, key, event_day).

    `key` is empty, or `category=music`. `last_<event>` and `first_<event>` are the latest and the first time of such an
    event, on rows of the empty key (`last_` also where a `last` feature needs that of each key).
    """
    sums = {measure.name: "bigint" for measure in measures(config, entity)}
    needed = sorted({*last_events(config, entity), *(latest.event for latest in latests(config, entity))})
    times = {**{f"last_{event}": "timestamp" for event in needed}, **_first_columns(config, entity)}
    return {"id": "string", "key": "string", "event_day": "date", **sums, **times}


def profile_columns(config: Config, entity: str) -> schemas.Columns:
    """What is known of an entity at the end of a day; key id."""
    totals = {window.name: "bigint" for window in windows(config, entity) if not window.by}
    arrays = {f"by_{by}_{days}d": _array_type(found) for (by, days), found in split_windows(config, entity).items()}
    keys = {distinct.name: "bigint" for distinct in distincts(config, entity)}
    groups = {prior.name: "bigint" for prior in priors(config, entity)}
    weights = "array<struct<key: string, weight: double>>"
    fading = {decay.name: weights if decay.by else "double" for decay in decays(config, entity)}
    latest_type = f"struct<{', '.join(f'{name}: {type_}' for name, type_ in LATEST.items())}>"
    times = {
        **{f"last_{event}": "timestamp" for event in last_events(config, entity)},
        **_first_columns(config, entity),
        **{latest.name: latest_type for latest in latests(config, entity)},
    }
    return {**snapshot_columns(config, entity), **totals, **arrays, **keys, **groups, **fading, **times}


def _array_type(found: tuple[Measure, ...]) -> str:
    fields = ", ".join(f"{measure.name}: bigint" for measure in found)
    return f"array<struct<key: string, {fields}>>"


def _first_columns(config: Config, entity: str) -> schemas.Columns:
    return {f"first_{event}": "timestamp" for event in first_events(config, entity)}
