"""The config of a product of labelled rows: what fits together, and every fault with its place."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from pipeline.config import Config, parse_config
from pipeline.errors import ConfigError
from tests.steps.tables import BY_FILE, COLUMNS, TABLES, anywhere, table_config, table_tables

IDX = {
    "format": "idx",
    "shape": [2, 3],
    "columns": {"label": {"from": "label", "type": "int", "required": True}},
    "split": {name: {"images": name, "labels": name} for name in ("train", "test")} | {"by": "file"},
}
IMAGE = {"features": {"context": {"x": {"image": "image"}}}, "vocabularies": {}}
IMAGES = IMAGE | {"labels": {"click": {"column": "label", "classes": 10}}, "datasets": {"rows": "clicks"}}


def faults(tables: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        parse_config(tables)
    return str(error.value)


def test_a_table_is_a_source_of_its_own_kind() -> None:
    config = table_config()
    assert config.table is config.sources["clicks"]
    assert config.table is not None and config.table.split.names == ("train", "validation", "test")
    assert config.event_labels == {}
    assert Config.model_validate(config.model_dump(by_alias=True)) == config


def test_an_idx_table_has_a_shape_and_two_files_a_split() -> None:
    config = table_config(IDX, **IMAGES)
    assert config.table is not None and config.table.shape == (2, 3)
    assert Config.model_validate(config.model_dump(by_alias=True)) == config


@pytest.mark.parametrize(
    ("split", "fault"),
    [
        ({"by": "chance"}, "$.sources.clicks.split: needs by = one of ['column', 'file', 'leave_one_out', 'random']"),
        ({"by": "file", "train": "a"}, "$.sources.clicks.split: needs train, and validation or test or both"),
        ({"by": "random", "train": 0.9, "test": 0.2}, "$.sources.clicks.split: train, validation and test must sum"),
        ({"by": "random", "train": 1.0}, "$.sources.clicks.split.train: Input should be less than 1"),
        ({"by": "random", "train": 0.9, "test": 0.1, "sed": 1}, "$.sources.clicks.split.sed: unknown key"),
        ({"by": "column", "column": "fold", "train": ["a", "b"], "test": ["b"]}, "lists ['b'] more than once"),
        ({"by": "column", "column": "fld", "train": ["a"], "test": ["b"]}, "column 'fld'; did you mean 'fold'?"),
        ({"by": "column", "column": "city", "train": ["a"], "test": ["b"]}, "split.column: is column 'city', which a"),
        ({"by": "leave_one_out", "of": "user", "order": "fold"}, "order: must be a number or a time, column 'fold' is"),
        ({"by": "leave_one_out", "of": "user", "order": "age"}, "order: is column 'age', which a row may lack"),
        ({"by": "leave_one_out", "of": "who", "order": "at"}, "$.sources.clicks.split.of: must be one of"),
    ],
)  # fmt: skip
def test_a_split_that_cannot_be_is_refused(split: dict[str, Any], fault: str) -> None:
    place = {} if split["by"] != "file" else {"path": None}
    assert fault in faults(table_tables(anywhere(split, **place)))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"path": "raw/*.csv"}, "`path` is in `split`"),
        ({"split": {"by": "random", "train": 0.9, "test": 0.1}}, "needs `path` where `split` is not by file"),
        ({"delay_s": 3}, "`delay_s` means nothing: a table has no clock"),
        ({"key": "usr"}, "$.sources.clicks.key: must be one of"),
        ({"key": "city"}, "$.sources.clicks.key: is column 'city', which a row may lack"),
        ({"columns": COLUMNS | {"event_time": {"from": "t", "time": ["iso"]}}}, "event_time: belongs to events"),
        ({"columns": COLUMNS | {"row_id": {"from": "x"}}}, "columns.row_id: is a name that the rows need"),
        ({"columns": COLUMNS | {"text_x": {"from": "x"}}}, "columns.text_x: begins as what cleaning adds"),
        ({"columns": COLUMNS | {"context_age": {"from": "x"}}}, "$.features.context.age: would be column context_age"),
        ({"fields": ["label", "user", "town", "age"]}, "$.sources.clicks.columns.city.from: must be one of"),
        ({"shape": [2, 2]}, "`shape`, `images` and `labels` go with format = 'idx'"),
        ({"spilt": 1}, "$.sources.clicks.spilt: unknown key; did you mean 'split'?"),
        ({"kind": "rows"}, "$.sources.clicks: needs kind = one of ['events', 'table'], got 'rows'"),
        ({"columns": {k: v for k, v in COLUMNS.items() if k != "user"}}, "$.datasets.user: must be one of"),
    ],
)
def test_a_table_with_a_fault_is_refused(source: dict[str, Any], fault: str) -> None:
    assert fault in faults(table_tables(source))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"shape": None}, "an idx table needs `shape`"),
        ({"separator": ";"}, "['separator'] mean nothing for format = 'idx'"),
        ({"split": {"by": "file", "train": "a", "test": "b"}}, "an idx table needs split = { by = 'file'"),
        ({"columns": {"label": {"from": "digit", "required": True}}}, "columns.label.from: must be one of ['label']"),
    ],
)
def test_an_idx_table_with_a_fault_is_refused(change: dict[str, Any], fault: str) -> None:
    assert fault in faults(table_tables(IDX | change, **IMAGES))


@pytest.mark.parametrize(
    ("section", "value", "fault"),
    [
        ("datasets", {"rows": "click"}, "$.datasets.rows: names source 'click'; of kind 'table' are ['clicks']"),
        ("datasets", {"events": "clicks"}, "$.datasets.events: names source 'clicks'; declared are []"),
        ("datasets", {"rows": "clicks", "rooms": "clicks"}, "$.datasets.rooms: does not stand beside `rows`"),
        ("labels", {"click": {"event": "a", "within_s": 1, "mature_after_s": 1}}, "$.labels.click: looks for an event"),
        ("labels", {"click": {"column": "lbl"}}, "$.labels.click.column: must be one of"),
        ("labels", {"click": {"column": "city"}}, "$.labels.click.column: is column 'city', which a row may lack"),
        ("labels", {"click": {"column": "label", "classes": 3}}, "$.labels.click.column: must be of type int, long"),
        ("labels", {"click": {"column": "label", "classes": 3, "positive": ["2"]}}, "mean nothing beside `classes`"),
        ("labels", {"click": {"column": "label", "positive": ["1"], "negative": ["1"]}}, "['1'] cannot be positive"),
        ("features", {"user": {"x": {"count": "enter"}}}, "$.features.user.x: looks over time; a table has no clock"),
        ("features", {"context": {"x": {"count": "enter"}}}, "$.features.context.x: must be one of column, sql, image"),
        ("features", {"context": {"x": {"target": "click", "of": ["city"]}}}, "$.features.context.x: must be one of c"),
        ("features", {"context": {"x": {"column": "city", "scored_as": "Rome"}}}, "$.features: are all `scored_as` on"),
        ("features", {"context": {"x": {"column": "citty"}}}, "got column 'citty'; did you mean 'city'?"),
        ("features", {"context": {"x": {"column": "label"}}}, "is what label 'click' says: the model would read the"),
        ("features", {"context": {"x": {"image": "image"}}}, "x.image: goes with a source of format = 'idx', this one"),
        ("profiles", {"ready_after_s": 1}, "$.profiles: means nothing for a product of a table: leave it out"),
        ("recommend", {"top": 1}, "$.recommend: means nothing for a product of a table: leave it out"),
        ("clean", {"lookback_days": 2}, "$.clean.lookback_days: means nothing for a product of a table"),
        ("clean", {"budgets": {"too_late": 0.1}}, "$.clean.budgets.too_late: is a rule of events"),
        ("training", {"label": "click", "days": 3}, "$.training.days: means nothing for a product of a table"),
        ("training", {"label": "like"}, "$.training.label: is 'like'"),
        ("training", {"label": "click", "evaluate_on": "train"}, "$.training.evaluate_on: Input should be"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_table_is_refused(section: str, value: dict[str, Any], fault: str) -> None:
    assert fault in faults(table_tables(**{section: value}))


def test_a_split_to_judge_on_must_be_there() -> None:
    two = {"split": {key: value for key, value in BY_FILE.items() if key != "validation"}}
    told = faults(table_tables(two, training={"label": "click", "evaluate_on": "validation"}))
    assert "$.training.evaluate_on: is 'validation', but the splits to judge on are ['test']" in told


def test_gauc_needs_users() -> None:
    told = faults(table_tables(datasets={"rows": "clicks"}, gate={"gauc": {"at_least": 0.5}}))
    assert "$.gate.gauc: compares within a user" in told


def test_what_is_for_a_table_is_refused_beside_events() -> None:
    events = {
        "kind": "events", "path": "x/{dt}", "format": "csv", "fields": ["id", "ts"],
        "columns": {name: {"from": "id"} for name in ("event_id", "event_type", "user_id", "item_id")}
        | {"event_time": {"from": "ts", "time": ["epoch_s"]}},
    }  # fmt: skip
    told = faults(
        {
            "product": {"name": "toy", "first_day": datetime.date(2026, 1, 1)},
            "sources": {"clicks": events},
            "datasets": {"events": "clicks", "user": "user_id"},
            "labels": {"click": {"column": "label"}},
            "features": {"context": {"user": {"column": "user_id"}}},
            "training": {"label": "click", "evaluate_on": "test"},
            "gate": TABLES["gate"],
        }
    )
    assert "$.labels.click.column: is for the rows of a table" in told
    assert "$.training.evaluate_on: is for a product of a table" in told
    assert "$.datasets.user: is for a product of a table" in told
