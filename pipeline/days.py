"""Days: what `dt` means, and the instants at which a day of a zone begins and ends."""

from __future__ import annotations

import datetime
import re
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigError

Day = datetime.date
ONE = datetime.timedelta(days=1)


def parse_day(text: str) -> Day:
    """`2026-01-07` as a date; ConfigError otherwise, for the other spellings of ISO 8601 too."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigError(f"--dt takes a day such as 2026-01-07 or a range such as 2026-01-01..2026-01-08, got {text!r}")


def day_range(text: str) -> list[Day]:
    """`A..B` (both included) or one day."""
    first, dots, last = text.partition("..")
    start, end = parse_day(first), parse_day(last if dots else first)
    if end < start:
        raise ConfigError(f"--dt {text}: the range ends before it begins")
    return [start + ONE * i for i in range((end - start).days + 1)]


def add_days(day: Day, count: int) -> Day:
    """The day `count` days later (earlier when negative); ConfigError where the calendar has none."""
    try:
        return day + ONE * count
    except OverflowError:
        raise _beyond(f"{day} and {count} days") from None


def days_between(first: Day, last: Day, not_before: Day) -> list[Day]:
    """The days first..last, both included, that are not before `not_before`."""
    start = max(first, not_before)
    return [start + ONE * i for i in range((last - start).days + 1)]


def day_start_us(day: Day, zone: ZoneInfo) -> int:
    """The instant at which `day` begins in `zone`, in microseconds since the epoch (UTC)."""
    midnight = datetime.datetime.combine(day, datetime.time(), tzinfo=zone)
    try:
        return round(midnight.timestamp()) * 1_000_000
    except OverflowError:
        raise _beyond(f"midnight of {day} in {zone}") from None


def day_of_us(instant_us: int, zone: ZoneInfo) -> Day:
    """The day of `zone` in which an instant falls; ConfigError where the calendar has none."""
    try:
        return datetime.datetime.fromtimestamp(instant_us // 1_000_000, tz=zone).date()
    except (OverflowError, ValueError):
        raise _beyond(f"{instant_us} microseconds since 1970") from None


def _beyond(what: str) -> ConfigError:
    return ConfigError(
        f"{what} lie outside of the years 1 to 9999; give a --dt, and days and seconds in the config, well inside them"
    )
