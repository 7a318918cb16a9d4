"""events, profiles, vocabularies of the day before -> build_examples -> examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

from pipeline.config import Config
from pipeline.datasets import events, examples, profiles, rooms, vocabulary
from pipeline.days import Day, add_days, day_of_us, days_between
from pipeline.features import vocabulary_names
from pipeline.raw import Outside
from pipeline.road.shared import ENTITIES, SHARED
from pipeline.runner import Input, Output, Step, Tables
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_examples.moments import exposed_us
from pipeline.steps.build_examples.negatives import Known, points_of
from pipeline.steps.build_examples.pools import SLOT_US, exposed_days
from pipeline.steps.instants import DAY_US


def _profile_days(config: Config, first_us: int, last_us: int) -> tuple[Day, ...]:
    """Days whose profile may serve an exposure in [first, last]: the day before the day of t - ready_after."""
    ready_us, zone = config.profiles.ready_after_s * 1_000_000, config.product.zone
    newest = [add_days(day_of_us(instant - ready_us, zone), -1) for instant in (first_us, last_us)]
    return tuple(days_between(newest[0], newest[1], config.product.first_day))


def history_days(config: Config, first_us: int, day: Day) -> tuple[Day, ...]:
    """Arrival days up to `day` of what a sequence at an instant from `first_us` on may hold."""
    longest = max((sequence.window_days for sequence in config.features.sequence.values()), default=0)
    begin = day_of_us(first_us - longest * DAY_US, config.product.zone)
    return tuple(days_between(begin, day, config.product.first_day))


def exposed(config: Config, day: Day) -> Input:
    """The events from the first exposure whose labels mature on the day to the end of the day."""
    first = day_of_us(exposed_us(config, day)[0], config.product.zone)
    return Input(events(config), tuple(days_between(first, day, config.product.first_day)))


def _sampled_from(config: Config, day: Day) -> dict[str, Input]:
    """What negatives are sampled from: see Known."""
    negatives, first = config.negatives, config.product.first_day
    if negatives is None:
        return {}
    days = exposed_days(config, day)
    before = days_between(add_days(days[0], -1), add_days(days[-1], -1), first) if days else []
    inputs = {"popularity": Input(events(config), tuple(before))}
    if negatives.candidates == "on_air":
        inputs["rooms"] = Input(rooms(config), tuple(days))
    if negatives.unseen_days:
        longest_us = negatives.unseen_days * DAY_US + SLOT_US
        since = day_of_us(exposed_us(config, day)[0] - longest_us, config.product.zone)
        inputs["seen"] = Input(events(config), tuple(days_between(since, day, first)))
    return inputs


def _example_reads(config: Config, day: Day) -> Mapping[str, Input]:
    exposed_from, exposed_to = exposed_us(config, day)
    served = _profile_days(config, exposed_from, exposed_to)
    known = tuple(days_between(add_days(day, -1), add_days(day, -1), config.product.first_day))
    inputs = {
        "events": exposed(config, day),
        "history": Input(events(config), history_days(config, exposed_from, day)),
        **_sampled_from(config, day),
    }
    inputs |= {f"profiles_{entity}": Input(profiles(config, entity), served) for entity in ENTITIES}
    return inputs | {f"vocab_{column}": Input(vocabulary(column), known) for column in vocabulary_names(config)}


@dataclass(frozen=True)
class Served:
    """What features are computed from."""

    profiles: Mapping[str, DataFrame]
    vocabularies: Mapping[str, DataFrame]
    history: DataFrame


def served_tables(config: Config, tables: Tables) -> Served:
    """What is there of it; profiles and vocabularies are absent on the first day."""
    found = {entity: tables.table(f"profiles_{entity}", "profile_day") for entity in ENTITIES}
    vocabularies = {column: tables.table(f"vocab_{column}") for column in vocabulary_names(config)}
    return Served(
        profiles={entity: table for entity, table in found.items() if table is not None},
        vocabularies={column: table for column, table in vocabularies.items() if table is not None},
        history=tables.expect("history"),
    )


def _examples(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    served, shown = served_tables(config, tables), tables.expect("events", "dt")
    known = Known(*(tables.table(role, "dt") for role in ("rooms", "popularity", "seen")))
    points = points_of(config, day, shown, known)
    made = build_examples(config, day, shown, served.profiles, served.vocabularies, served.history, points.table)
    return Output({examples(config).name: made}, release=points.release)


EXAMPLES = Step(
    "build_examples", ("product", "datasets", "labels", "negatives", "profiles", "features", "training.label"),
    ("pipeline.steps.build_examples", *SHARED),
    _example_reads, lambda config: (examples(config),), _examples,
)  # fmt: skip
