"""rooms, profiles, vocabularies, model -> recommend -> recommendations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.config import Config
from pipeline.datasets import events, profiles, recommendations, rooms, vocabulary
from pipeline.days import Day, add_days, day_start_us, days_between
from pipeline.errors import MissingInput, Refused
from pipeline.features import features_digest, vocabulary_names
from pipeline.raw import Outside, RawLogs
from pipeline.road.examples import earlier_days, history_days, served_tables
from pipeline.road.shared import ENTITIES, SHARED
from pipeline.step import Input, Output, Step, Tables
from pipeline.steps.instants import SECOND_US
from pipeline.steps.recommend import candidates, score, top
from pipeline.storage import Warehouse, read_manifest, serving_version


def _recommend_reads(config: Config, day: Day) -> Mapping[str, Input]:
    first, today = config.product.first_day, (day,)
    active = tuple(days_between(add_days(day, 1 - config.recommend.active_days), day, first))
    asked_us = day_start_us(add_days(day, 1), config.product.zone) + config.profiles.ready_after_s * SECOND_US
    history = history_days(config, asked_us, day)
    inputs = {"events": Input(events(config), active), "history": Input(events(config), history)}
    if config.datasets.rooms:
        inputs["rooms"] = Input(rooms(config), today)
    inputs |= {f"profiles_{entity}": Input(profiles(config, entity), today) for entity in ENTITIES}
    inputs |= earlier_days(config, today)
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
    served = served_tables(config, tables)
    points = candidates(config, day, tables.table("rooms"), tables.expect("events"), served.profiles)
    known = (served.profiles, served.vocabularies, served.history, served.earlier)
    scored = score(config, points, outside[0].paths[0], *known)
    return Output({"recommendations": top(config, scored)}, {"model": outside[0].name})


RECOMMEND = Step(
    "recommend", ("product", "datasets", "profiles", "features", "recommend", "model.kind"),
    (
        "pipeline.steps.recommend", "pipeline.steps.build_examples", "pipeline.artifact", "pipeline.models", "tsengine",
        *SHARED,
    ),
    _recommend_reads, lambda config: (recommendations(config),), _recommend, _model,
)  # fmt: skip
