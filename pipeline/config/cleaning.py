"""[clean]: what a clean event is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from pipeline.config.checks import refuse, unknown
from pipeline.config.table import Name, NotNegative, Positive, Table

RULE_IDS = (
    "invalid_utf8",
    "malformed",
    "missing_required",
    "unknown_value",
    "bad_type",
    "out_of_range",
    "future_clock",
    "too_late",
    "not_on_air",
)
"""The ids of steps.clean_logs.RULES, which are made of Spark's columns: a config is read without Spark."""

ROW_RULE_IDS = RULE_IDS[:6]
"""Those that need no clock: a table is judged by them."""


class Bots(Table):
    """Who is too busy to be a person: more events of this type in a clock hour."""

    event: Name = "exposure"
    per_hour: Positive = 200


class Clean(Table):
    """What a clean event is."""

    lookback_days: NotNegative = 2
    future_tolerance_s: NotNegative = 3600
    on_air_grace_s: NotNegative = 60
    max_line_bytes: Positive = 1_048_576
    bots: Bots | None = None
    pii_key_file: str | None = None
    """A file with a secret of at least 16 bytes, for the columns with `pii = true`."""
    budgets: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default={})

    @field_validator("budgets")
    @classmethod
    def _of_rules(cls, budgets: dict[str, float]) -> dict[str, float]:
        refuse([(name, unknown("rule", name, RULE_IDS)) for name in budgets if name not in RULE_IDS])
        return budgets
