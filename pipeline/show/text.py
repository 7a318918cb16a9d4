"""What is shown as text or JSON: a table for a list of rows, a line for anything else."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

from pipeline.words import table

MOST_ROWS = 20
"""A table of rows on a screen ends here; JSON has all."""
WHOLE = ("features", "recomputed")
"""Tables that are always shown to their end."""
MOST_VALUES = 5
"""A list in a cell ends here."""
DIGITS = 6
"""Significant digits of a number on a screen."""


def as_json(shown: dict[str, Any]) -> str:
    """All of it, times in ISO 8601."""
    return json.dumps(shown, ensure_ascii=False, indent=2, default=_written)


def as_text(shown: dict[str, Any]) -> str:
    """For a screen: single values first as `name  value`, then each group under its name."""
    single = {name: value for name, value in shown.items() if not isinstance(value, dict) and not _is_table(value)}
    parts = ["\n".join(_lines(single))]
    for name, value in shown.items():
        if isinstance(value, dict):
            parts.append("\n".join([name, *("  " + line for line in _lines(value))]))
        elif _is_table(value):
            parts.append(
                "\n".join([name, *("  " + line for line in _table(value, len(value) if name in WHOLE else MOST_ROWS))])
            )
    return "\n\n".join(part for part in parts if part)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _lines(values: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, values), default=0)
    yield from (f"{name:<{width}}  {_cell(value)}" for name, value in values.items())


def _table(rows: list[dict[str, Any]], most: int) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows[:most])]
    yield from table(cells)
    if len(rows) > most:
        yield f"... and {len(rows) - most} more (--json shows all)"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, list):
        rest = f", ... ({len(value)})" if len(value) > MOST_VALUES else ""
        return (", ".join(map(_cell, value[:MOST_VALUES])) or "(none)") + rest
    return str(value)


def _written(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
