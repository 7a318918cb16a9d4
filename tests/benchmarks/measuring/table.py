"""What a part hands back: the rows of its table, and every single figure behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Measured:
    """Rows for the reader; figures (JSON) for whoever doubts a median."""

    rows: list[Row]
    figures: Any = field(default_factory=list)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; the first row names the columns, floats have four digits."""
    body = [[format(cell, ".4g" if isinstance(cell, float) else "") for cell in row.values()] for row in rows]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
