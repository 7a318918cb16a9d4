"""The population stability index of a column: how far its values of a day are from those of the reference days.

    psi = sum over groups of (d - r) * ln(d / r)        d, r: share of the day's and of the reference's rows

A number is grouped by the tenths of the reference: neighbouring bins of the histogram together, each group about a
tenth of the rows; whatever lies outside falls into the outer groups. A category has a group for each of the reference's
most frequent values and one for all others. Nulls are a group of their own. A group that is empty on one side counts
there as half a row, so that the index stays finite. Usual reading: under 0.1 the same, over 0.25 another population.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.schemas import VALUES_LISTED
from pipeline.statistics.bins import edge
from pipeline.statistics.columns import BINNED, LISTED
from pipeline.statistics.published import ColumnStatistics

Key = TypeVar("Key", int, str)

GROUPS = 10
"""Of a number."""
OWN_GROUPS = 20
"""Values of a category that have a group of their own."""


@dataclass(frozen=True)
class Group:
    """Rows of the reference days and of the day that fall together."""

    name: str
    reference: int
    day: int


def psi(groups: Iterable[Group]) -> float:
    """The index; 0.0 where either side has no rows."""
    kept = [group for group in groups if group.reference or group.day]
    references, days = sum(group.reference for group in kept), sum(group.day for group in kept)
    if not references or not days:
        return 0.0
    shares = [(max(group.reference, 0.5) / references, max(group.day, 0.5) / days) for group in kept]
    return math.fsum((day - reference) * math.log(day / reference) for reference, day in shares)


def groups_of(reference: Sequence[ColumnStatistics], day: ColumnStatistics) -> list[Group] | None:
    """The groups of a column, in order, nulls last; None where no values are counted, or more than are listed."""
    if day.kind in BINNED:
        found = _number_groups(_summed(one.histogram for one in reference), day.histogram)
    elif day.kind in LISTED and all(one.distinct <= VALUES_LISTED for one in (*reference, day)):
        found = _value_groups(_summed(one.top for one in reference), day.top)
    else:
        return None
    return [*found, Group("null", sum(one.nulls for one in reference), day.nulls)]


def _summed(counts: Iterable[Mapping[Key, int]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for one in counts:
        total.update(one)
    return total


def _number_groups(reference: Mapping[int, int], day: Mapping[int, int]) -> list[Group]:
    starts = _starts(reference)
    found = []
    for place, start in enumerate(starts):
        end = starts[place + 1] if place + 1 < len(starts) else None
        rows = [_between(counts, start if place else None, end) for counts in (reference, day)]
        found.append(Group(_span(start if place else None, end), *rows))
    return found


def _starts(reference: Mapping[int, int]) -> list[int]:
    """The first bin of each group: a group ends once all groups so far hold their tenths."""
    total, upto, held = sum(reference.values()), 0, 0
    starts: list[int] = []
    for number in sorted(reference):
        if not starts or upto * GROUPS >= held * total:
            starts.append(number)
            held = upto * GROUPS // total + 1
        upto += reference[number]
    return starts or [0]


def _between(counts: Mapping[int, int], start: int | None, end: int | None) -> int:
    """Rows in the bins from start to before end; None is without limit."""
    return sum(
        rows for number, rows in counts.items() if (start is None or number >= start) and (end is None or number < end)
    )


def _span(start: int | None, end: int | None) -> str:
    if start is None:
        return "all" if end is None else f"< {_edge(end)}"
    return f">= {_edge(start)}" if end is None else f"{_edge(start)} ..< {_edge(end)}"


def _edge(number: int) -> str:
    """Where the bin begins from below: of a negative one that is the end far from zero."""
    return f"{edge(number - 1 if number < 0 else number):g}"


def _value_groups(reference: Counter[str], day: Mapping[str, int]) -> list[Group]:
    ordered = sorted(reference, key=lambda value: (-reference[value], value.encode()))
    own = ordered[:OWN_GROUPS]
    others = Group("others", reference.total() - sum(reference[value] for value in own),
                   sum(day.values()) - sum(day.get(value, 0) for value in own))  # fmt: skip
    return [*(Group(repr(value), reference[value], day.get(value, 0)) for value in own), others]
