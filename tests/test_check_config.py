"""What is said of a config in plain words, and the schema by which an editor checks it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.config import ChosenLabel, Feature, Label, load_config
from pipeline.config.explain import explain
from pipeline.config.explain_inputs import computed_from
from pipeline.config.explain_labels import label_words
from pipeline.config.features import ALWAYS_SPLIT, KINDS
from pipeline.config.schema import json_schema
from pipeline.features import feature_specs
from tests.steps.negatives_reference import sampling_config

ROOT = Path(__file__).parent.parent
CONF = sorted((ROOT / "conf").glob("*.toml"))
SPLIT: dict[str, Any] = {**{key: {"by": "item_id"} for key in ALWAYS_SPLIT}, "target": {"of": ("item_id",)}}
KIND: dict[str, Any] = {
    "rate": ("enter", "watch.duration_ms"),
    "count": "enter",
    "sum": "gift.amount",
    "image": "image",
}


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.name)
def test_every_source_column_input_and_threshold_is_told(path: Path) -> None:
    config = load_config(path)
    lines = explain(config).splitlines()
    words = [line.split() for line in lines]
    for source in config.sources.values():
        assert set(source.columns) <= {word[0] for word in words if word}
    told = {word[0]: word for word in words if word}
    assert {spec.name for spec in feature_specs(config)} <= set(told)
    assert set(config.gate) <= set(told)
    assert not any(line != line.rstrip() for line in lines)


def test_an_input_is_told_with_its_type_its_width_and_where_it_comes_from() -> None:
    config = load_config(ROOT / "conf" / "live.toml", ["features.context.position.scored_as=0"])
    told = dict[str, str]()
    for line in filter(None, explain(config).splitlines()):
        told.setdefault(line.split()[0], " ".join(line.split()[1:]))
    assert told["user_key"] == "int32 embedding of 16 the event's user_id"
    assert told["item_level"] == (
        "float32 embedding of 16 of 5 ranges the item's level, as last said before the profile's end"
    )
    assert told["user_category_rate_7d"] == (
        "2 x float32 2 numbers the user's enter per exposure with this category in the last 7 days of the profile, "
        "the prior worth 10"
    )
    assert told["sequence_recent_items"] == (
        "up to 20 int32 mean embedding of 16 the user's last 20 item_id of enter, 7 days back"
    )
    assert told["cross_age_x_category"] == (
        "none of its own one of 1,024 weights user_age_band with item_category, hashed"
    )
    assert told["event_type"].startswith('text field "action", one of show -> exposure, enter_room -> enter, watch')
    assert told["context_position"] == (
        "float32 embedding of 16 of 10 ranges sql position; read in training alone, scored as 0"
    )
    assert told["position"] == 'int field "pos", from 0 to 99'
    assert told["auc"] == "is at least 0.6 and is at most 0.002 below the model in service"


def test_sessions_are_told_where_they_are_declared() -> None:
    overrides = ["sessions.gap_s=1200", "sessions.settle_s=60", 'sessions.events=["enter", "watch"]']
    told = explain(load_config(ROOT / "conf" / "live.toml", overrides))
    assert (
        "\n".join(
            [
                "What is a session",
                "  Events of enter or watch of one user that are at most 20 min apart, from first to last.",
                "  An event that arrives more than 1 min after it happened is left out.",
                "  A session is over, and known, 21 min after its last event.",
            ]
        )
        in told
    )
    assert "What is a session" not in explain(load_config(ROOT / "conf" / "movielens.toml"))


def test_each_kind_of_feature_has_words_of_its_own() -> None:
    said = {
        kind: computed_from("user", Feature(**{kind: KIND.get(kind, "a"), **SPLIT.get(kind, {})})) for kind in KINDS
    }
    assert len(set(said.values())) == len(KINDS)
    assert said["target"] == "a per example of the same item_id in the last 7 days of examples, the prior worth 20"
    code = Feature(column="scene", hash_buckets=1000, scored_as="")
    assert computed_from("context", code) == (
        "the event's scene, hashed to one of 1,000 ids; read in training alone, scored as null"
    )
    assert not any("None" in words for words in said.values())


LABELS: list[tuple[Label | ChosenLabel, str]] = [
    (
        Label(of="show", event="enter", within_s=60, mature_after_s=600),
        "1 for an event show that enter of the same user_id and item_id follows within 1 min, else 0",
    ),
    (
        Label(event="watch", match=("room",), within_s=60, mature_after_s=90, of="show", column="ms", at_least=9),
        "1 for an event show that events watch of the same room follow within 1 min whose ms sum to 9 or more, else 0",
    ),
    (
        Label(of="click", event="click", within_s=60, mature_after_s=60, next=True),
        "1 for an event click whose user's next click, within 1 min, has the same user_id and item_id, else 0",
    ),
    (
        ChosenLabel(of="click", chosen=True, mature_after_s=60),
        "1 for an event click in the log, 0 for what is sampled beside it",
    ),
    (
        ChosenLabel(of="rating", chosen=True, column="stars", at_least=4, mature_after_s=5),
        "1 for an event rating whose own stars is at least 4, else 0, and no feature sees it",
    ),
]


@pytest.mark.parametrize(("label", "words"), LABELS)
def test_a_label_is_told_in_one_sentence(label: Label | ChosenLabel, words: str) -> None:
    told, _, final = label_words(label).partition("; final ")
    assert told == words
    assert final.endswith(f" after the {label.of}.")


def test_what_is_sampled_is_told() -> None:
    said = " ".join(line.strip() for line in explain(sampling_config("popular")).splitlines())
    assert (
        "Beside each exposure stand up to 3 sampled candidates with its user_id, event_time, scene: items of the day "
        "before's enter, none that the user met in the last 1 day, drawn by (1 + events enter of the day before) ^ "
        "0.75; sampling_probability says how likely each was."
    ) in said


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.name)
def test_the_schema_takes_the_configs_of_the_project(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    validate(tomllib.loads(path.read_text()))


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("training.wrkers", 2, "'wrkers' was unexpected"),
        ("training.batch_size", -1, "-1 is less than or equal to the minimum of 0"),
        ("model.kind", "wide_and_deep", "'wide_and_deep' is not one of ['wide_deep'"),
        ("clean.budgets.malfrmed", 0.1, "'malfrmed' is not one of ['invalid_utf8'"),
        ("sources.events.columns.scene.type", "text", "is not one of ['string'"),
        ("labels.enter", {"chosen": True, "mature_after_s": 60, "event": "enter"}, "('event' was unexpected)"),
        ("labels.enter", {"column": "scene", "event": "enter"}, "'mature_after_s' is a required property"),
        ("labels.enter", {"column": "scene", "even": "enter"}, "('even' was unexpected)"),
        ("negatives", {"candidates": "on_air", "popularity": "enter"}, "'per_example' is a required property"),
    ],
)
def test_the_schema_refuses_what_the_config_refuses(place: str, value: Any, fault: str) -> None:
    tables = copy.deepcopy(tomllib.loads((ROOT / "conf" / "live.toml").read_text()))
    inner, (*parents, key) = tables, place.split(".")
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    with pytest.raises(jsonschema.ValidationError) as error:
        validate(tables)
    assert fault in str(error.value)


def validate(tables: dict[str, Any]) -> None:
    """A day of TOML is a text of that form in JSON."""
    jsonschema.validate(json.loads(json.dumps(tables, default=str)), json_schema())


def test_an_editor_shows_what_a_key_means() -> None:
    tables = json_schema()["$defs"]
    assert tables["Source"]["properties"]["header"]["description"].startswith("Whether the first line of a delimited")
    assert tables["Training"]["description"].startswith("How the model is trained")


def job(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.check_config", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_job_explains_or_says_what_is_wrong(tmp_path: Path) -> None:
    shown = job("--no-sql")
    assert (shown.returncode, shown.stdout.splitlines()[0]) == (0, "Product live")
    wrong = job("--no-sql", "--set", "features.user.x={count = 'entr'}")
    assert wrong.returncode == 2
    assert "did you mean 'enter'?" in wrong.stderr
    schema = tmp_path / "config.schema.json"
    assert job("--write-schema", str(schema)).returncode == 0
    assert json.loads(schema.read_text())["$schema"].endswith("2020-12/schema")


def test_the_job_asks_spark_about_sql() -> None:
    wrong = job("--set", "features.context.x={sql = 'hourr(event_time)'}")
    assert wrong.returncode == 2
    assert "$.features.context.x.sql" in wrong.stderr
