"""How a run ends: `reports/run.json` for programs, a short table for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from pipeline.config import Config
from pipeline.days import Day
from pipeline.report.numbers import accounting, fates_of, line_counts, oracle_share, relative, rounded
from pipeline.report.page import write_page
from pipeline.storage import Warehouse, files_at

Lines = Iterator[tuple[str, str]]
"""What a number is called, and the number."""


class Trained(Protocol):
    """What a training left behind."""

    @property
    def version(self) -> str:
        """Cut day and counter."""

    @property
    def folder(self) -> str:
        """Where the artifact lies."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """auc, gauc, logloss, oracle_auc, ..."""

    @property
    def gate(self) -> str:
        """blessed, first or refused."""


def summary(
    config: Config, warehouse: Warehouse, days: Sequence[Day], trained: Trained, baseline: float | None,
    seconds: Mapping[str, float],
) -> str:  # fmt: skip
    """Write `reports/run.json` and the page of the last day; returns the table.

    Counts are lines of the `events` source over all days; the artifact's path begins at the warehouse; floats have 6
    digits. Equal runs give equal bytes but for `seconds_by_step`.
    """
    counted = accounting(warehouse, days)
    numbers = _numbers(config, warehouse, counted, trained, baseline, seconds)
    path = warehouse.path("reports", "run.json")
    files_at(path).write_atomic(path, (json.dumps(numbers, indent=1, sort_keys=True) + "\n").encode())
    page = write_page(config, warehouse, days[-1], {**_for_page(trained, baseline), "seconds_by_step": dict(seconds)})
    return _table([*_data(numbers), *_model(numbers, trained), *_places(warehouse, days[-1], numbers, page)])


def _numbers(
    config: Config, warehouse: Warehouse, counted: Any, trained: Trained, baseline: float | None,
    seconds: Mapping[str, float],
) -> dict[str, Any]:  # fmt: skip
    """What run.json holds."""
    found: dict[str, Any] = rounded(
        {
            "artifact": relative(warehouse, trained.folder),
            **{name: trained.metrics.get(name) for name in ("auc", "gauc", "logloss", "oracle_auc")},
            "baseline_auc": baseline,
            **line_counts(fates_of(counted, config.datasets.events)),
            "seconds_by_step": dict(seconds),
        }
    )
    return found


def _for_page(trained: Trained, baseline: float | None) -> dict[str, Any]:
    return {"artifact": trained.folder, "metrics": trained.metrics, "gate": trained.gate, "baseline_auc": baseline}


def _data(numbers: Mapping[str, Any]) -> Lines:
    """What came in and what became of it."""
    read = numbers["lines_read"]
    yield "lines read", f"{read:,}"
    for name in ("events_kept", "duplicates_dropped", "quarantined"):
        yield f"  {name.replace('_', ' ')}", _with_share(numbers[name], read)
    for rule, lines in numbers["quarantined_by_rule"].items():
        yield f"    {rule}", _with_share(lines, read)


def _model(numbers: Mapping[str, Any], trained: Trained) -> Lines:
    """What was learnt, against what could be."""
    metrics = trained.metrics
    for name in ("training_rows", "evaluation_rows"):
        if name in metrics:
            yield name.replace("_", " "), f"{metrics[name]:,}"
    yield "AUC", f"{_metric(numbers['auc'])}{_oracle(numbers)}"
    yield "  gradient-boosted trees", _metric(numbers["baseline_auc"], "scikit-learn is not installed")
    yield "GAUC", f"{_metric(numbers['gauc'])}{_judged_users(metrics)}"
    yield "log loss", _metric(numbers["logloss"])
    yield "gate", trained.gate
    yield "seconds", f"{sum(numbers['seconds_by_step'].values()):,.0f}"


def _places(warehouse: Warehouse, day: Day, numbers: Mapping[str, Any], page: str) -> Lines:
    yield "model", numbers["artifact"]
    yield "lists", relative(warehouse, warehouse.folder("recommendations", day))
    yield "page", relative(warehouse, page)
    yield "numbers", relative(warehouse, warehouse.path("reports", "run.json"))
    yield "all of them in", warehouse.root


def _oracle(numbers: Mapping[str, Any]) -> str:
    share = oracle_share(numbers["auc"], numbers["oracle_auc"])
    return "" if share is None else f"  {share:.1%} of the way from chance to the oracle's {numbers['oracle_auc']:.4f}"


def _judged_users(metrics: Mapping[str, Any]) -> str:
    return f"  over {metrics['gauc_users']:,} users with both classes" if "gauc_users" in metrics else ""


def _metric(value: float | None, absent: str = "not known") -> str:
    return absent if value is None else f"{value:.4f}"


def _with_share(lines: int, read: int) -> str:
    return f"{lines:>11,}  {lines / read:7.3%}" if read else f"{lines:>11,}"


def _table(lines: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)
