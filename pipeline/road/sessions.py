"""events -> build_sessions -> sessions; nothing where the product declares no sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.config import Config
from pipeline.datasets import events, sessions
from pipeline.days import Day, add_days, days_between
from pipeline.raw import Outside
from pipeline.road.shared import CLOCKS
from pipeline.step import Input, Output, Step, Tables
from pipeline.steps.build_sessions import build_sessions, too_late_for_sessions


def _session_reads(config: Config, day: Day) -> Mapping[str, Input]:
    if config.sessions is None:
        return {}
    earlier = tuple(days_between(add_days(day, -1), add_days(day, -1), config.product.first_day))
    return {"events": Input(events(config), (day,)), "earlier": Input(sessions(config), earlier)}


def _sessions(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    arrived = tables.expect("events")
    made = build_sessions(config, day, arrived, tables.table("earlier"))
    return Output({"sessions": made}, accept=lambda: {"too_late_for_sessions": too_late_for_sessions(config, arrived)})


SESSIONS = Step(
    "build_sessions", ("product", "datasets", "sessions"), ("pipeline.steps.build_sessions", *CLOCKS),
    _session_reads, lambda config: () if config.sessions is None else (sessions(config),), _sessions,
)  # fmt: skip
