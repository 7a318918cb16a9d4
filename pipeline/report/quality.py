"""What a day's page says of its data: the verdict, rows a dataset, nulls and unknown ids, drift, labels in time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.config import Config
from pipeline.days import Day
from pipeline.statistics.bins import LEAST_EXPONENT, PER_OCTAVE, edge
from pipeline.statistics.columns import TABLES, dataset_of
from pipeline.statistics.judge import Finding, Verdict, judge
from pipeline.statistics.published import ColumnStatistics, DayStatistics, read_statistics
from pipeline.storage import Warehouse, files_at, has_manifest, read_manifest

DRAWN = 6
"""Histograms of the columns that changed most."""
DATASETS = (
    "events",
    "quarantine",
    "rooms",
    "attributes",
    "sessions",
    "daily",
    "profiles",
    "vocab",
    "examples",
    "recommendations",
)
"""What a day has rows of; some hold one dataset for each entity, column or label."""


def quality(config: Config, warehouse: Warehouse, day: Day) -> dict[str, Any]:
    """Everything, as JSON; the lists are empty where nothing was published."""
    verdict = judge(config, warehouse, day)
    found = [read_statistics(warehouse, one) for one in verdict.reference_days]
    today, before = read_statistics(warehouse, day) or {}, [one for one in found if one is not None]
    return {
        "verdict": _verdict(verdict),
        "rows": list(_rows(warehouse, day, verdict.reference_days)),
        "columns": [_column(column, [one[key] for one in before if key in one]) for key, column in today.items()],
        "drift": [_finding(finding) for state in ("fail", "warn", "same") for finding in verdict.of(state)],
        "histograms": _worst(verdict),
        "labels": list(_labels(config, today, before)),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome,
        "not_judged": verdict.not_judged,
        "reference_days": [str(day) for day in verdict.reference_days],
        "checks": len(verdict.findings),
        "failed": len(verdict.of("fail")),
        "warned": len(verdict.of("warn")),
    }


def _rows(warehouse: Warehouse, day: Day, reference: Sequence[Day]) -> Iterator[dict[str, Any]]:
    """Rows of every dataset of the day, and of the reference days on the mean."""
    for dataset in _datasets(warehouse):
        rows = _published_rows(warehouse, dataset, day)
        known = [count for one in reference if (count := _published_rows(warehouse, dataset, one)) is not None]
        if rows is not None:
            yield {"dataset": dataset, "rows": rows, "reference": sum(known) / len(known) if known else None}


def _datasets(warehouse: Warehouse) -> Iterator[str]:
    storage = files_at(warehouse.path())
    for name in DATASETS:
        inside = sorted(storage.names(warehouse.path(name)))
        if any(entry.startswith("dt=") for entry in inside):
            yield name
        else:
            yield from (f"{name}/{entry}" for entry in inside)


def _published_rows(warehouse: Warehouse, dataset: str, day: Day) -> int | None:
    folder = warehouse.folder(dataset, day)
    return read_manifest(folder).rows if has_manifest(folder) else None


def _column(column: ColumnStatistics, before: Sequence[ColumnStatistics]) -> dict[str, Any]:
    """What is counted of a column, and its rates on the reference days together."""
    rows = sum(one.rows for one in before)
    return {
        "dataset": column.dataset,
        "column": column.column,
        "kind": column.kind,
        "distinct": column.distinct,
        "null_rate": column.null_rate,
        "null_rate_before": sum(one.nulls for one in before) / rows if rows else None,
        "unknown_rate": column.unknown_rate,
        "unknown_rate_before": sum(one.unknown or 0 for one in before) / rows
        if rows and column.unknown is not None
        else None,
        "median": column.quantiles[3] if column.quantiles else None,
        "min": column.min,
        "max": column.max,
        "most_frequent": next(iter(column.top), None),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "state": finding.state,
        "dataset": finding.dataset,
        "column": finding.column or "",
        "check": finding.check,
        "value": finding.value if math.isfinite(finding.value) else None,
        "reference": finding.reference,
        "day": finding.day,
        "warn": finding.level.warn,
        "fail": finding.level.fail,
    }


def _worst(verdict: Verdict) -> list[dict[str, Any]]:
    """Shares by group of the columns with the greatest index."""
    drawn = sorted((f for f in verdict.findings if f.groups), key=lambda f: (-f.value, f.dataset, f.column or ""))
    return [{"name": f"{f.dataset}.{f.column}", "psi": f.value, "groups": _shares(f)} for f in drawn[:DRAWN]]


def _shares(finding: Finding) -> list[dict[str, Any]]:
    references = sum(group.reference for group in finding.groups) or 1
    days = sum(group.day for group in finding.groups) or 1
    kept = [group for group in finding.groups if group.reference or group.day]
    return [{"name": group.name, "reference": group.reference / references, "day": group.day / days} for group in kept]


def _labels(config: Config, today: DayStatistics, before: Sequence[DayStatistics]) -> Iterator[dict[str, Any]]:
    """For every label, the share of its positives that could be known so many seconds after the exposure."""
    for name, label in config.event_labels.items():
        key = (dataset_of(config, TABLES[1]), f"known_after_s_{name}")
        if key in today and today[key].rows:
            earlier: Counter[int] = Counter()
            for one in before:
                earlier.update(one[key].histogram if key in one else {})
            points = _points(label.mature_after_s)
            yield {
                "label": name,
                "positives": today[key].rows,
                "after_s": points,
                "known": _known(today[key].histogram, points),
                "known_before": _known(earlier, points),
            }


def _points(last_s: int) -> list[float]:
    """Four a doubling from one second on: ends of bins, so that the shares are exact; then when the label is final."""
    first, step = -LEAST_EXPONENT * PER_OCTAVE + 1, PER_OCTAVE // 4
    inside = (edge(number) for number in range(first, first + 63 * PER_OCTAVE, step))
    return [*(point for point in inside if point < last_s), float(last_s)]


def _known(histogram: Mapping[int, int], points: Sequence[float]) -> list[float]:
    """Share of the rows below each point; all of them by the last."""
    total = sum(histogram.values())
    if not total:
        return []
    below = [sum(rows for number, rows in histogram.items() if edge(number) < point) for point in points]
    return [count / total for count in (*below[:-1], total)]
