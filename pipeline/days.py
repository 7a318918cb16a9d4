"""Days: what `dt` means, and the instants at which a day of a zone begins and ends."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigError

Day = datetime.date
ONE = datetime.timedelta(days=1)


def parse_day(text: str) -> Day:
    """`2026-01-07` as a date; ConfigError otherwise."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--dt takes a day such as 2026-01-07 or a range such as 2026-01-01..2026-01-08, got {text!r}"
        ) from None


def day_range(text: str) -> list[Day]:
    """`A..B` (both included) or one day."""
    first, dots, last = text.partition("..")
    start, end = parse_day(first), parse_day(last if dots else first)
    if end < start:
        raise ConfigError(f"--dt {text}: the range ends before it begins")
    return [start + ONE * i for i in range((end - start).days + 1)]


def add_days(day: Day, count: int) -> Day:
    """The day `count` days later (earlier when negative)."""
    return day + ONE * count


def days_between(first: Day, last: Day, not_before: Day) -> list[Day]:
    """The days first..last, both included, that are not before `not_before`."""
    start = max(first, not_before)
    return [start + ONE * i for i in range((last - start).days + 1)]


def day_start_us(day: Day, zone: ZoneInfo) -> int:
    """The instant at which `day` begins in `zone`, in microseconds since the epoch (UTC)."""
    midnight = datetime.datetime.combine(day, datetime.time(), tzinfo=zone)
    return round(midnight.timestamp()) * 1_000_000


def day_of_us(instant_us: int, zone: ZoneInfo) -> Day:
    """The day of `zone` in which an instant falls."""
    return datetime.datetime.fromtimestamp(instant_us // 1_000_000, tz=zone).date()
