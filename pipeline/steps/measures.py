"""What the features of a product need summed: measures, their windows, and the keys they are split by.

A measure is a count of events of one type (`enter` -> `count_enter`) or a sum of an integer column over them
(`watch.duration_ms` -> `sum_duration_ms_watch`). `daily` holds the measures of a day, a profile their sums over
windows; both schemas follow from the features alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import schemas
from pipeline.config import Config, Feature

COUNTERPART = {"user": "item", "item": "user"}
TOTAL = ""
"""The key of a sum that is not split."""


@dataclass(frozen=True)
class Measure:
    """A count of `event`, or the sum of `column` over it."""

    event: str
    column: str | None = None

    @property
    def name(self) -> str:
        """Its column in `daily`."""
        return f"count_{self.event}" if self.column is None else f"sum_{self.column}_{self.event}"

    def __lt__(self, other: Measure) -> bool:
        """By event, its count before its sums."""
        return (self.event, self.column or "") < (other.event, other.column or "")


@dataclass(frozen=True, order=True)
class Window:
    """A measure over the last `days` event days, split by `by` (not split when empty)."""

    by: str
    days: int
    measure: Measure

    @property
    def name(self) -> str:
        """Its column in a profile: of its own when not split, else an array that measures of one split share."""
        return f"by_{self.by}_{self.days}d" if self.by else f"{self.measure.name}_{self.days}d"


def parse_measure(text: str) -> Measure:
    """`enter` or `watch.duration_ms`."""
    event, _, column = text.partition(".")
    return Measure(event, column or None)


def measures_of(feature: Feature) -> tuple[Measure, ...]:
    """What one feature counts or sums; a rate's numerator, then its denominator."""
    named = (feature.count, feature.sum, *(feature.rate or ()))
    return tuple(parse_measure(text) for text in named if text is not None)


def features_of(config: Config, entity: str) -> dict[str, Feature]:
    """The declared features of `user` or `item`."""
    return getattr(config.features, entity)


def windows(config: Config, entity: str) -> tuple[Window, ...]:
    """Every window of an entity's profile, once, in a stable order."""
    features = features_of(config, entity).values()
    return tuple(sorted({Window(f.by or TOTAL, f.window_days, m) for f in features for m in measures_of(f)}))


def measures(config: Config, entity: str) -> tuple[Measure, ...]:
    """Every measure of an entity's days."""
    return tuple(sorted({window.measure for window in windows(config, entity)}))


def split_keys(config: Config, entity: str) -> tuple[str, ...]:
    """What an entity's sums are split by: attributes or the id column of its counterpart."""
    return tuple(sorted({window.by for window in windows(config, entity) if window.by}))


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

    `key` is empty, or `category=music`. `last_<event>` is the latest time of such an event, on rows of the empty key.
    """
    sums = {measure.name: "bigint" for measure in measures(config, entity)}
    return {"id": "string", "key": "string", "event_day": "date", **sums, **_last_columns(config, entity)}


def profile_columns(config: Config, entity: str) -> schemas.Columns:
    """What is known of an entity at the end of a day; key id."""
    totals = {window.name: "bigint" for window in windows(config, entity) if not window.by}
    arrays = {f"by_{by}_{days}d": _array_type(found) for (by, days), found in split_windows(config, entity).items()}
    return {**snapshot_columns(config, entity), **totals, **arrays, **_last_columns(config, entity)}


def _array_type(found: tuple[Measure, ...]) -> str:
    fields = ", ".join(f"{measure.name}: bigint" for measure in found)
    return f"array<struct<key: string, {fields}>>"


def _last_columns(config: Config, entity: str) -> schemas.Columns:
    return {f"last_{event}": "timestamp" for event in last_events(config, entity)}
