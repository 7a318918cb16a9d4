"""Plain Python that says the fate of every line of a raw file, whatever its bytes: what the cleaning is held to."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.config import Config
from pipeline.days import day_start_us
from tests.steps.rows import FIRST, toy_config

DAY = FIRST + datetime.timedelta(days=2)
NOON_MS = day_start_us(DAY, toy_config().product.zone) // 1000 + 12 * 3_600_000
MIDNIGHT_MS = NOON_MS - 12 * 3_600_000
LOOKBACK_MS = 2 * 86_400_000
FIELDS = ("id", "user", "ts", "pos")
MOST_BYTES = 300
CONTROLS = "".join(map(chr, [*range(33), *range(127, 160)]))
Fields = dict[str, str | None]


def events_only(columns: dict[str, Any] | None = None, **source: Any) -> Config:
    """A product of one source, whose lines have the FIELDS."""
    read = {
        "event_id": {"from": "id", "required": True},
        "user_id": {"from": "user", "required": True},
        "item_id": {"sql": "concat('item ', user)"},
        "event_type": {"sql": "'exposure'", "values": {"exposure": "exposure"}},
        "event_time": {"from": "ts", "time": ["epoch_ms"]},
        "position": {"from": "pos", "type": "int", "min": 0, "max": 99},
    }
    return toy_config(
        sources={"lines": {"kind": "events", "path": "raw/{dt}/*", "columns": {**read, **(columns or {})}, **source}},
        datasets={"events": "lines"},
        clean={"lookback_days": 2, "max_line_bytes": MOST_BYTES},
        labels={"enter": {"event": "exposure", "match": ["user_id"], "within_s": 60, "mature_after_s": 600}},
        features={"user": {"key": {"column": "user_id"}}},
    )


def split(text: str, separator: str, quote: str) -> list[str] | None:
    """The fields of a line, character by character; None where a quote is not around a whole field."""
    fields, at = [], 0
    while True:
        if quote and text.startswith(quote, at):
            value, at = "", at + 1
            while True:
                if at >= len(text):
                    return None
                if text.startswith(2 * quote, at):
                    value, at = value + quote, at + 2
                elif text.startswith(quote, at):
                    at += 1
                    break
                else:
                    value, at = value + text[at], at + 1
            if at < len(text) and not text.startswith(separator, at):
                return None
        else:
            end = text.find(separator, at)
            value, at = (text[at:], len(text)) if end < 0 else (text[at:end], end)
            if quote and quote in value:
                return None
        fields.append(value)
        if at >= len(text):
            return fields
        at += len(separator)


@dataclass(frozen=True)
class Reference:
    """What a source declares, as far as the fate of a line depends on it."""

    format: str = "csv"
    separator: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    comment: str | None = None
    null_values: tuple[str, ...] = ()
    header: str | None = None
    numbers: bool = False
    """Whether tidy lines of JSON write a number without quotes, where it is one."""

    @property
    def source(self) -> dict[str, Any]:
        """The same as keys of a TOML."""
        if self.format == "json":
            return {"format": "json", "encoding": self.encoding}
        said: dict[str, Any] = {
            "format": "csv", "separator": self.separator, "quote": self.quote, "encoding": self.encoding,
            "null_values": list(self.null_values),
        }  # fmt: skip
        said |= {} if self.comment is None else {"comment": self.comment}
        return said | ({"fields": list(FIELDS)} if self.header is None else {})

    def fates(self, lines: Iterable[bytes]) -> tuple[Counter[str], Counter[tuple[bytes, str]]]:
        """Lines by fate, and the rejected ones by (bytes, rule)."""
        found, rejected, seen = Counter[str](), Counter[tuple[bytes, str]](), set[str]()
        for line in lines:
            fate, id_ = self.fate(line)
            if fate == "kept" and id_ in seen:
                fate = "duplicate"
            seen |= {id_} if fate == "kept" else set()
            found[fate] += 1
            if fate not in ("kept", "duplicate", "blank", "header", "comment"):
                rejected[line, fate] += 1
        return found, rejected

    def fate(self, line: bytes) -> tuple[str, str]:
        """The fate of a line that is no duplicate, and its id."""
        if not line.strip(b" \t\r\f\v"):
            return "blank", ""
        if self.comment is not None and line.startswith(self.comment.encode(self.encoding)):
            return "comment", ""
        try:
            text = line.decode(self.encoding).rstrip("\r")
        except UnicodeDecodeError:
            return "invalid_utf8", ""
        if self.header is not None and text == self.header:
            return "header", ""
        fields = None if len(line) > MOST_BYTES else self._fields(text)
        return ("malformed", "") if fields is None else judged(fields)

    def _fields(self, text: str) -> Fields | None:
        if self.format == "json":
            return _object(text)
        values = split(text, self.separator, self.quote)
        if values is None or len(values) != len(FIELDS):
            return None
        return {
            name: None if value.strip(" ") in self.null_values else value
            for name, value in zip(FIELDS, values, strict=True)
        }


def judged(fields: Fields) -> tuple[str, str]:
    """The first rule that the fields break, or kept; and the id."""
    text = {name: (value or "").strip(" ") for name, value in fields.items()}
    if not (text["id"] and text["user"] and text["ts"]):
        return "missing_required", ""
    position = text["pos"].strip(CONTROLS)
    whole = re.fullmatch(r"[+-]?[0-9]+", position)
    if not re.fullmatch(r"[0-9]{1,18}", text["ts"]) or int(text["ts"]) > 253_402_300_799_999:
        return "bad_type", ""
    if text["pos"] and (whole is None or not -(2**31) <= int(position) < 2**31):
        return "bad_type", ""
    if text["pos"] and not 0 <= int(position) <= 99:
        return "out_of_range", ""
    if int(text["ts"]) > MIDNIGHT_MS + 86_400_000 - 1 + 3_600_000:
        return "future_clock", ""
    return ("too_late" if int(text["ts"]) < MIDNIGHT_MS - LOOKBACK_MS else "kept"), text["id"]


def _object(text: str) -> Fields | None:
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: _as_text(found.get(name)) for name in FIELDS}


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _refused(constant: str) -> None:
    raise ValueError(constant)
