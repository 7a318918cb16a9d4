"""The datasets of a road: what each is called, holds, and is keyed by."""

from __future__ import annotations

from pipeline import schemas
from pipeline.config import Config
from pipeline.features import target_features
from pipeline.step import Dataset
from pipeline.steps.measures import daily_columns, profile_columns


def events(config: Config) -> Dataset:
    """Clean events by arrival day."""
    declared = config.sources[config.datasets.events].columns
    return Dataset("events", schemas.events(config), ("event_id",), grows=True, declared=declared)


def quarantine(config: Config) -> Dataset:
    """Rejected lines by arrival day."""
    return Dataset("quarantine", schemas.QUARANTINE, ())


def rooms(config: Config) -> Dataset:
    """Broadcasts on air or ended lately."""
    return Dataset("rooms", schemas.ROOMS, ("room_id",))


def sessions(config: Config) -> Dataset:
    """Sessions that were over by the end of the day and not before it, and those that were still open."""
    return Dataset("sessions", schemas.SESSIONS, ("session_id",))


def attributes(config: Config, entity: str) -> Dataset:
    """What users or items said of themselves."""
    key = (schemas.ENTITY_ID[entity], "event_id")
    declared = config.sources[config.datasets.attributes[entity]].columns  # type: ignore[index]
    columns = schemas.attributes(config, entity)
    return Dataset(f"attributes/{entity}", columns, key, grows=True, declared=declared)


def daily(config: Config, entity: str) -> Dataset:
    """Exact sums by (id, key, event day)."""
    return Dataset(f"daily/{entity}", daily_columns(config.base, entity), ("id", "key", "event_day"))


def profiles(config: Config, entity: str) -> Dataset:
    """What was known at the end of the day."""
    return Dataset(f"profiles/{entity}", profile_columns(config.base, entity), ("id",))


def vocabulary(column: str) -> Dataset:
    """Values and their ids as known at the end of the day."""
    return Dataset(f"vocab/{column}", schemas.VOCABULARY, ("value",))


def examples(config: Config) -> Dataset:
    """Exposures whose last label matured on the day."""
    return Dataset(f"examples/{config.training.label}", schemas.examples(config), ("example_id",))


def earlier_examples(config: Config) -> Dataset:
    """What target encodings read of the examples of earlier days: ids, labels and weight."""
    declared = target_features(config).values()
    read = {"weight", *(f"label_{f.target}" for f, _ in declared), *(key for _, keys in declared for key in keys)}
    columns = {name: type_ for name, type_ in schemas.examples(config).items() if name in read}
    return Dataset(examples(config).name, columns, (), partial=True)


def statistics(config: Config) -> Dataset:
    """What the columns of the day look like."""
    return Dataset("statistics", schemas.STATISTICS, ("dataset", "column"))


def recommendations(config: Config) -> Dataset:
    """The best items for each active user."""
    return Dataset("recommendations", schemas.RECOMMENDATIONS, ("user_id", "rank"))
