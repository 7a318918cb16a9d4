"""A config with faults is refused with all of them, each with its place and the way out."""

from __future__ import annotations

import copy
import datetime
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RULE_IDS, Config, load_config, parse_config
from pipeline.errors import ConfigError

CONF = Path(__file__).parent.parent / "conf"


@pytest.fixture
def tables() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads((CONF / "live.toml").read_text()))


def faults(tables: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse_config(tables, "live.toml")
    assert error.value.exit_code == 2
    return [line.strip() for line in str(error.value).splitlines()[1:]]


@pytest.mark.parametrize("path", sorted(CONF.glob("*.toml")), ids=lambda path: path.name)
def test_every_config_of_the_project_is_valid(path: Path) -> None:
    assert load_config(path).product.name == path.stem


def test_all_faults_are_told_at_once_with_their_places(tables: dict[str, Any]) -> None:
    tables["training"]["wrkers"] = 2
    tables["training"]["batch_size"] = -3
    tables["product"]["day_zone"] = "Mars/Olympus"
    del tables["labels"]["enter"]["within_s"]
    assert faults(tables) == [
        "$.product.day_zone: must be a time zone of the IANA database such as 'Asia/Shanghai', got 'Mars/Olympus'",
        "$.labels.enter.within_s: is missing",
        "$.training.batch_size: Input should be greater than 0, got -3",
        "$.training.wrkers: unknown key; did you mean 'workers'?",
    ]


@pytest.mark.parametrize(
    ("section", "change", "fault"),
    [
        ("training", {"batch_size": 4097}, "batch_size (4097) must be a multiple of shards (8)"),
        ("training", {"workers": 9}, "workers (9) must not exceed shards (8)"),
        ("training", {"label": "like"}, "$.training.label: is 'like'; declared labels are ['enter']"),
        ("datasets", {"events": "event"}, "$.datasets.events: names source 'event'"),
        ("gate", {"auc": {}}, "a gate without a threshold never refuses anything"),
        (
            "features",
            {"cross": {"x": {"of": ["user_id", "nobody"], "buckets": 9}}},
            "$.features.cross.x.of: names 'nobody'",
        ),
        (
            "training",
            {"optimizer": {"kind": "rowwise_adagrad", "learning_rate": 1}},
            "kind must be gradient_descent, ada",
        ),
        (
            "features",
            {"item": {"x": {"sum": "a.b", "edges": [16777216, 16777217]}}},
            "edges must rise strictly, in float",
        ),
        ("features", {"user": {"id": {"column": "user_id"}}}, "$.features.user.id: would be column user_id"),
        ("features", {"user": {"x": {"count": "a", "rate": ["a", "b"]}}}, "needs exactly one of column, attribute"),
    ],
)
def test_what_does_not_fit_together_is_named(
    tables: dict[str, Any], section: str, change: dict[str, Any], fault: str
) -> None:
    tables[section] |= change
    assert any(fault in line for line in faults(tables)), faults(tables)


def set_at(tables: dict[str, Any], place: str, value: Any) -> None:
    """`a.b` becomes value; a value of None takes it away."""
    *parents, key = place.split(".")
    for parent in parents:
        tables = tables[parent]
    if value is None:
        del tables[key]
    else:
        tables[key] = value


EVENTS = "sources.events.columns"
LABEL = {"event": "enter", "within_s": 60, "mature_after_s": 600}
CHOSEN = {"chosen": True, "mature_after_s": 600}
NEGATIVES = {"per_example": 2, "candidates": "on_air", "popularity": "enter"}
CSV = {
    "kind": "events",
    "path": "x/{dt}",
    "format": "csv",
    "fields": ["id", "ts"],
    "columns": {"event_time": {"from": "ts", "time": ["epoch_s"]}},
}


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        # a bound needs a number
        (f"{EVENTS}.scene.min", 3, f"$.{EVENTS}.scene.min: goes with type = 'int', 'long' or 'double', and this "),
        (f"{EVENTS}.scene.min", 3, "this column has type = 'string': say its type, got 3"),
        (f"{EVENTS}.event_type.max", 3, f"$.{EVENTS}.event_type.max: goes with type = 'int', 'long' or 'double', and"),
        (f"{EVENTS}.event_time.max", 3, f"$.{EVENTS}.event_time.max: goes with type = 'int', 'long' or 'double', and"),
        (f"{EVENTS}.position.max", -1, f"$.{EVENTS}.position.max: must be at least min (0), got -1"),
        (f"{EVENTS}.position.max", 2**70, f"$.{EVENTS}.position.max: must be a number of 64 bits, got {2**70}"),
        (f"{EVENTS}.event_type.type", "int", f"$.{EVENTS}.event_type.values: does not go with type = 'int'"),
        (f"{EVENTS}.event_time.type", "long", f"$.{EVENTS}.event_time.time: does not go with type = 'long'"),
        (f"{EVENTS}.event_time.values", {"a": "b"}, f"$.{EVENTS}.event_time.time: does not go with `values`"),
        (f"{EVENTS}.event_time.time", [], f"$.{EVENTS}.event_time.time: "),
        (f"{EVENTS}.event_type.values", {}, f"$.{EVENTS}.event_type.values: "),
        # clocks
        (f"{EVENTS}.available_at.time", None, f"$.{EVENTS}.available_at.time: is missing: say how the clock is"),
        (f"{EVENTS}.event_time.time", None, f"$.{EVENTS}.event_time.time: is missing: say how the clock is written"),
        (f"{EVENTS}.event_time", None, f"$.{EVENTS}.event_time: is missing: say when a line happened, such as"),
        # columns that a dataset needs
        *[(f"sources.{source}.columns.{column}", None,
           f"$.sources.{source}.columns: must declare ['{column}'] to fill $.datasets.{dataset}, got [")
          for source, dataset, columns in (
            ("events", "events", ("event_id", "event_type", "user_id", "item_id", "room_id")),
            ("rooms", "rooms", ("event_id", "event_type", "room_id", "item_id")),
            ("users", "attributes.user", ("event_id", "user_id")),
            ("streamers", "attributes.item", ("event_id", "item_id")),
          ) for column in columns],
        ("sources.rooms.columns.event_type.values", None, "$.sources.rooms.columns.event_type.values: must say which "),
        ("sources.rooms.columns.event_type.values.end", "ended", "start and the end of a room, such as values = { "),
        ("datasets.rooms", "events", "$.datasets.rooms: must be another source than that of events, got 'events'"),
        # taken names
        *[(f"{EVENTS}.{name}", {"from": "x"}, f"$.{EVENTS}.{name}: is a name that ")
          for name in ("detail", "fate", "line", "source_file", "fields", "verdict", "bot_rule", "bot_available_at",
                       "id", "key", "keys", "event_day", "example_id")],
        *[(f"sources.users.columns.{name}", {"from": "x"}, f"$.sources.users.columns.{name}: is a name that ")
          for name in ("id", "said_at", "said_event", "profile_day")],
        *[(f"{EVENTS}.{name}", {"from": "x"}, f"$.{EVENTS}.{name}: begins with ") for name in ("text_x", "value_x")],
        (f"{EVENTS}._x", {"from": "x"}, f"$.{EVENTS}._x.[key]: "),
        (f"{EVENTS}.context_scene", {"from": "x"}, "$.features.context.scene: would be column context_scene, which ev"),
        (f"{EVENTS}.scene.from", "a`b", f"$.{EVENTS}.scene.from: must be the name of a field, without a backtick"),
        # names of rules, vocabularies, event types, models
        ("clean.budgets.malfrmed", 0.1, "$.clean.budgets.malfrmed: must be one of ['bad_type', "),
        ("clean.budgets.malfrmed", 0.1, "got rule 'malfrmed'; did you mean 'malformed'?"),
        ("vocabularies.user_ids", {}, "got vocabulary 'user_ids'; did you mean 'user_id'?: those are what the "),
        ("clean.bots.rate.event", "exposur", "$.clean.bots.rate.event: must be one of ['comment', 'enter', 'exit', "),
        ("labels.enter.of", "exposur", "$.labels.enter.of: must be one of ["),
        ("labels.enter.event", "entr", "$.labels.enter.event: must be one of ["),
        ("features.user.x", {"count": "entr"}, "$.features.user.x.count: must be one of ["),
        ("features.user.x", {"sum": "gifts.amount"}, "got event type 'gifts'; did you mean 'gift'?: $.sources.e"),
        ("features.item.x", {"rate": ["enter", "exposur"]}, "$.features.item.x.rate: must be one of ["),
        ("features.user.x", {"since": "entr"}, "$.features.user.x.since: must be one of ["),
        ("features.sequence.recent_items.events", ["entr"], "$.features.sequence.recent_items.events: must be one of "),
        ("model.kind", "wide_dep", "$.model.kind: must be one of ['wide_deep'], got model family 'wide_dep'; did you "),
        # what has no effect
        ("features.item.x", {"rate": ["enter", "exposure"], "edges": [1]}, "$.features.item.x.edges: means nothing "),
        ("features.item.x", {"column": "scene", "edges": [1]}, "$.features.item.x.edges: means nothing beside `col"),
        ("features.user.x", {"count": "enter", "smoothing": 20}, "beside `count`, only beside rate, share, target: "),
        ("features.user.x", {"decay": "enter", "window_days": 7}, ".x.window_days: means nothing beside `decay`, only"),
        ("features.user.x", {"count": "enter", "half_life_days": 7}, ".x.half_life_days: means nothing beside `count`"),
        ("features.user.x", {"decay": "enter", "k": 2}, ".x.k: means nothing beside `decay`, only beside top: leave"),
        ("features.user.x", {"since": "enter", "by": "hour"}, ".x.by: means nothing beside `since`, only beside count"),
        ("features.item.x", {"count": "enter", "prior_by": "category"}, ".x.prior_by: means nothing beside `count`"),
        ("features.item.x", {"rate": ["enter", "exposure"], "by": "city", "prior_by": "category"}, "`prior_by` does n"),
        ("features.user.x", {"top": "enter"}, "`top` needs `by`, the value whose top is meant, such as by = "),
        ("features.user.x", {"share": "enter"}, "`share` needs `by`, the value whose share is meant"),
        ("features.user.x", {"last": "enter", "by": "hour"}, "`last` gives ids, and hours have no vocabulary: by must"),
        ("features.user.x", {"top": "enter", "by": "category", "k": 101}, ".x.k: Input should be less than or equal "),
        *[("features.user.x", {kind: "entr", "by": "item_id"}, f"$.features.user.x.{kind}: must be one of [")
          for kind in ("share", "distinct", "decay", "top", "last")],
        ("features.item.x", {"since_first": "entr"}, "$.features.item.x.since_first: must be one of ["),
        # target encodings, hashes, fixed values
        ("features.context.x", {"target": "enter"}, "`target` needs `of`, the id features that must be equal, such as"),
        ("features.context.x", {"target": "entr", "of": ["user_id"]}, "got label 'entr'; did you mean 'enter'?"),
        ("features.context.x", {"target": "enter", "of": ["item_level"]}, "$.features.context.x.of: names 'item_level"),
        ("features.context.x", {"target": "enter", "of": []}, "$.features.context.x.of: Tuple should have at least 1"),
        ("features.user.x", {"target": "enter", "of": ["user_id"]}, "$.features.user.x.target: looks at whole example"),
        ("features.user.x", {"count": "enter", "of": ["user_id"]}, ".x.of: means nothing beside `count`, only beside "),
        ("features.user.x", {"count": "enter", "hash_buckets": 9}, ".x.hash_buckets: means nothing beside `count`, on"),
        ("features.user.x", {"column": "user_id", "hash_buckets": 0}, ".x.hash_buckets: Input should be greater than "),
        ("features.user.x", {"column": "user_id", "hash_buckets": 2**31 - 3}, ".x.hash_buckets: Input should be less "),
        ("features.item.x", {"attribute": "level", "hash_buckets": 9, "edges": [1]}, "`hash_buckets` makes ids of tex"),
        ("features.user.x", {"count": "enter", "scored_as": 1}, ".x.scored_as: means nothing beside `count`, only bes"),
        ("features.context.x", {"column": "scene", "scored_as": 1}, "`scored_as` of a `column` is a text (\"\" is nul"),
        ("features.context.x", {"sql": "position", "scored_as": "first"}, "`scored_as` of an `sql` is a number (\"\" "),
        ("features", {"context": {"x": {"sql": "position", "scored_as": 1}}}, "$.features: are all `scored_as` one va"),
        *[("features.user.x", {kind: what, "window_days": 7}, f".x.window_days: means nothing beside `{kind}`, only")
          for kind, what in (("attribute", "city"), ("column", "scene"), ("sql", "1"), ("since", "enter"))],
        *[(f"sources.events.{key}", value, f"$.sources.events.{key}: goes with format = 'csv'")
          for key, value in (("separator", ","), ("header", True), ("fields", ["a"]))],
        # delimited text
        ("sources.x", {**CSV, "separator": ""}, "$.sources.x.separator: "),
        ("sources.x", {**CSV, "fields": []}, "$.sources.x.fields: "),
        ("sources.x", {**CSV, "fields": ["ts", "ts"]}, "$.sources.x.fields: must not hold a name twice"),
        ("sources.x", {**CSV, "fields": ["id", "tss"]}, "$.sources.x.columns.event_time.from: must be one of ['id'"),
        ("sources.x", {**{k: v for k, v in CSV.items() if k != "fields"}, "header": False}, "$.sources.x.header: is "),
        # sources
        ("sources.events.not_before", datetime.date(2026, 1, 1), "$.sources.events.not_before: goes with a path with"),
        ("sources.x", {**CSV, "not_before": "soon"}, "$.sources.x.not_before: Input should be a valid date"),
        # schedules
        ("training.schedule", {"kind": "cosin"}, "$.training.schedule.kind: Input should be 'constant', 'cosine' or "),
        ("training.schedule", {"warm_up": 9}, "$.training.schedule.warm_up: unknown key; did you mean 'warm_up_steps'"),
        ("training.schedule", {"warm_up_steps": -1}, "$.training.schedule.warm_up_steps: Input should be greater than"),
        ("training.schedule", {"decay_steps": 9}, "$.training.schedule.decay_steps: means nothing beside kind = 'cons"),
        ("training.schedule", {"kind": "cosine", "decay_rate": 0.5}, "nothing beside kind = 'cosine', only beside exp"),
        ("training.schedule", {"kind": "cosine", "staircase": True}, "$.training.schedule.staircase: means nothing be"),
        ("training.schedule", {"kind": "cosine", "final_share": 2}, "$.training.schedule.final_share: Input should be"),
        ("training.schedule", {"kind": "exponential", "final_share": 0.1, "decay_steps": 9, "decay_rate": 0.5},
         "$.training.schedule.final_share: means nothing beside kind = 'exponential', only beside cosine: leave it ou"),
        ("training.schedule", {"kind": "exponential"}, "$.training.schedule: kind = 'exponential' needs decay_steps a"),
        ("training.schedule", {"kind": "exponential", "decay_steps": 9}, "and decay_rate, decay_rate is absent"),
        ("training.clip_norm", 0, "$.training.clip_norm: Input should be greater than 0, got 0"),
        # labels
        ("labels.x", {**LABEL, "column": "amount"}, "$.labels.x: `column` and `at_least` go together"),
        ("labels.x", {**LABEL, "column": "amount", "at_least": 0}, "$.labels.x.at_least: Input should be greater th"),
        ("labels.x", {**LABEL, "next": True, "column": "amount", "at_least": 1}, "`next` looks at one event and `co"),
        ("labels.x", {**LABEL, "next": True, "match": ["user_id"]}, "must hold user_id and something else, such as ["),
        ("labels.x", {**LABEL, "next": True, "match": ["item_id", "room_id"]}, "`match` must hold user_id and somet"),
        ("labels.x", {**LABEL, "mature_after_s": 59}, "$.labels.x: mature_after_s (59) must be at least within_s (60)"),
        ("labels.x", {"column": "amount", "positive": ["1"]}, "$.labels.x.column: is for the rows of a table; a lab"),
        ("labels.x", CHOSEN, "$.labels.x.chosen: would be 1 for every example: sample candidates beside them with [ne"),
        ("labels.x", {**CHOSEN, "chosen": False}, "$.labels.x.chosen: Input should be True, got False"),
        ("labels.x", {**CHOSEN, "at_least": 4}, "$.labels.x: `column` and `at_least` go together"),
        ("labels.x", {**CHOSEN, "within_s": 4}, "$.labels.x.within_s: unknown key"),
        # sampled candidates
        ("negatives", {**NEGATIVES, "per_example": 0}, "$.negatives.per_example: Input should be greater than 0, go"),
        ("negatives", {**NEGATIVES, "candidates": "all"}, "$.negatives.candidates: Input should be 'on_air' or 'pop"),
        ("negatives", {**NEGATIVES, "power": 2}, "$.negatives.power: Input should be less than or equal to 1, got 2"),
        ("negatives", {**NEGATIVES, "popularity": "entr"}, "$.negatives.popularity: must be one of ["),
        ("negatives", {**NEGATIVES, "keep": ["scen"]}, "$.negatives.keep: must be one of ['amount', 'duration_ms', 'p"),
        ("negatives", {**NEGATIVES, "keep": ["user_id"]}, "names 'user_id', which a candidate always shares with it"),
        ("negatives", {**NEGATIVES, "keep": ["room_id"]}, "names 'room_id', which is of the event or its item, not "),
        ("negatives", {**NEGATIVES, "seeds": 2}, "$.negatives.seeds: unknown key; did you mean 'seed'?"),
        # numbers that are none
        ("gate.auc.at_least", float("nan"), "$.gate.auc.at_least: Input should be a finite number, got nan"),
        ("features.item.level.edges", [1.0, 1e39], "edges must rise strictly, in float32 too, got [1.0, 1e+39]"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_before_anything_is_read(
    tables: dict[str, Any], place: str, value: Any, fault: str
) -> None:
    set_at(tables, place, value)
    found = faults(tables)
    assert any(fault in line for line in found), found


def test_faults_between_tables_are_told_at_once(tables: dict[str, Any]) -> None:
    set_at(tables, "sources.rooms.columns.item_id", None)
    set_at(tables, "labels.enter.event", "entr")
    set_at(tables, "vocabularies.nobody", {})
    set_at(tables, "training.label", "click")
    assert sorted(fault.partition(": ")[0] for fault in faults(tables)) == [
        "$.labels.enter.event",
        "$.sources.rooms.columns",
        "$.training.label",
        "$.vocabularies.nobody",
    ]


def test_a_source_that_begins_after_the_product_is_refused(tables: dict[str, Any]) -> None:
    set_at(tables, "sources.events.path", "raw/events/*.json.gz")
    for day, fault in (
        (1, None),
        (2, "$.sources.events.not_before: must not be after $.product.first_day, 2026-01-01"),
    ):
        set_at(tables, "sources.events.not_before", datetime.date(2026, 1, day))
        if fault is None:
            parse_config(tables)
        else:
            assert any(fault in line for line in faults(tables))


def test_candidates_on_air_need_rooms(tables: dict[str, Any]) -> None:
    set_at(tables, "datasets.rooms", None)
    set_at(tables, "negatives", NEGATIVES)
    told = '$.negatives.candidates: is "on_air", but $.datasets.rooms names no source; choose "popular"'
    assert faults(tables) == [told]
    tables["negatives"] = {**NEGATIVES, "candidates": "popular"}
    tables["labels"]["x"] = CHOSEN
    assert parse_config(tables).mature_after_s == 600


def test_without_declared_values_any_event_type_may_come(tables: dict[str, Any]) -> None:
    set_at(tables, f"{EVENTS}.event_type.values", None)
    set_at(tables, "labels.enter.event", "entr")
    assert parse_config(tables).labels["enter"].model_dump()["event"] == "entr"


@pytest.mark.parametrize(
    ("said", "header"),
    [({}, False), ({"header": True}, True), ({"fields": None}, True), ({"fields": None, "header": True}, True)],
)
def test_whoever_names_the_fields_has_no_header(tables: dict[str, Any], said: dict[str, Any], header: bool) -> None:
    tables["sources"]["x"] = {key: value for key, value in {**CSV, **said}.items() if value is not None}
    assert parse_config(tables).sources["x"].header is header


def test_budgets_are_of_the_rules_that_there_are() -> None:
    from pipeline.steps.clean_logs.rules import RULES

    assert tuple(rule.id for rule in RULES) == RULE_IDS


def test_a_dump_of_a_config_is_a_config(tables: dict[str, Any]) -> None:
    config = parse_config(tables)
    assert Config.model_validate(config.model_dump(by_alias=True)) == config


def test_a_config_is_read_without_spark() -> None:
    code = f"import sys; from pipeline.config import load_config; load_config({str(CONF / 'live.toml')!r}); "
    subprocess.run([sys.executable, "-c", code + "assert 'pyspark' not in sys.modules"], check=True, cwd=CONF.parent)


def test_a_schedule_is_written_in_the_file_or_on_the_command_line(tables: dict[str, Any]) -> None:
    assert parse_config(tables).training.schedule.kind == "constant"
    set_at(tables, "training.schedule", {"kind": "cosine", "warm_up_steps": 100, "final_share": 0.1})
    assert parse_config(tables).training.schedule.warm_up_steps == 100
    told = load_config(CONF / "live.toml", ["training.schedule.kind=cosine", "training.clip_norm=1.0"]).training
    assert (told.schedule.kind, told.clip_norm) == ("cosine", 1.0)


def test_an_empty_gate_is_refused(tables: dict[str, Any]) -> None:
    tables["gate"] = {}
    assert faults(tables)[0].startswith("$.gate: ")


def test_overrides_take_toml_values_and_bare_words() -> None:
    config = load_config(CONF / "live.toml", ["training.workers=1", "product.warehouse=/data/w", "model.hidden=[8, 4]"])
    assert (config.training.workers, config.product.warehouse, config.model.hidden) == (1, "/data/w", (8, 4))


@pytest.mark.parametrize("override", ["training.workers", "=3", "product.name.x=1"])
def test_a_bad_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(CONF / "live.toml", [override])


def test_a_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the config"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("[product\n")
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        load_config(tmp_path / "broken.toml")


def test_a_config_cannot_be_changed(tables: dict[str, Any]) -> None:
    config = Config.model_validate(tables)
    with pytest.raises(ValueError, match="frozen"):
        config.training.workers = 5
