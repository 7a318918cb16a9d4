"""How durations, counts of days and tables are put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

INDENT = "  "


def duration(seconds: int) -> str:
    """`90 s`, `10 min`, `6 h`, `2 d`: the largest unit that leaves nothing over."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their columns below each other; the last one as long as it is."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)] if rows else []
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]).rstrip()
