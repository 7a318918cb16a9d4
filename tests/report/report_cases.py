"""A small warehouse with two days of events and examples, a model and its curve, written without any job."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import Config, load_config
from pipeline.storage import Manifest, Warehouse, describe_file, write_manifest

DAYS = (datetime.date(2026, 1, 1), datetime.date(2026, 1, 2))
FATES = (
    {"kept": 90, "duplicate": 4, "malformed": 3, "future_clock": 2, "blank": 1},
    {"kept": 80, "duplicate": 5, "malformed": 7, "header": 2},
)
METRICS = {
    "auc": 0.7123456789, "gauc": 0.65, "gauc_users": 1200, "logloss": 0.4321, "oracle_auc": 0.78, "training_rows": 4000,
    "evaluation_rows": 1500, "calibration": [{"predicted": 0.1, "observed": 0.12, "weight": 700.0},
                                             {"predicted": 0.3, "observed": 0.29, "weight": 800.0}],
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """What a training hands over."""

    folder: str
    version: str = "2026010101"
    gate: str = "first"
    metrics: Mapping[str, Any] = field(default_factory=lambda: METRICS)


def product() -> Config:
    """The demonstration product."""
    return load_config(Path(__file__).parents[2] / "conf" / "live.toml")


def fill(warehouse: Warehouse, extra: Mapping[str, int] | None = None) -> Trained:
    """Write both days and the model; `extra` are more fates of the second day."""
    for day, fates in zip(DAYS, (FATES[0], {**FATES[1], **(extra or {})}), strict=True):
        counted = {"events": fates, "rooms": {"kept": 7}}
        publish(warehouse.folder("events", day), "events", str(day), extra={"accounting": counted})
        examples(warehouse, day)
    return model(warehouse)


def examples(warehouse: Warehouse, day: datetime.date) -> None:
    """Four rows, a quarter of their weight positive."""
    folder = warehouse.folder("examples/enter", day)
    Path(folder).mkdir(parents=True)
    labels = pa.table({"label_enter": pa.array([1, 0, 0, 0], "float32"), "weight": pa.array([1, 1, 2, 0], "float32")})
    pq.write_table(labels, f"{folder}/part.parquet")
    Path(folder, "left-over.parquet").write_bytes(b"of a killed job")
    publish(folder, "examples/enter", str(day), files=("part.parquet",))


def model(warehouse: Warehouse) -> Trained:
    """An artifact's manifest, verdict and learning curve."""
    folder = warehouse.path("models", "wide_deep", "2026010101")
    publish(folder, "models", str(DAYS[0]), run="abc")
    check = {
        "metric": "auc", "condition": "at_least", "threshold": 0.6, "candidate": 0.7123, "service": None,
        "change": None, "bound": None, "passed": True,
    }  # fmt: skip
    verdict = {"outcome": "first", "reasons": ["nothing <b>in service</b>"], "checks": [check]}
    Path(folder, "gate.json").write_text(json.dumps(verdict))
    Path(folder, "metrics.json").write_text(json.dumps(METRICS))
    curve = Path(warehouse.path("checkpoints", "wide_deep", "abc"), "curve.jsonl")
    curve.parent.mkdir(parents=True)
    curve.write_text('{"step": 0, "loss": 0.7}\n{"step": 1, "loss": 0.6}\n{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    return Trained(folder)


def publish(
    folder: str, dataset: str, day: str, files: tuple[str, ...] = (), run: str = "r", extra: Any = None
) -> None:
    """Commit what lies in a folder."""
    entries = tuple(describe_file(folder, name, 4) for name in files)
    write_manifest(
        folder, Manifest(dataset, "live", day, "simulated", run, entries, 0, {}, "", (), "", "", "", extra or {})
    )
