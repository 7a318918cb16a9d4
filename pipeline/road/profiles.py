"""events, attributes, sessions -> build_daily -> daily -> build_profiles -> profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.config import Config
from pipeline.datasets import attributes, daily, events, profiles, sessions
from pipeline.days import Day, add_days, days_between
from pipeline.raw import Outside
from pipeline.road.shared import ENTITIES, SHARED
from pipeline.step import Input, Output, Step, Tables
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_profiles import attribute_snapshot, build_profiles
from pipeline.steps.measures import reads_sessions


def _snapshot_inputs(config: Config, day: Day) -> dict[str, Input]:
    earlier = tuple(days_between(add_days(day, -1), add_days(day, -1), config.product.first_day))
    inputs = {}
    for entity in ENTITIES:
        inputs[f"previous_{entity}"] = Input(profiles(config, entity), earlier)
        if entity in config.datasets.attributes:
            inputs[f"attributes_{entity}"] = Input(attributes(config, entity), (day,))
    return inputs


def _daily_reads(config: Config, day: Day) -> Mapping[str, Input]:
    inputs = {"events": Input(events(config), (day,)), **_snapshot_inputs(config, day)}
    return inputs | {
        f"sessions_{entity}": Input(sessions(config), (day,)) for entity in ENTITIES if reads_sessions(config, entity)
    }


def _daily(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    snapshot = {
        entity: attribute_snapshot(
            config, entity, tables.table(f"previous_{entity}"), tables.expect(f"attributes_{entity}")
        )
        for entity in config.datasets.attributes
    }
    made = {
        f"daily/{entity}": build_daily(
            config,
            day,
            entity,
            tables.expect("events"),
            snapshot.get("item"),
            snapshot.get("user"),
            tables.table(f"sessions_{entity}"),
        )
        for entity in ENTITIES
    }
    return Output(made)


DAILY = Step(
    "build_daily", ("product", "datasets", "features"),
    ("pipeline.steps.build_daily", "pipeline.steps.build_profiles", *SHARED),
    _daily_reads,
    lambda config: tuple(daily(config, entity) for entity in ENTITIES),
    _daily,
)  # fmt: skip


def _profile_reads(config: Config, day: Day) -> Mapping[str, Input]:
    """An event of a day may have arrived on the day before: its clock ran ahead, as far as it may."""
    longest = max(
        (f.window_days for group in (config.features.user, config.features.item) for f in group.values()), default=1
    )
    window = tuple(days_between(add_days(day, -longest), day, config.product.first_day))
    return {
        **_snapshot_inputs(config, day),
        **{f"daily_{entity}": Input(daily(config, entity), window) for entity in ENTITIES},
    }


def _profiles(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    made = {}
    for entity in ENTITIES:
        previous = tables.table(f"previous_{entity}")
        said = tables.table(f"attributes_{entity}")
        snapshot = None if said is None else attribute_snapshot(config, entity, previous, said)
        made[f"profiles/{entity}"] = build_profiles(
            config, day, entity, previous, snapshot, tables.expect(f"daily_{entity}", "dt")
        )
    return Output(made)


PROFILES = Step(
    "build_profiles", ("product", "datasets", "features"), ("pipeline.steps.build_profiles", *SHARED),
    _profile_reads, lambda config: tuple(profiles(config, entity) for entity in ENTITIES), _profiles,
)  # fmt: skip
