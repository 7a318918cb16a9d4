"""A small product whose examples and vocabularies are made up: what enters is known, and so is its probability."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import Config, parse_config
from pipeline.days import Day
from pipeline.schemas import examples
from pipeline.storage import Manifest, Warehouse, describe_file, digest_of, write_manifest

FIRST = datetime.date(2026, 1, 1)
DAYS = [FIRST + datetime.timedelta(days=n) for n in range(4)]
ROWS, EARLY = 1500, 100
USERS, ITEMS = 60, 40
FEATURES: dict[str, Any] = {
    "user": {"key": {"column": "user_id"}, "exposures_7d": {"count": "exposure"}},
    "item": {"key": {"column": "item_id"}, "enter_rate_7d": {"rate": ["enter", "exposure"]}},
    "context": {"position": {"sql": "position", "edges": [1, 2, 3]}},
    "sequence": {"recent_items": {"of": "item_id", "events": ["enter"], "last": 3}},
}
TYPES = {"string": pa.string(), "float": pa.float32(), "int": pa.int32(), "array<int>": pa.list_(pa.int32()),
         "timestamp": pa.timestamp("us", tz="UTC")}  # fmt: skip


def small_config(features: dict[str, Any] | None = None, gate: dict[str, Any] | None = None, **training: Any) -> Config:
    """The demonstration product with few features, two days to learn from and one to judge on."""
    tables = tomllib.loads((Path(__file__).parents[2] / "conf" / "live.toml").read_text())
    tables["features"] = features or FEATURES
    tables["gate"] = gate or {"auc": {"at_least": 0.6}}
    tables["model"] = {"kind": "wide_deep", "embedding_dim": 4, "hidden": [8]}
    optimizer = {"kind": "adam", "learning_rate": 0.01, "tables": {"kind": "rowwise_adagrad", "learning_rate": 0.05}}
    small = {"days": 2, "evaluation_days": 1, "batch_size": 64, "shards": 4, "optimizer": optimizer}
    tables["training"] |= {**small, **training}
    return parse_config(tables)


def publish(warehouse: Warehouse, dataset: str, day: Day, table: pa.Table, rows_per_group: int = 400) -> None:
    """One file and its manifest."""
    folder = warehouse.folder(dataset, day)
    Path(folder).mkdir(parents=True)
    pq.write_table(table, f"{folder}/part.parquet", row_group_size=rows_per_group)
    entry = describe_file(folder, "part.parquet", table.num_rows)
    digest = digest_of(entry.sha256)[:16]
    empty = {"run": "r", "schema": {}, "inputs": (), "key": "", "config_hash": "", "code_version": ""}
    names = {"dataset": dataset, "product": warehouse.product, "dt": str(day), "origin": "simulated"}
    fields: dict[str, Any] = {**names, **empty, "content_digest": digest}
    write_manifest(folder, Manifest(files=(entry,), rows=table.num_rows, **fields))


def publish_day(config: Config, warehouse: Warehouse, day: Day) -> None:
    """A day of examples with its truth, of which the first EARLY exposures are of the evening before, and vocabularies.

    Every item has an appeal of its own; the nearer to the top it stands, the likelier it is entered.
    """
    rng = np.random.default_rng(day.day)
    item, user, position = (rng.integers(0, high, ROWS) for high in (ITEMS, USERS, 5))
    appeal = np.random.default_rng(9).normal(0, 1.5, ITEMS)
    p = 1 / (1 + np.exp(-(appeal[item] - 0.4 * position)))
    entered = rng.uniform(size=ROWS) < p
    ids = [f"{day}-{n}" for n in range(ROWS)]
    noon = datetime.datetime.combine(day, datetime.time(4), tzinfo=datetime.UTC)
    columns: dict[str, Any] = {
        "example_id": ids,
        "user_id": [f"u{n}" for n in user],
        "event_time": [noon - datetime.timedelta(days=1)] * EARLY + [noon] * (ROWS - EARLY),
        "weight": np.where(np.arange(ROWS) % 3 == 0, 2.0, 1.0),
        "label_enter": entered.astype(float),
        "user_key": user + 3,
        "item_key": item + 3,
        "user_exposures_7d": [None if n % 7 == 0 else float(n % 50) for n in range(ROWS)],
        "item_enter_rate_7d__num": np.round(50 / (1 + np.exp(-appeal[item]))),
        "item_enter_rate_7d__den": np.full(ROWS, 50.0),
        "context_position": position.astype(float),
        "sequence_recent_items": [[int(i) + 3] * (n % 5) for n, i in enumerate(item)],
    }
    declared = examples(config)
    table = pa.table(
        {name: pa.array(columns.get(name, _nothing(type_)), TYPES[type_]) for name, type_ in declared.items()}
    )
    publish(warehouse, "examples/enter", day, table)
    truth = pa.table({"example_id": ids[::-1], "p_true": p[::-1], "entered": entered[::-1]})
    publish(warehouse, "truth/exposures", day, truth)
    publish_vocabulary(warehouse, "user_id", day, [f"u{n}" for n in range(USERS)])
    publish_vocabulary(warehouse, "item_id", day, [f"s{n}" for n in range(ITEMS)])


def publish_vocabulary(warehouse: Warehouse, name: str, day: Day, values: Sequence[str]) -> None:
    """A snapshot in which the values have ids from 3 on; rows in another order, with a value below min_count."""
    rows = [*enumerate(values, start=3)][::-1]
    columns = {"value": [v for _, v in rows] + ["rare"], "id": pa.array([i for i, _ in rows] + [None], pa.int32())}
    publish(warehouse, f"vocab/{name}", day, pa.table(columns))


def small_product(root: Path, config: Config | None = None) -> Warehouse:
    """All of DAYS, published."""
    warehouse = Warehouse(str(root), "live")
    for day in DAYS:
        publish_day(config or small_config(), warehouse, day)
    return warehouse


def _nothing(type_: str) -> list[Any]:
    return [{"string": "", "float": 0.0, "int": 2, "array<int>": []}.get(type_)] * ROWS
