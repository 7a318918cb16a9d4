"""Profiles and examples as a person reads them, over a small world: what is shown is what brute force finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline.config import load_config
from pipeline.days import add_days
from pipeline.errors import ConfigError, MissingInput
from pipeline.show import as_json, as_text, show_example, show_profile
from pipeline.show.published import Published
from pipeline.storage import data_files
from tests.steps.profile_reference import SECTIONS, ProfileReference
from tests.steps.rows import FIRST, TABLES, Row, day_of, toy_config
from tests.steps.world import World, random_world, walk
from tests.training.published_days import publish

ROOT = Path(__file__).parents[2]
DAYS = [add_days(FIRST, n) for n in range(3)]
LAST = DAYS[-1]
FOLLOWS = {"match": ["user_id", "item_id"], "within_s": 300, "mature_after_s": 600}
LABELS: dict[str, Any] = {
    "enter": {**FOLLOWS, "event": "enter"},
    "watched": {**FOLLOWS, "event": "watch", "column": "duration_ms", "at_least": 20_000},
    "next": {**FOLLOWS, "event": "enter", "next": True},
    "shown": {"chosen": True, "mature_after_s": 600},
}
NEGATIVES = {
    "candidates": "popular", "per_example": 1, "popularity": "enter", "unseen_days": 1, "keep": ["scene", "position"],
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    """Three days; a tenth of the rows arrive a day late."""
    return random_world(seed=23, days=3)


@pytest.fixture(scope="module")
def published(spark: SparkSession, world: World, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """What the steps make of it, and the events, as a warehouse."""
    folder = tmp_path_factory.mktemp("shown")
    product = {**TABLES["product"], "warehouse": str(folder / "warehouse")}
    config = toy_config(**{**SECTIONS, "labels": LABELS, "negatives": NEGATIVES}, product=product)
    road, shown = walk(spark, config, world, folder / "road", DAYS), Published(config)
    for day in DAYS:
        for dataset in road.columns:
            kind, _, name = dataset.partition("_")
            path = "examples/enter" if dataset == "examples" else f"{kind}/{name}"
            table = spark.read.parquet(road.path(dataset, day)).toArrow()
            publish(shown.warehouse, path, day, table)
        publish(shown.warehouse, "events", day, _table(world.arrived(config, world.events, day, day)))
    return shown


def _table(rows: list[Row]) -> pa.Table:
    times = {name: pa.timestamp("us", "UTC") for name in ("event_time", "available_at", "bot_available_at")}
    types = {**times, "position": pa.int32(), "duration_ms": pa.int64()}
    return pa.Table.from_pylist(rows, pa.schema([(name, types.get(name, pa.string())) for name in rows[0]]))


def _ids(published: Published, dataset: str, column: str) -> list[str]:
    (path,) = data_files(published.warehouse.folder(dataset, LAST))
    return sorted(pq.read_table(path, columns=[column]).column(column).to_pylist())


def test_every_sum_sequence_and_label_of_every_example_is_found_again_in_the_events(published: Published) -> None:
    traced: dict[str, int] = {}
    for example_id in _ids(published, "examples/enter", "example_id"):
        shown = show_example(published, example_id, LAST)
        for line in shown["recomputed"]:
            assert line["agrees"], (example_id, line)
            traced[line["feature"]] = traced.get(line["feature"], 0) + line["rows"]
    assert all(traced.values()), traced
    assert {"user_items_2d", "user_hour_share_3d", "item_cities_2d", "sequence_recent"} <= traced.keys()
    assert {f"label_{name}" for name in LABELS} <= traced.keys()


def test_a_sampled_candidate_is_shown_as_the_row_that_it_is(published: Published, world: World) -> None:
    events = {row["event_id"]: row for row in world.events}
    sampled = [id_ for id_ in _ids(published, "examples/enter", "example_id") if "~" in id_]
    assert len(sampled) > 5
    for example_id in sampled[:5]:
        shown, logged = show_example(published, example_id, LAST), events[example_id.partition("~")[0]]
        assert shown["sampled"]["beside"] == logged["event_id"]
        assert 0 < shown["sampled"]["sampling_probability"] <= 1
        assert shown["event"]["user_id"] == logged["user_id"]
        assert shown["event"]["item_id"] != logged["item_id"]
        assert (shown["event"]["room_id"], shown["labels"]["label_shown"]) == (None, 0.0)
        assert f"sampled\n  beside                {logged['event_id']}" in as_text(shown)
    assert "sampled" not in show_example(published, logged["event_id"], LAST)


def test_a_value_that_is_not_in_the_events_is_told(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    example_id = _ids(published, "examples/enter", "example_id")[0]
    rows = Published.rows

    def changed(self: Published, dataset: str, *arguments: Any) -> list[Row]:
        found = rows(self, dataset, *arguments)
        return [{**row, "user_watches": row["user_watches"] + 1} for row in found] if "examples" in dataset else found

    monkeypatch.setattr(Published, "rows", changed)
    shown = show_example(published, example_id, LAST)
    assert [line["feature"] for line in shown["recomputed"] if not line["agrees"]] == ["user_watches"]


def test_ids_are_shown_with_their_values_and_the_days_that_served(published: Published, world: World) -> None:
    reference, events = ProfileReference(world), {row["event_id"]: row for row in world.events}
    meant = set()
    for example_id in _ids(published, "examples/enter", "example_id")[:20]:
        shown, event = show_example(published, example_id, LAST), events[example_id.partition("~")[0]]
        exposed = day_of(published.config, event["event_time"])
        assert shown["served"]["vocabulary_day"] == add_days(exposed, -1)
        assert shown["event"]["event_time"] == event["event_time"]
        assert shown["event"]["event_time"].utcoffset().total_seconds() == 8 * 3600
        assert shown["event"]["arrived"] == day_of(published.config, event["available_at"])
        features = {line["feature"]: line for line in shown["features"]}
        values = {id_: value for value, id_ in reference.vocabulary("item_id", add_days(exposed, -1)).items()}
        top = features["user_top_items"]
        assert top["means"] == [values.get(id_, "(unknown)") for id_ in top["value"]]
        assert features["context_scene"]["from"] == event["scene"]
        weights = reference.weights(event["user_id"], "enter", 2, shown["served"]["profile_day"], "item_id")
        best = sorted((-weight, key) for key, weight in weights.items())[:3]
        assert top["from"] in (None, [f"{key} {-weight:.4g}" for weight, key in best])
        first, second = (features[name]["value"] for name in ("user_last_category", "user_last_item"))
        assert features["cross_last_x_scene"]["value"] == (first * 1_000_003 + second) % 50
        meant |= set(top["means"])
    assert len(meant) > 2


def test_a_profile_is_shown_by_what_it_says(published: Published, world: World) -> None:
    reference = ProfileReference(world)
    for user in _ids(published, "profiles/user", "id"):
        shown = show_profile(published, "user", user, LAST)
        fading = reference.weights(user, "enter", 2, LAST, "item_id")
        best = sorted(((-w, k) for k, w in fading.items() if k))
        entries = shown.get("decay_count_enter_by_item_id_2d", [])
        assert [(entry["key"], entry["weight"]) for entry in entries] == [(k, -w) for w, k in best]
        assert shown["attributes"]["city"] == reference.said("user", user, LAST).get("city")
        watched = reference._window("user", user, "watch", 2, LAST, {})
        assert {"measure": "count_watch", "2d": len(watched)} in shown["windows"]
        assert json.loads(as_json(shown))["profile_day"] == str(LAST)
        text = as_text(shown)
        assert f"user         {user}" in text
        if shown["times"]["last_enter"] is not None:
            assert "+08:00" in text


@pytest.mark.parametrize(
    ("entity", "id_", "day", "message"),
    [
        ("user", "nobody", LAST, r"user 'nobody' is not in profiles/user/dt=2026-01-03: .* Ids look like 'u\d+'"),
        ("user", "i1", LAST, "But items have that id: python -m jobs.show item i1 --dt 2026-01-03"),
        ("user", "u1", add_days(LAST, 1), r"published days of profiles/user are 2026-01-01..2026-01-03: name one by"),
    ],
)
def test_an_id_that_is_not_there_names_what_to_do(
    published: Published, entity: str, id_: str, day: Any, message: str
) -> None:
    with pytest.raises(MissingInput, match=message):
        show_profile(published, entity, id_, day)


def test_an_event_that_is_no_example_of_the_day_says_why(published: Published, world: World) -> None:
    def first(event_type: str, bot_rule: str | None) -> str:
        known = [row for row in world.events if day_of(published.config, row["available_at"]) == LAST]
        same = (row for row in known if (row["event_type"], row["bot_rule"]) == (event_type, bot_rule))
        return str(next(same)["event_id"])

    def told(example_id: str, day: Any = LAST) -> str:
        with pytest.raises(MissingInput) as caught:
            show_example(published, example_id, day)
        return str(caught.value)

    assert "is of type 'enter', examples are made of 'exposure'" in told(first("enter", None))
    assert "is a bot's (rule 'rate')" in told(first("exposure", "rate"))
    of_last = _ids(published, "examples/enter", "example_id")[0]
    assert f"mature on {LAST}: --dt {LAST}" in told(of_last, DAYS[1])
    assert "no event of the days around it has that id; ids look like 'e" in told("e-nothing")


def test_a_table_ends_where_the_screen_would() -> None:
    text = as_text({"id": "x", "half": 0.5, "rows": [{"a": n, "b": None} for n in range(30)]})
    lines = text.splitlines()
    assert lines[:6] == ["id    x", "half  0.5", "", "rows", "  a   b", "  0   -"]
    assert lines[-1] == "  ... and 10 more (--json shows all)"
    assert as_text({"ids": list(range(7))}) == "ids  0, 1, 2, 3, 4, ... (7)"
    assert len(as_text({"features": [{"a": n} for n in range(30)]}).splitlines()) == 32


@pytest.mark.parametrize("what", ["user", "example"])
def test_the_job_ends_with_one_message_where_nothing_is_published(tmp_path: Path, what: str) -> None:
    asked = [what, "x", "--dt", "2026-01-07", "--set", f"product.warehouse={tmp_path}"]
    command = [sys.executable, "-m", "jobs.show", *asked]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is not published, nor is any other day" in ended.stderr
    assert "Build it first: make backfill FROM=2026-01-01 TO=2026-01-07" in ended.stderr


def test_a_product_of_a_table_has_nothing_to_show() -> None:
    config = load_config(ROOT / "conf" / "adult.toml")
    with pytest.raises(ConfigError, match="is made of rows of a table: there are no profiles"):
        Published(config)
