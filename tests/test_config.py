"""A config with faults is refused with all of them, each with its place and the way out."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config, load_config, parse_config
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
        ("training", {"label": "like"}, "$.training.label is 'like'; declared labels are ['enter']"),
        ("datasets", {"events": "event"}, "$.datasets.events names source 'event'"),
        ("gate", {"auc": {}}, "a gate without a threshold never refuses anything"),
        (
            "features",
            {"cross": {"x": {"of": ["user_id", "nobody"], "buckets": 9}}},
            "$.features.cross.x.of names 'nobody'",
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
        ("features", {"user": {"id": {"column": "user_id"}}}, "$.features.user.id would be column user_id"),
        ("features", {"user": {"x": {"count": "a", "rate": ["a", "b"]}}}, "needs exactly one of column, attribute"),
    ],
)
def test_what_does_not_fit_together_is_named(
    tables: dict[str, Any], section: str, change: dict[str, Any], fault: str
) -> None:
    tables[section] |= change
    assert any(fault in line for line in faults(tables)), faults(tables)


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
