"""The numbers that a report shows, gathered from manifests, examples and the artifact; no number is made up here.

What is not there (no model yet, no truth, no curve) is None or empty, and the page says so.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import Config
from pipeline.days import Day
from pipeline.storage import Warehouse, data_files, files_at, has_manifest, read_manifest, serving_version

KEPT, DUPLICATE = "kept", "duplicate"
NO_LINES = ("blank", "header", "comment", "not_before")
"""Fates of lines that are none of the rows."""

Accounting = dict[str, dict[str, dict[str, int]]]
"""Day -> source -> fate -> lines."""


def accounting(warehouse: Warehouse, days: Iterable[Day]) -> Accounting:
    """What became of every line, from the manifests of the events."""
    folders = {str(day): warehouse.folder("events", day) for day in days}
    return {
        day: {source: dict(sorted(fates.items())) for source, fates in sorted(_accounted(folder).items())}
        for day, folder in folders.items()
        if has_manifest(folder)
    }


def _accounted(folder: str) -> Mapping[str, Mapping[str, int]]:
    found: Mapping[str, Mapping[str, int]] = read_manifest(folder).extra.get("accounting", {})
    return found


def damaged_files(warehouse: Warehouse, days: Iterable[Day]) -> list[dict[str, str]]:
    """The raw files that the days were cleaned without."""
    folders = {str(day): warehouse.folder("events", day) for day in days}
    return [
        {"day": day, "source": source, "file": path, "said": said}
        for day, folder in folders.items()
        if has_manifest(folder)
        for source, files in sorted(read_manifest(folder).extra.get("damaged_files", {}).items())
        for path, said in sorted(files.items())
    ]


def fates_of(counted: Accounting, source: str) -> dict[str, int]:
    """Lines of one source by fate over all days, sorted by name."""
    total: dict[str, int] = {}
    for sources in counted.values():
        for fate, lines in sources.get(source, {}).items():
            total[fate] = total.get(fate, 0) + lines
    return dict(sorted(total.items()))


def line_counts(fates: Mapping[str, int]) -> dict[str, Any]:
    """lines_read = events_kept + duplicates_dropped + quarantined; blank lines and headers are no lines of data."""
    rules = {fate: lines for fate, lines in sorted(fates.items()) if fate not in (KEPT, DUPLICATE, *NO_LINES)}
    kept, dropped, quarantined = fates.get(KEPT, 0), fates.get(DUPLICATE, 0), sum(rules.values())
    return {
        "lines_read": kept + dropped + quarantined,
        "events_kept": kept,
        "duplicates_dropped": dropped,
        "quarantined": quarantined,
        "quarantined_by_rule": rules,
    }


def label_rates(config: Config, warehouse: Warehouse, days: Iterable[Day]) -> list[dict[str, Any]]:
    """Rows and mean label of each day of examples, by weight."""
    label = config.training.label
    folders = {str(day): warehouse.folder(f"examples/{label}", day) for day in days}
    return [
        {"day": day, **_label_rate(folder, f"label_{label}")} for day, folder in folders.items() if has_manifest(folder)
    ]


def _label_rate(folder: str, column: str) -> dict[str, Any]:
    rows, weight, positive = 0, 0.0, 0.0
    for path in data_files(folder):
        with files_at(path).open(path) as file:
            table = pq.ParquetFile(file).read(columns=[column, "weight"])
        weights, labels = (table[name].cast("float64") for name in ("weight", column))
        rows += table.num_rows
        weight += pc.sum(weights).as_py() or 0.0
        positive += pc.sum(pc.multiply(weights, labels)).as_py() or 0.0
    return {"rows": rows, "rate": positive / weight if weight else None}


def serving_model(config: Config, warehouse: Warehouse, day: Day) -> str | None:
    """The folder of the model that serves on the day; None when there is none."""
    folder = warehouse.path("models", config.model.kind)
    version = serving_version(folder, day)
    return None if version is None else f"{folder}/{version}"


def artifact_json(folder: str | None, name: str) -> dict[str, Any]:
    """A JSON file of the artifact; empty when it has none."""
    if folder is None or not files_at(folder).exists(f"{folder}/{name}"):
        return {}
    content: dict[str, Any] = json.loads(files_at(folder).read(f"{folder}/{name}"))
    return content


def learning_curve(config: Config, warehouse: Warehouse, folder: str | None) -> list[dict[str, float]]:
    """Steps and losses that this artifact's training wrote down, by step; what a resumed run repeats comes once."""
    if folder is None or not has_manifest(folder):
        return []
    path = warehouse.path("checkpoints", config.model.kind, read_manifest(folder).run, "curve.jsonl")
    if not files_at(path).exists(path):
        return []
    points = {point["step"]: point for point in _json_lines(files_at(path).read(path)) if "loss" in point}
    return [{"step": step, "loss": points[step]["loss"]} for step in sorted(points)]


def _json_lines(content: bytes) -> Iterator[dict[str, float]]:
    """Whole lines; the last one of a killed run may be cut."""
    for line in content.splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def oracle_share(auc: float | None, oracle: float | None) -> float | None:
    """How much of what can be known is known: (auc - 0.5) / (oracle - 0.5)."""
    if auc is None or oracle is None or oracle <= 0.5:
        return None
    return (auc - 0.5) / (oracle - 0.5)


def rounded(value: Any) -> Any:
    """The same JSON with floats at 6 digits after the point, so that equal runs give equal bytes."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {str(key): rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list | tuple) else value


def relative(warehouse: Warehouse, path: str) -> str:
    """A path without the part that only this machine has: from the warehouse's root on."""
    return path.removeprefix(f"{warehouse.root}/")
