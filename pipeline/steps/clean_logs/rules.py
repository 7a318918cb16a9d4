"""The rules, declared once and tried in this order: the first one that a line breaks names its row in quarantine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline.config import Config, Source
from pipeline.days import Day, add_days
from pipeline.steps.clean_logs.columns import missing
from pipeline.steps.instants import day_start, local_day

TEXT, VALUE = "text_", "value_"
"""Prefixes of a column's raw text and of its typed value while a line is being judged."""


@dataclass(frozen=True)
class Context:
    """What a rule may look at besides the line: the source, the config, the day."""

    config: Config
    source: Source
    day: Day
    rooms: bool = False


@dataclass(frozen=True)
class Rule:
    """`broken` gives, for a line, null or the detail of what is wrong."""

    id: str
    description: str
    broken: Callable[[Context], Column]


def _invalid_utf8(context: Context) -> Column:
    return F.when(F.col("text").isNull(), F.lit(f"not {context.source.encoding.upper()}"))


def _malformed(context: Context) -> Column:
    limit = context.config.clean.max_line_bytes
    length = F.octet_length(F.col("line"))
    too_long = F.when(length > limit, F.concat(length.cast("string"), F.lit(f" bytes, at most {limit} are read")))
    return F.coalesce(too_long, F.when(F.col("fields").isNull(), F.lit(f"not one {context.source.format} record")))


def _missing_required(context: Context) -> Column:
    needed = [name for name in context.source.columns if missing(context.source, name)]
    return _first([F.when(F.col(TEXT + name).isNull(), F.lit(f"{name} is missing")) for name in needed])


def _unknown_value(context: Context) -> Column:
    listed = [name for name, column in context.source.columns.items() if column.values is not None]
    return _first([_unreadable(name, "is not one of the declared values") for name in listed])


def _bad_type(context: Context) -> Column:
    typed = {name: column for name, column in context.source.columns.items() if column.values is None}
    return _first(
        [_unreadable(name, f"is no {column.type if column.time is None else 'time'}") for name, column in typed.items()]
    )


def _out_of_range(context: Context) -> Column:
    found = []
    for name, column in context.source.columns.items():
        value = F.col(VALUE + name)
        if column.min is not None:
            found.append(_said(value < column.min, name, f"is below {column.min}"))
        if column.max is not None:
            found.append(_said(value > column.max, name, f"is above {column.max}"))
    return _first(found)


def _future_clock(context: Context) -> Column:
    ahead = F.unix_micros(F.col("event_time")) - F.unix_micros(F.col("available_at"))
    over = F.col("available_at") >= day_start(add_days(context.day, 1), context.config.product.zone)
    collector = F.when(over, F.lit("available_at is after the day that the line was delivered on"))
    late = _said(ahead > context.config.clean.future_tolerance_s * 1_000_000, "event_time", "is after the line arrived")
    return F.coalesce(collector, late)


def _too_late(context: Context) -> Column:
    oldest = add_days(context.day, -context.config.clean.lookback_days)
    return _said(
        local_day(F.col("event_time"), context.config.product.zone) < F.lit(oldest), "event_time", f"is before {oldest}"
    )


def _not_on_air(context: Context) -> Column:
    """Judged by what was known of the room when the line arrived."""
    if not context.rooms:
        return F.lit(None).cast("string")
    grace_us = context.config.clean.on_air_grace_s * 1_000_000
    unknown = F.col("started_at").isNull() | (F.col("start_available_at") > F.col("available_at"))
    early = F.col("event_time") < F.col("started_at")
    end_known = F.col("end_available_at") <= F.col("available_at")
    over = end_known & (F.unix_micros(F.col("event_time")) > F.unix_micros(F.col("ended_at")) + grace_us)
    return F.when(
        F.col(VALUE + "room_id").isNotNull() & F.coalesce(unknown | early | over, F.lit(False)),
        F.lit("its room is not on air"),
    )


RULES = (
    Rule("invalid_utf8", "the bytes are text in the source's encoding", _invalid_utf8),
    Rule("malformed", "the line is one record of its format, not longer than max_line_bytes", _malformed),
    Rule("missing_required", "required columns and the clock are there", _missing_required),
    Rule("unknown_value", "a column with declared values has one of them", _unknown_value),
    Rule("bad_type", "a column's text says a value of its type", _bad_type),
    Rule("out_of_range", "a number lies between its min and max", _out_of_range),
    Rule(
        "future_clock",
        "the event is not later than its line (but for the tolerance), nor the line than its day",
        _future_clock,
    ),
    Rule("too_late", "the event is at most lookback_days older than the day its line arrived", _too_late),
    Rule("not_on_air", "the event's room was on air, as known when the line arrived", _not_on_air),
)


def verdict(context: Context, rules: Sequence[Rule] = RULES) -> Column:
    """A struct (rule, detail) of the first rule that the line breaks, or null."""
    found = []
    for rule in rules:
        detail = rule.broken(context)
        found.append(F.when(detail.isNotNull(), F.struct(F.lit(rule.id).alias("rule"), detail.alias("detail"))))
    return F.coalesce(*found)


def _unreadable(name: str, why: str) -> Column:
    return _said(F.col(TEXT + name).isNotNull() & F.col(VALUE + name).isNull(), name, why)


def _said(condition: Column, name: str, why: str) -> Column:
    """`name = text why` when the condition holds; the text is cut, quarantine has all of it."""
    return F.when(
        condition,
        F.concat(
            F.lit(f"{name} = "), F.coalesce(F.substring(F.col(TEXT + name), 1, 80), F.lit("null")), F.lit(f" {why}")
        ),
    )


def _first(details: list[Column]) -> Column:
    nothing = F.lit(None).cast("string")
    return reduce(lambda a, b: F.coalesce(a, b), details, nothing)
