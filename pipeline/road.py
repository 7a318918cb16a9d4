"""The road a row takes: every Spark step, what it reads, what it writes. Read it from top to bottom.

raw -> clean_logs -> events, quarantine, attributes, rooms
                     events -> build_daily -> build_profiles
                     events, attributes -> build_vocab
                     events, profiles, vocabularies of the day before -> build_examples -> (train)
                     events, examples -> build_statistics -> (whether the day is refused)
                     rooms, profiles, vocabularies, model -> recommend
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame

from pipeline.config import Config, Vocabulary
from pipeline.datasets import (
    attributes,
    daily,
    events,
    examples,
    profiles,
    quarantine,
    recommendations,
    rooms,
    statistics,
    vocabulary,
)
from pipeline.days import Day, add_days, day_of_us, day_start_us, days_between
from pipeline.errors import DamagedData, MissingInput, Refused
from pipeline.features import features_digest, vocabulary_names
from pipeline.pii import fingerprint, pii_key
from pipeline.raw import Outside, RawLogs
from pipeline.report import write_page
from pipeline.runner import Dataset, Input, Output, Step, Tables
from pipeline.statistics.judge import judge
from pipeline.statistics.tell import refuse, summary_of
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_profiles import attribute_snapshot, build_profiles
from pipeline.steps.build_statistics import build_statistics
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from pipeline.steps.clean_logs import NO_ROWS, CleanLogs, clean_logs, raw_lines
from pipeline.steps.instants import DAY_US, SECOND_US
from pipeline.steps.recommend import candidates, score, top
from pipeline.storage import Warehouse, read_manifest, serving_version

ENTITIES = ("user", "item")
CLOCKS = ("pipeline.days", "pipeline.steps.instants")
SHARED = (
    *CLOCKS, "pipeline.steps.measures", "pipeline.steps.sums", "pipeline.steps.splits",
    "pipeline.steps.check_features", "pipeline.features",
)  # fmt: skip
"""Modules that several steps compute with: a change there does them again."""


# ---- clean_logs ----------------------------------------------------------------------------------------------------


def _clean_reads(config: Config, day: Day) -> Mapping[str, Input]:
    first = config.product.first_day
    earlier = days_between(add_days(day, -config.clean.lookback_days), add_days(day, -1), first)
    inputs = {"earlier_events": Input(events(config), tuple(earlier))}
    for entity in config.datasets.attributes:
        inputs[f"earlier_{entity}"] = Input(attributes(config, entity), tuple(earlier))
    if config.datasets.rooms:
        inputs["earlier_rooms"] = Input(rooms(config), tuple(earlier[-1:]))
    return inputs


def _used_sources(config: Config) -> list[str]:
    datasets = config.datasets
    return sorted({datasets.events, *datasets.attributes.values(), *([datasets.rooms] if datasets.rooms else [])})


def _clean_outside(config: Config, day: Day, raw: RawLogs) -> list[Outside]:
    return [raw.of(name, day) for name in _used_sources(config)]


def _clean_writes(config: Config) -> tuple[Dataset, ...]:
    tables = [
        events(config),
        quarantine(config),
        *(attributes(config, entity) for entity in config.datasets.attributes),
    ]
    return (*tables, rooms(config)) if config.datasets.rooms else tuple(tables)


def _clean(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    key = pii_key(config)
    _check_pii_key(config, key, tables)
    raw = {
        name: replace(raw_lines(tables.spark, files.paths, config.sources[name]), arrived=files.arrived)
        for name, files in zip(_used_sources(config), outside, strict=True)
    }
    roles = {config.datasets.events: "earlier_events"}
    roles |= {source: f"earlier_{entity}" for entity, source in config.datasets.attributes.items()}
    earlier = {source: table for source, role in roles.items() if (table := tables.table(role)) is not None}
    cleaned = clean_logs(config, day, raw, earlier, tables.table("earlier_rooms"), key)
    delivered = dict(zip(raw, outside, strict=True))
    made = {"events": cleaned.events, "quarantine": cleaned.quarantine}
    made |= {f"attributes/{entity}": table for entity, table in cleaned.attributes.items()}
    if cleaned.rooms is not None:
        made["rooms"] = cleaned.rooms
    return Output(
        made,
        {"pii_key": fingerprint(key)},
        accept=lambda: _accounted(config, cleaned, delivered),
        release=cleaned.release,
    )


def _accounted(config: Config, cleaned: CleanLogs, raw: Mapping[str, Outside]) -> dict[str, Any]:
    """Lines by source and fate, for the manifests."""
    accounting: dict[str, dict[str, int]] = {name: {} for name in raw}
    for row in cleaned.accounting.collect():
        accounting[row["source"]][row["fate"]] = int(row["lines"])
    check_accounting(config, accounting, raw)
    return {"accounting": accounting}


def _check_pii_key(config: Config, key: bytes | None, tables: Tables) -> None:
    """The same person has one hash on all days, or is several."""
    ours = fingerprint(key)
    if any(extra.get("pii_key") != ours for extra in tables.extras("earlier_events")):
        again = config.command("backfill", FROM=config.product.first_day, TO="...")
        raise Refused(
            "the days before were hashed with another key ($.clean.pii_key_file) or without one, so every id would be "
            f"new. Give the old key back, or build all days again: {again}"
        )


def check_accounting(config: Config, accounting: Mapping[str, Mapping[str, int]], raw: Mapping[str, Outside]) -> None:
    """Every delivered line has exactly one fate, and no rule rejects more than its budget."""
    faults = []
    for source, fates in accounting.items():
        lines = sum(fates.values())
        if config.sources[source].has_day and lines != raw[source].lines:
            raise DamagedData(f"source {source!r}: {raw[source].lines} lines were delivered, {lines} are accounted for")
        counted = lines - sum(fates.get(fate, 0) for fate in NO_ROWS)
        for rule, budget in config.clean.budgets.items():
            rejected = fates.get(rule, 0)
            if rejected > budget * counted:
                faults.append(
                    f"source {source!r}: rule {rule} rejects {rejected} of {counted} lines, its budget is {budget:.3%}"
                )
    if faults:
        faults.append("Look at the raw files, or raise $.clean.budgets in the config if this is how the logs are")
        raise Refused("\n".join(faults))


CLEAN = Step(
    "clean_logs", ("product", "sources", "datasets", "clean"), ("pipeline.steps.clean_logs", "pipeline.pii", *CLOCKS),
    _clean_reads, _clean_writes, _clean, _clean_outside, lambda config: fingerprint(pii_key(config)),
)  # fmt: skip


# ---- build_daily ---------------------------------------------------------------------------------------------------


def _snapshot_inputs(config: Config, day: Day) -> dict[str, Input]:
    earlier = tuple(days_between(add_days(day, -1), add_days(day, -1), config.product.first_day))
    inputs = {}
    for entity in ENTITIES:
        inputs[f"previous_{entity}"] = Input(profiles(config, entity), earlier)
        if entity in config.datasets.attributes:
            inputs[f"attributes_{entity}"] = Input(attributes(config, entity), (day,))
    return inputs


def _daily(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    snapshot = {
        entity: attribute_snapshot(
            config, entity, tables.table(f"previous_{entity}"), tables.expect(f"attributes_{entity}")
        )
        for entity in config.datasets.attributes
    }
    made = {
        f"daily/{entity}": build_daily(
            config, day, entity, tables.expect("events"), snapshot.get("item"), snapshot.get("user")
        )
        for entity in ENTITIES
    }
    return Output(made)


DAILY = Step(
    "build_daily", ("product", "datasets", "features"),
    ("pipeline.steps.build_daily", "pipeline.steps.build_profiles", *SHARED),
    lambda config, day: {"events": Input(events(config), (day,)), **_snapshot_inputs(config, day)},
    lambda config: tuple(daily(config, entity) for entity in ENTITIES),
    _daily,
)  # fmt: skip


# ---- build_profiles ------------------------------------------------------------------------------------------------


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


# ---- build_vocab ---------------------------------------------------------------------------------------------------


def _vocab_reads(config: Config, day: Day) -> Mapping[str, Input]:
    earlier = tuple(days_between(add_days(day, -1), add_days(day, -1), config.product.first_day))
    inputs = {"events": Input(events(config), (day,))}
    inputs |= {
        f"attributes_{entity}": Input(attributes(config, entity), (day,)) for entity in config.datasets.attributes
    }
    return inputs | {f"vocab_{column}": Input(vocabulary(column), earlier) for column in vocabulary_names(config)}


def _vocab(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    said: dict[str, DataFrame] = {
        entity: tables.expect(f"attributes_{entity}") for entity in config.datasets.attributes
    }
    made = {}
    for column in vocabulary_names(config):
        values = vocabulary_values(config, column, tables.expect("events"), said)
        made[f"vocab/{column}"] = build_vocab(config, day, column, values, tables.table(f"vocab_{column}"))
    return Output(made)


def _vocab_settings(config: Config) -> dict[str, int]:
    """Which vocabularies there are, and who gets an id: the rest of the features may change without giving ids anew."""
    return {column: config.vocabularies.get(column, Vocabulary()).min_count for column in vocabulary_names(config)}


VOCAB = Step(
    "build_vocab", ("product", "datasets"), ("pipeline.steps.build_vocab", "pipeline.days", "pipeline.features"),
    _vocab_reads, lambda config: tuple(map(vocabulary, vocabulary_names(config))), _vocab,
    settings=_vocab_settings, append_only=True,
)  # fmt: skip


# ---- build_examples ------------------------------------------------------------------------------------------------


def _profile_days(config: Config, first_us: int, last_us: int) -> tuple[Day, ...]:
    """Days whose profile may serve an exposure in [first, last]: the day before the day of t - ready_after."""
    ready_us, zone = config.profiles.ready_after_s * 1_000_000, config.product.zone
    newest = [add_days(day_of_us(instant - ready_us, zone), -1) for instant in (first_us, last_us)]
    return tuple(days_between(newest[0], newest[1], config.product.first_day))


def _history_days(config: Config, first_us: int, day: Day) -> tuple[Day, ...]:
    """Arrival days up to `day` of what a sequence at an instant from `first_us` on may hold."""
    longest = max((sequence.window_days for sequence in config.features.sequence.values()), default=0)
    begin = day_of_us(first_us - longest * DAY_US, config.product.zone)
    return tuple(days_between(begin, day, config.product.first_day))


def _mature_us(config: Config) -> int:
    return max(label.mature_after_s for label in config.event_labels.values()) * SECOND_US


def _exposed(config: Config, day: Day) -> Input:
    """The events from the first exposure whose labels mature on the day to the end of the day."""
    zone = config.product.zone
    first = day_of_us(day_start_us(day, zone) - _mature_us(config), zone)
    return Input(events(config), tuple(days_between(first, day, config.product.first_day)))


def _example_reads(config: Config, day: Day) -> Mapping[str, Input]:
    first, zone, mature_us = config.product.first_day, config.product.zone, _mature_us(config)
    exposed_from = day_start_us(day, zone) - mature_us
    served = _profile_days(config, exposed_from, day_start_us(add_days(day, 1), zone) - mature_us)
    known = tuple(days_between(add_days(day, -1), add_days(day, -1), first))
    inputs = {
        "events": _exposed(config, day),
        "history": Input(events(config), _history_days(config, exposed_from, day)),
    }
    inputs |= {f"profiles_{entity}": Input(profiles(config, entity), served) for entity in ENTITIES}
    return inputs | {f"vocab_{column}": Input(vocabulary(column), known) for column in vocabulary_names(config)}


@dataclass(frozen=True)
class _Served:
    """What features are computed from."""

    profiles: Mapping[str, DataFrame]
    vocabularies: Mapping[str, DataFrame]
    history: DataFrame


def _served(config: Config, tables: Tables) -> _Served:
    found = {entity: tables.table(f"profiles_{entity}", "profile_day") for entity in ENTITIES}
    vocabularies = {column: tables.table(f"vocab_{column}") for column in vocabulary_names(config)}
    return _Served(
        profiles={entity: table for entity, table in found.items() if table is not None},
        vocabularies={column: table for column, table in vocabularies.items() if table is not None},
        history=tables.expect("history"),
    )


def _examples(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    served, exposed = _served(config, tables), tables.expect("events", "dt")
    made = build_examples(config, day, exposed, served.profiles, served.vocabularies, served.history)
    return Output({examples(config).name: made})


EXAMPLES = Step(
    "build_examples", ("product", "datasets", "labels", "profiles", "features", "training.label"),
    ("pipeline.steps.build_examples", *SHARED),
    _example_reads, lambda config: (examples(config),), _examples,
)  # fmt: skip


# ---- build_statistics ----------------------------------------------------------------------------------------------


def _statistics(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    made = build_statistics(config, day, tables.expect("events"), tables.expect("exposed"), tables.expect("examples"))
    return Output({"statistics": made.table}, release=made.release)


def _check_drift(config: Config, warehouse: Warehouse, day: Day) -> str:
    """Judge the day, write its page, and raise Refused where the verdict says so."""
    verdict = judge(config, warehouse, day)
    page = write_page(config, warehouse, day, {})
    refuse(warehouse, verdict, page)
    return summary_of(verdict)


STATISTICS = Step(
    "build_statistics", ("product", "datasets", "labels", "features", "training.label"),
    (
        "pipeline.steps.build_statistics", "pipeline.steps.build_examples", "pipeline.statistics.bins",
        "pipeline.statistics.columns", *SHARED,
    ),
    lambda config, day: {
        "events": Input(events(config), (day,)), "exposed": _exposed(config, day),
        "examples": Input(examples(config), (day,)),
    },
    lambda config: (statistics(config),), _statistics, check=_check_drift, in_day_order=True,
)  # fmt: skip


# ---- recommend -----------------------------------------------------------------------------------------------------


def _recommend_reads(config: Config, day: Day) -> Mapping[str, Input]:
    first, today = config.product.first_day, (day,)
    active = tuple(days_between(add_days(day, 1 - config.recommend.active_days), day, first))
    asked_us = day_start_us(add_days(day, 1), config.product.zone) + config.profiles.ready_after_s * SECOND_US
    history = _history_days(config, asked_us, day)
    inputs = {"events": Input(events(config), active), "history": Input(events(config), history)}
    if config.datasets.rooms:
        inputs["rooms"] = Input(rooms(config), today)
    inputs |= {f"profiles_{entity}": Input(profiles(config, entity), today) for entity in ENTITIES}
    return inputs | {f"vocab_{column}": Input(vocabulary(column), today) for column in vocabulary_names(config)}


def _model(config: Config, day: Day, raw: RawLogs) -> list[Outside]:
    """The model that serves on the day: of those that could be judged by then the newest.

    Raises MissingInput when there is none, Refused when it was trained on other features than are declared now.
    """
    name = f"models/{config.model.kind}"
    folder = Warehouse.of(config).path(name)
    version = serving_version(folder, add_days(day, -config.training.evaluation_days))
    if version is None:
        raise MissingInput(f"no blessed model of {day} in {folder}. Train one first: {config.command('train', DT=day)}")
    manifest = read_manifest(f"{folder}/{version}")
    if manifest.extra["lineage"].get("features") != features_digest(config):
        raise Refused(
            f"the model in service, {folder}/{version}, was trained on other [features] than the config declares now; "
            f"its inputs cannot be computed. Train on these first: {config.command('train', DT=day)}"
        )
    return [Outside(f"{name}/{version}", (f"{folder}/{version}",), manifest.origin, manifest.content_digest)]


def _recommend(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    served = _served(config, tables)
    points = candidates(config, day, tables.table("rooms"), tables.expect("events"), served.profiles)
    scored = score(config, points, outside[0].paths[0], served.profiles, served.vocabularies, served.history)
    return Output({"recommendations": top(config, scored)}, {"model": outside[0].name})


RECOMMEND = Step(
    "recommend", ("product", "datasets", "profiles", "features", "recommend", "model.kind"),
    (
        "pipeline.steps.recommend", "pipeline.steps.build_examples", "pipeline.artifact", "pipeline.models", "tsengine",
        *SHARED,
    ),
    _recommend_reads, lambda config: (recommendations(config),), _recommend, _model,
)  # fmt: skip

DATA_STEPS = (CLEAN, DAILY, PROFILES, VOCAB, EXAMPLES, STATISTICS)
"""What a day of data takes, in order; training and recommending follow."""
