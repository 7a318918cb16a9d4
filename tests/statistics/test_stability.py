"""The index by hand, by NumPy, and what must hold of its groups whatever the data."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics.columns import Kind
from pipeline.statistics.published import ColumnStatistics
from pipeline.statistics.stability import GROUPS, Group, groups_of, psi
from tests.statistics.published_statistics import bin_of, row


def statistics(kind: Kind, values: list[Any]) -> ColumnStatistics:
    found = row("events", "x", kind, values)
    found["histogram"] = {entry["bin"]: entry["count"] for entry in found["histogram"]}
    found["top"] = {entry["value"]: entry["count"] for entry in found["top"]}
    assert set(found) == {field.name for field in fields(ColumnStatistics)}
    return ColumnStatistics(**{**found, "quantiles": ()})


def groups(kind: Kind, reference: list[list[Any]], day: list[Any]) -> list[Group]:
    found = groups_of([statistics(kind, one) for one in reference], statistics(kind, day))
    assert found is not None
    return found


def test_the_index_by_hand() -> None:
    """Halves become quarter and three quarters: (1/4 - 1/2) ln(1/2) + (3/4 - 1/2) ln(3/2) = 1/4 ln 3."""
    assert psi([Group("a", 50, 1), Group("b", 50, 3)]) == pytest.approx(math.log(3) / 4, rel=1e-12)
    assert psi([Group("a", 7, 70), Group("b", 3, 30), Group("none", 0, 0)]) == pytest.approx(0.0, abs=1e-15)
    assert psi([Group("a", 0, 10)]) == psi([]) == 0.0


def test_an_empty_group_counts_as_half_a_row() -> None:
    found = psi([Group("a", 100, 50), Group("b", 0, 50)])
    assert found == pytest.approx((0.5 - 1) * math.log(0.5) + (0.5 - 0.005) * math.log(0.5 / 0.005), rel=1e-12)


counts = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=12)


@given(counts)
def test_the_index_is_that_of_numpy_and_the_same_both_ways(pairs: list[tuple[int, int]]) -> None:
    reference, day = (np.array(side, "float64") / sum(side) for side in zip(*pairs, strict=True))
    expected = float(np.sum((day - reference) * np.log(day / reference)))
    found = psi([Group("", *pair) for pair in pairs])
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found == pytest.approx(psi([Group("", now, before) for before, now in pairs]), rel=1e-12, abs=1e-15)
    assert found >= -1e-15


numbers = st.lists(st.one_of(st.none(), st.integers(-1000, 1000), st.floats(-1e6, 1e6)), max_size=60)


@given(st.lists(numbers, min_size=1, max_size=3), numbers)
def test_number_groups_hold_every_row_once_and_about_a_tenth_each(
    reference: list[list[float | None]], day: list[float | None]
) -> None:
    tiny = 1e-5  # below some 1e-6 a number counts as zero, which this file's own bins do not know
    before = [[x if not x or abs(x) > tiny else 0.0 for x in one] for one in reference]
    now = [x if not x or abs(x) > tiny else 0.0 for x in day]
    found = groups("number", before, now)
    present = [x for one in before for x in one if x is not None]
    assert sum(group.reference for group in found) == sum(map(len, before))
    assert sum(group.day for group in found) == len(now)
    assert found[-1] == Group("null", sum(map(len, before)) - len(present), sum(x is None for x in now))
    assert len(found) <= GROUPS + 1
    largest = max((sum(bin_of(x) == bin_of(y) for y in present) for x in present), default=0)
    assert all(group.reference <= len(present) / GROUPS + largest for group in found[:-1])


def test_number_groups_by_hand() -> None:
    """A hundred numbers, ten of each of 0 to 9: every number is a tenth; what lies beyond is in the outer groups."""
    found = groups("number", [[n % 10 for n in range(100)]], [-5, 0, 3, 3.5, 9, 70, None])
    assert [group.reference for group in found] == [10] * 10 + [0]
    assert [group.day for group in found] == [2, 0, 0, 2, 0, 0, 0, 0, 0, 2, 1]
    assert [group.name for group in found][:2] == ["< 1", "1 ..< 2"]
    assert (found[9].name, found[10].name) == (">= 9", "null")


def test_a_frequent_number_has_a_group_of_its_own() -> None:
    found = groups("number", [[0] * 900 + [float(n) for n in range(1, 101)]], [0] * 10)
    assert (found[0].reference, found[0].day, found[0].name) == (900, 10, "< 1")
    assert groups("number", [[]], [1, 2]) == [Group("all", 0, 2), Group("null", 0, 0)]


def test_value_groups_by_hand() -> None:
    """By count, ties by UTF-8 bytes; the twenty-first value and those of the day alone are others."""
    values = [f"v{n:02d}" for n in range(21)]
    found = groups("category", [["b", "a"], ["a", None, "b", *values]], ["a", "c", "v20", "v05", None, None])
    assert [(group.name, group.reference, group.day) for group in found[:3]] == [
        ("'a'", 2, 1),
        ("'b'", 2, 0),
        ("'v00'", 1, 0),
    ]
    assert found[-2:] == [Group("others", 3, 2), Group("null", 1, 2)]
    assert len(found) == 22


def test_a_column_with_more_values_than_are_listed_has_no_index() -> None:
    many = [f"v{n}" for n in range(101)]
    few = statistics("category", ["a"] * 101)
    assert groups_of([statistics("category", many)], few) is None
    assert groups_of([few], statistics("category", many)) is None
    assert groups_of([few], statistics("category", many[:100])) is not None
    assert groups_of([statistics("key", ["a"])], statistics("key", ["b"])) is None
