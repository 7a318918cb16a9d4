"""A product with a base reads the base's events, profiles and vocabularies, and writes only its own."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline import road
from pipeline.compaction import datasets as published_by
from pipeline.config import Config, load_config
from pipeline.config.explain import explain
from pipeline.config.schema import json_schema
from pipeline.days import add_days
from pipeline.errors import ConfigError, MissingInput, Refused
from pipeline.runner import Runner
from pipeline.storage import OF_THE_BASE, Warehouse
from pipeline.table_road import data_steps, step_named
from tests.forget.product import datasets, deliver
from tests.steps.rows import FIRST, TABLES

LIVE = Path(__file__).parent.parent / "conf" / "live.toml"
SECOND = add_days(FIRST, 1)
MINE = """
[product]
name = "mine"
base = "live"

[labels.gift]
event = "gift"
match = ["user_id", "room_id"]
within_s = 600
mature_after_s = 900

[features.user]
key = { column = "user_id" }
spend_7d = { sum = "gift.amount", window_days = 7 }
category_rate_7d = { rate = ["enter", "exposure"], by = "category", window_days = 7, smoothing = 4 }
[features.item]
category = { attribute = "category" }
gifts_7d = { rate = ["gift", "enter"], window_days = 7 }

[training]
label = "gift"
[gate]
auc = { at_least = 0.5 }
"""


def mine(folder: Path, text: str = MINE, *overrides: str) -> Config:
    (folder / "live.toml").write_text(LIVE.read_text())
    (folder / "mine.toml").write_text(text)
    return load_config(folder / "mine.toml", overrides)


def test_what_the_base_says_is_said_for_both(tmp_path: Path) -> None:
    base = load_config(LIVE)
    config = mine(tmp_path, MINE, f"product.warehouse={tmp_path}/w", "training.days=3", "clean.lookback_days=5")
    assert (config.sources, config.datasets) == (base.sources, base.datasets)
    assert config.base.clean == config.clean == base.clean.model_copy(update={"lookback_days": 5})
    assert config.product.warehouse == config.base.product.warehouse == f"{tmp_path}/w"
    assert (config.product.zone, config.product.first_day) == (base.product.zone, base.product.first_day)
    assert (config.training.days, config.base.training.days) == (3, base.training.days)
    assert config.command("day") == (
        f"make day CONF={tmp_path}/mine.toml SET='product.warehouse={tmp_path}/w training.days=3 clean.lookback_days=5'"
    )
    assert f"CONF={tmp_path}/live.toml" in config.base.command("day")
    assert "user_id 3" in explain(config), "the base's vocabulary"
    assert "are those of 'live', which are read, never written" in explain(config)
    assert "base" in json.dumps(json_schema())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINE.replace('base = "live"', 'base = "live"\nfirst_day = 2026-01-01'), r"product\.first_day: the base says"),
        (MINE + "[clean]\nlookback_days = 3\n", r"mine\.toml has 1 fault.*\n  \$\.clean: the base says that; leave it"),
        (MINE.replace('base = "live"', 'base = "none"'), r"cannot read the config .*none\.toml"),
        (MINE.replace('"gift.amount", window_days = 7', '"gift.amount", window_days = 3'),
         r"\$\.features\.user\.spend_7d: needs sum_amount_gift over 3 days, which base 'live' does not sum"),
        (MINE.replace('by = "category"', 'by = "scene"'),
         r"rate_7d: needs count_exposure over 7 days by scene, which base 'live' does not sum\nAdd such a feature"),
        (MINE.replace('key = { column = "user_id" }', 'last = { last = "gift", by = "item_id" }'),
         r"\$\.features\.user\.last: needs latest_item_id_gift"),
        (MINE.replace('key = { column = "user_id" }', 'since = { since = "gift" }'), r"user\.since: needs last_gift"),
        (MINE.replace('key = { column = "user_id" }', 'room = { column = "room_id" }'),
         r"\$\.features: need vocabulary 'room_id', which base 'live' does not number"),
        (MINE.replace("[gate]", "[gaet]"), r"mine\.toml has .*\n  \$\.gate: is missing"),
    ],
)  # fmt: skip
def test_what_the_base_does_not_make_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        mine(tmp_path, text)


def test_a_base_has_none_itself_and_is_called_as_its_file(tmp_path: Path) -> None:
    mine(tmp_path)
    for name, text in (("other", MINE.replace('"mine"', '"other"').replace('"live"', '"mine"')),):
        (tmp_path / f"{name}.toml").write_text(text)
        with pytest.raises(
            ConfigError, match=r"\$\.product\.base: .*mine\.toml must be the TOML of the product 'mine'"
        ):
            load_config(tmp_path / f"{name}.toml")


def test_the_base_s_steps_are_left_to_the_base(tmp_path: Path) -> None:
    config = mine(tmp_path)
    assert [step.name for step in data_steps(config)] == ["build_examples", "build_statistics"]
    assert set(published_by(config)) == {"examples/gift", "statistics", "recommendations"}
    for name in ("CLEAN", "DAILY", "PROFILES", "VOCAB"):
        with pytest.raises(
            ConfigError, match=r"is done for the base, 'live', alone: make backfill .*CONF=.*live\.toml"
        ):
            step_named(config, name)
    assert step_named(config, "EXAMPLES") is road.EXAMPLES


def test_every_dataset_of_a_road_is_somebody_s(tmp_path: Path) -> None:
    own, base = set(published_by(mine(tmp_path))), published_by(load_config(LIVE))
    for name in base:
        assert (name.partition("/")[0] in OF_THE_BASE) == (
            name.partition("/")[0] not in {o.partition("/")[0] for o in own}
        )


def toml(value: Any) -> str:
    """A value, tables inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, datetime.date) else json.dumps(value)


def written(folder: Path, **tables: Any) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in tables.items())
    (folder / f"{tables['product']['name']}.toml").write_text(text + "\n")


def test_examples_have_what_the_base_s_own_would_have(spark: SparkSession, tmp_path: Path) -> None:
    product = {**TABLES["product"], "warehouse": str(tmp_path / "w")}
    base_tables: dict[str, Any] = {**TABLES, "vocabularies": {}, "product": product}
    base_tables["sources"] = json.loads(json.dumps(TABLES["sources"]).replace("*.json", "*.json*"))
    features = {"user": {name: TABLES["features"]["user"][name] for name in ("key", "category_rate_3d", "city")},
                "item": {"watch_1d": TABLES["features"]["item"]["watch_1d"]}}  # fmt: skip
    written(tmp_path, **base_tables)
    derived = {"labels": TABLES["labels"], "features": features, "training": {"label": "watch"}, "gate": TABLES["gate"]}
    written(tmp_path, product={"name": "second", "base": "toy"}, **derived)
    base, second = load_config(tmp_path / "toy.toml"), load_config(tmp_path / "second.toml")
    ours, theirs = Runner(second, spark), Runner(base, spark)
    for day in (FIRST, SECOND):
        deliver(base, day)
    with pytest.raises(MissingInput, match=r"build_examples needs .*events.*make backfill FROM=2026-01-01.*toy\.toml"):
        ours.run(road.EXAMPLES, SECOND)
    with pytest.raises(Refused, match="is the base's, product 'toy'; 'second' reads it"):
        ours.run(road.CLEAN, FIRST)
    for step in (road.CLEAN, road.DAILY, road.PROFILES, road.VOCAB):
        theirs.run(step, FIRST)
    theirs.run(road.CLEAN, SECOND)
    theirs.run(road.EXAMPLES, SECOND)
    before = datasets(base)
    for step in data_steps(second):
        assert not ours.run(step, SECOND).skipped
        assert ours.run(step, SECOND).skipped
    (own,) = [rows for (name, _), rows in datasets(second).items() if name == "examples/watch"]
    whole = {row["example_id"]: row for row in before["examples/enter", SECOND]}
    assert own == [{name: whole[row["example_id"]][name] for name in row} for row in own]
    assert len(own) == len(whole) > 50 and any(row["user_key"] > 2 for row in own)
    assert datasets(base) == before
    root = Path(Warehouse.of(second).path())
    assert sorted(path.name for path in root.iterdir()) == ["examples", "reports", "statistics"]
