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


def table(rows: Sequence[Sequence[str]], numbers: bool = False) -> Iterator[str]:
    """Rows with their columns below each other; with `numbers` all but the first column stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        padded = [cell.rjust(width) if numbers and place else cell.ljust(width) for place, (cell, width) in cells]
        yield "  ".join(padded).rstrip()
