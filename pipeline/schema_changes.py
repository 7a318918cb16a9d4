"""How the columns that a config declares differ from those of days published earlier, and how a person is told.

A column that is declared anew changes nothing that was published. One that is gone, or has another type, would make
two tables of one dataset: that is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.days import Day
from pipeline.schemas import Columns


@dataclass(frozen=True)
class ColumnChange:
    """A column that the published days have otherwise than it is declared now; `now` is None where it is gone."""

    name: str
    published: str
    now: str | None


def column_changes(published: Mapping[str, str], declared: Columns) -> tuple[ColumnChange, ...]:
    """Every column that was published and is now gone or of another type."""
    return tuple(
        ColumnChange(name, type_, declared.get(name))
        for name, type_ in published.items()
        if declared.get(name) != type_
    )


def changes_told(changed: Mapping[tuple[str, Day], tuple[ColumnChange, ...]], rebuild: str) -> str:
    """One table a dataset and kind of change; the ways out, `rebuild` being the command that builds the days again."""
    days: dict[tuple[str, tuple[ColumnChange, ...]], list[Day]] = {}
    for (dataset, day), changes in sorted(changed.items()):
        days.setdefault((dataset, changes), []).append(day)
    lines = []
    for (dataset, changes), of in days.items():
        span = f"dt={of[0]}" if len(of) == 1 else f"dt={of[0]} .. dt={of[-1]}"
        lines += [f"{dataset}/{span} has other columns than the config declares now:", *_table(changes)]
    way_out = (
        "Declare them as they were (what has another type now gets another name; $.sources.*.columns), "
        f"or build those days again from their raw files: {rebuild}"
    )
    return "\n".join([*lines, way_out])


def _table(changes: tuple[ColumnChange, ...]) -> list[str]:
    rows = [("column", "published", "declared")]
    rows += [(change.name, change.published, change.now or "gone") for change in changes]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
