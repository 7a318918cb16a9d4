"""Days begin at midnight of their zone, whatever the clocks do there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from pipeline.days import add_days, day_of_us, day_range, day_start_us, days_between
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("zone", "day", "seconds"),
    [
        ("UTC", date(1970, 1, 2), 86_400),
        ("Asia/Shanghai", date(2026, 1, 1), 1_767_196_800),  # 2025-12-31T16:00:00Z
        ("Europe/Berlin", date(2026, 3, 30), 1_774_821_600),  # the day after the clocks went forward: 22:00Z
    ],
)
def test_a_day_begins_at_local_midnight(zone: str, day: date, seconds: int) -> None:
    start = day_start_us(day, ZoneInfo(zone))
    assert start == seconds * 1_000_000
    assert day_of_us(start, ZoneInfo(zone)) == day
    assert day_of_us(start - 1, ZoneInfo(zone)) == add_days(day, -1)


def test_the_day_of_the_clock_change_has_23_hours() -> None:
    zone = ZoneInfo("Europe/Berlin")
    hours = (day_start_us(date(2026, 3, 30), zone) - day_start_us(date(2026, 3, 29), zone)) / 3_600_000_000
    assert hours == 23


def test_ranges_include_both_ends() -> None:
    assert day_range("2026-02-27..2026-03-01") == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
    assert day_range("2026-01-07") == [date(2026, 1, 7)]


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2026-13-01", "2026-01-02..", "2026-01-02..2026-01-01", "20260107", "2026-W01-3", "2026-1-7",
     "2026-01-07 ", "٢٠٢٦-01-07", "9999-12-31..10000-01-01"],
)  # fmt: skip
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--dt"):
        day_range(text)


def test_days_before_the_first_are_left_out() -> None:
    assert days_between(date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 2)) == [date(2026, 1, 2), date(2026, 1, 3)]
    assert days_between(date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 5)) == []


@pytest.mark.parametrize(
    "beyond",
    [
        lambda: add_days(day_range("9999-12-31")[-1], 1),
        lambda: add_days(date(1, 1, 1), -1),
        lambda: add_days(date(2026, 1, 1), 10**12),
        lambda: day_of_us(10**18, ZoneInfo("UTC")),
        lambda: day_of_us(day_start_us(date(1, 1, 1), ZoneInfo("UTC")) - 1, ZoneInfo("UTC")),
    ],
)
def test_where_the_calendar_ends_the_config_is_at_fault(beyond: Callable[[], date]) -> None:
    with pytest.raises(ConfigError, match="outside of the years 1 to 9999") as caught:
        beyond()
    assert caught.value.exit_code == 2


def test_the_last_days_of_the_calendar_are_days() -> None:
    assert day_range("9999-12-30..9999-12-31") == [date(9999, 12, 30), date(9999, 12, 31)]
    assert day_of_us(day_start_us(date(1, 1, 1), ZoneInfo("UTC")), ZoneInfo("UTC")) == date(1, 1, 1)
