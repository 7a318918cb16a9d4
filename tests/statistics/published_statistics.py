"""Statistics of days, made from plain values by a count of its own and published without Spark."""

from __future__ import annotations

import datetime
import math
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import Config, parse_config
from pipeline.days import Day
from pipeline.statistics.columns import BINNED, LISTED, Kind
from pipeline.storage import Manifest, Warehouse, describe_file, write_manifest

FIRST = datetime.date(2026, 1, 1)
CONF = Path(__file__).parents[2] / "conf" / "live.toml"
PAIR = pa.list_(pa.struct([("bin", pa.int32()), ("count", pa.int64())]))
TOP = pa.list_(pa.struct([("value", pa.string()), ("count", pa.int64())]))
SCHEMA = pa.schema([
    ("dataset", pa.string()), ("column", pa.string()), ("kind", pa.string()),
    *((name, pa.int64()) for name in ("rows", "nulls", "distinct")), ("min", pa.string()), ("max", pa.string()),
    ("unknown", pa.int64()), ("positive", pa.int64()), ("quantiles", pa.list_(pa.float64())), ("histogram", PAIR),
    ("top", TOP),
])  # fmt: skip
EXAMPLES = pa.table({
    "event_time": pa.array([datetime.datetime(2026, 1, 1, 5, tzinfo=datetime.UTC)], pa.timestamp("us", "UTC")),
    "user_city": [1], "label_enter": [1.0], "weight": [1.0],
})  # fmt: skip
"""The one row of events and of examples."""
Row = dict[str, Any]


def bin_of(x: float) -> int:
    """The bin of an ordinary number."""
    mantissa, exponent = math.frexp(abs(x))
    place = 0 if not x else (exponent + 19) * 16 + math.floor(mantissa * 32 - 16) + 1
    return -place if x < 0 else place


def row(dataset: str, column: str, kind: Kind, values: Sequence[Any]) -> Row:
    """What is published of a column with these values (None is null)."""
    present = [value for value in values if value is not None]
    bins, texts = Counter(map(bin_of, present)) if kind in BINNED else {}, Counter(map(str, present))
    top = sorted(texts.items(), key=lambda entry: (-entry[1], entry[0].encode()))[:100] if kind in LISTED else []
    return {
        "dataset": dataset, "column": column, "kind": kind, "rows": len(values), "nulls": len(values) - len(present),
        "distinct": len(texts), "min": None, "max": None, "quantiles": [],
        "unknown": sum(value == 2 for value in present) if kind == "id" else None,
        "positive": sum(value > 0 for value in present) if kind == "label" else None,
        "histogram": [{"bin": number, "count": bins[number]} for number in sorted(bins)],
        "top": [{"value": value, "count": count} for value, count in top],
    }  # fmt: skip


def publish(warehouse: Warehouse, day: Day, rows: Sequence[Row]) -> None:
    """The statistics of a day."""
    for dataset in ("events", "examples/enter"):
        if not Path(warehouse.folder(dataset, day)).exists():
            _commit(warehouse, day, dataset, EXAMPLES)
    _commit(warehouse, day, "statistics", pa.Table.from_pylist(list(rows), SCHEMA))


def _commit(warehouse: Warehouse, day: Day, dataset: str, table: pa.Table) -> None:
    folder = Path(warehouse.folder(dataset, day))
    (folder / "data-0").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "data-0" / "part-00000.parquet")
    entry = describe_file(str(folder), "data-0/part-00000.parquet", table.num_rows)
    write_manifest(str(folder), Manifest(dataset, "live", str(day), "simulated", "0", (entry,), table.num_rows, {},
                                         "0" * 16, (), "k", "", ""))  # fmt: skip


def product(folder: Path, *settings: str) -> Config:
    """The demonstration product with its [drift] replaced by three reference days and these settings."""
    tables = tomllib.loads(CONF.read_text())
    tables["product"]["warehouse"], tables["drift"] = str(folder), {"reference_days": 3}
    for setting in settings:
        *parents, key = setting.partition("=")[0].split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
        table[key] = tomllib.loads(f"value = {setting.partition('=')[2]}")["value"]
    return parse_config(tables)
