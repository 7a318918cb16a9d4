"""How a time may be written: seconds since 1970, ISO 8601, or a pattern of Spark's with the zone of its clock.

A pattern is checked here, letter by letter, so that a wrong one is refused before Spark starts: what passes is a part
of what Spark takes (https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html).
"""

from __future__ import annotations

import re
from typing import Any, Literal
from zoneinfo import available_timezones

from pydantic import ValidationInfo, field_validator, model_validator

from pipeline.config.table import Table

LETTERS = {
    "y": (2, 4),
    "M": (1, 2, 3, 4),
    "d": (1, 2),
    "H": (1, 2),
    "h": (1, 2),
    "a": (1,),
    "m": (1, 2),
    "s": (1, 2),
    "S": tuple(range(1, 10)),
    "X": (1, 2, 3),
    "x": (1, 2, 3),
    "Z": (1, 2, 3),
}
"""Letter -> how often it may stand in a row: year, month, day, hour (of 24; of 12 with a), AM or PM, minute, second,
its fraction, and the offset from UTC as Z or +01:00 (X), +01:00 (x), +0100 (Z). Month names are English."""
OFFSET = "XxZ"
PART = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<letter>[A-Za-z])(?P=letter)*|(?P<open>\[)|(?P<close>\])|(?P<bad>['#{}])"
)


class TimeFormat(Table):
    """One way in which a time is written: a name (`"iso"`), or a pattern and the zone of the clock that wrote it.

    A local time that its zone's clock showed twice (an hour went back) is the first of the two; one that it never
    showed (an hour was skipped) is no time.
    """

    name: Literal["epoch_s", "epoch_ms", "epoch_us", "iso"] | None = None
    pattern: str | None = None
    """Of Spark: `dd/MM/yyyy HH:mm:ss`, `d MMM yyyy h:mm a`, `yyyy-MM-dd'T'HH:mm:ss[.SSS]` ([...] may be absent)."""
    zone: str | None = None
    """An IANA time zone; none where the pattern itself says the offset from UTC."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str | None) -> str | None:
        if pattern is not None and (fault := pattern_fault(pattern)) is not None:
            raise ValueError(f"{fault}, got {pattern!r}")
        return pattern

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str | None, info: ValidationInfo) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError("must be a time zone of the IANA database such as 'Europe/Paris'")
        return zone

    @model_validator(mode="after")
    def _one_way(self) -> TimeFormat:
        if (self.name is None) == (self.pattern is None):
            raise ValueError('must be a name such as "iso" or { pattern = "dd/MM/yyyy HH:mm", zone = "Europe/Paris" }')
        if self.pattern is None:
            if self.zone is not None:
                raise ValueError(f"zone goes with a pattern; {self.name} says its own: leave it out")
        elif (self.zone is None) != any(letter in OFFSET for letter in _letters(self.pattern)):
            raise ValueError(
                "needs either `zone`, the zone of the clock that wrote it, or an offset from UTC in its pattern "
                f"(letters {', '.join(OFFSET)}), got pattern {self.pattern!r} and zone {self.zone!r}"
            )
        return self


def pattern_fault(pattern: str) -> str | None:
    """Why a pattern is not one that says an instant; None where it does."""
    depth, always, used = 0, set[str](), set[str]()
    for part in PART.finditer(pattern):
        depth += (part["open"] is not None) - (part["close"] is not None)
        if part["bad"] is not None:
            return f"must not hold {part['bad']!r} (a quote opens literal text and must be closed)"
        if depth < 0 or part[0] == "[]":
            return "closes a bracket that it never opened"
        if (letter := part["letter"]) is not None:
            if len(part[0]) not in LETTERS.get(letter, ()):
                return f"must be made of {_known_letters()}; literal letters stand in quotes ('T'); it has {part[0]!r}"
            used.add(letter)
            always |= {letter} if depth == 0 else set()
    if depth:
        return "opens a bracket that it never closes"
    if missing := [letter for letter in "yMd" if letter not in always]:
        return f"must say the day (y, M and d, outside of brackets); {missing[0]!r} is missing"
    if ("h" in used) != ("a" in used):
        return "must have h (the hour of 12) and a (AM or PM) together; the hour of 24 is H"
    return None


def _letters(pattern: str) -> set[str]:
    return {part["letter"] for part in PART.finditer(pattern) if part["letter"] is not None}


def _known_letters() -> str:
    return ", ".join(
        letter * counts[0] + (f" to {letter * counts[-1]}" if len(counts) > 1 else "")
        for letter, counts in LETTERS.items()
    )
