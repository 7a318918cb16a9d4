"""events, profiles, vocabularies of the day before, examples of earlier days -> build_examples -> examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

from pipeline.config import Config
from pipeline.datasets import earlier_examples, events, examples, profiles, rooms, vocabulary
from pipeline.days import Day, add_days, day_of_us, days_between
from pipeline.errors import Refused
from pipeline.features import target_features, vocabulary_names
from pipeline.raw import Outside
from pipeline.road.shared import ENTITIES, SHARED
from pipeline.step import Input, Output, Step, Tables
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_examples.moments import exposed_us
from pipeline.steps.build_examples.negatives import Known, points_of
from pipeline.steps.build_examples.pools import SLOT_US, exposed_days
from pipeline.steps.instants import DAY_US
from pipeline.storage import digest_of


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


def earlier_days(config: Config, served: Sequence[Day]) -> dict[str, Input]:
    """The examples that target encodings look at: the windows that end with the days whose profile may serve."""
    longest = max((feature.window_days for feature, _ in target_features(config).values()), default=0)
    if not longest or not served:
        return {}
    window = days_between(add_days(served[0], 1 - longest), served[-1], config.product.first_day)
    return {"earlier": Input(earlier_examples(config), tuple(window))}


def declarations(config: Config) -> dict[str, str]:
    """Column of the examples -> digest of what its ids or labels mean: only where it is equal may they be summed."""
    groups = {group: getattr(config.features, group) for group in ("user", "item", "context")}
    means = {f"{group}_{name}": feature for group, declared in groups.items() for name, feature in declared.items()}
    found = {name: digest_of(feature.model_dump(mode="json", exclude={"scored_as"})) for name, feature in means.items()}
    beside = None if config.negatives is None else config.negatives.model_dump(mode="json")
    labels = {
        f"label_{name}": digest_of([label.model_dump(mode="json"), beside]) for name, label in config.labels.items()
    }
    return {**found, **labels}


def earlier_table(config: Config, tables: Tables) -> DataFrame | None:
    """The examples of earlier_days(), column dt; Refused where one of their columns meant something else."""
    ours, read = declarations(config), earlier_examples(config).columns
    changed = {
        name
        for extra in tables.extras("earlier")
        for name in read
        if name in ours and extra.get("declared", {}).get(name) != ours[name]
    }
    if changed:
        first = config.product.first_day
        raise Refused(
            f"target encodings sum examples of earlier days, whose {sorted(changed)} were made by another declaration "
            f"than the config's. Build them again: "
            f"{config.command('backfill', STEP='build_examples', FROM=first, TO='...')}"
        )
    return tables.table("earlier", "dt")


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
    inputs |= earlier_days(config, served)
    return inputs | {f"vocab_{column}": Input(vocabulary(column), known) for column in vocabulary_names(config)}


@dataclass(frozen=True)
class Served:
    """What features are computed from."""

    profiles: Mapping[str, DataFrame]
    vocabularies: Mapping[str, DataFrame]
    history: DataFrame
    earlier: DataFrame | None


def served_tables(config: Config, tables: Tables) -> Served:
    """What is there of it; profiles and vocabularies are absent on the first day."""
    found = {entity: tables.table(f"profiles_{entity}", "profile_day") for entity in ENTITIES}
    vocabularies = {column: tables.table(f"vocab_{column}") for column in vocabulary_names(config)}
    return Served(
        profiles={entity: table for entity, table in found.items() if table is not None},
        vocabularies={column: table for column, table in vocabularies.items() if table is not None},
        history=tables.expect("history"),
        earlier=earlier_table(config, tables),
    )


def _examples(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    served, shown = served_tables(config, tables), tables.expect("events", "dt")
    known = Known(*(tables.table(role, "dt") for role in ("rooms", "popularity", "seen")))
    points = points_of(config, day, shown, known)
    made = build_examples(
        config, day, shown, served.profiles, served.vocabularies, served.history, served.earlier, points.table
    )
    return Output({examples(config).name: made}, {"declared": declarations(config)}, release=points.release)


EXAMPLES = Step(
    "build_examples", ("product", "datasets", "labels", "negatives", "profiles", "features", "training.label"),
    ("pipeline.steps.build_examples", *SHARED),
    _example_reads, lambda config: (examples(config),), _examples,
)  # fmt: skip
