"""[clean]: what a clean event is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

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


class Rate(Table):
    """More events of this type in a clock hour than a person can make."""

    event: Name = "exposure"
    per_hour: Positive = 200


class Regularity(Table):
    """At least so many events of this type in a clock hour, with pauses as even as only a clock makes them."""

    event: Name = "exposure"
    at_least: Annotated[int, Field(ge=3)] = 60
    spread: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Standard deviation of the pauses, as a share of their mean, at most."""


class Speed(Table):
    """So often in a clock hour two events of this type follow each other within a time too short for a person."""

    event: Name = "enter"
    within_ms: Positive = 200
    times: Positive = 5


class Bots(Table):
    """Who is no person in a clock hour. Such events are marked with the first rule that says so, not dropped."""

    rate: Rate | None = None
    regularity: Regularity | None = None
    speed: Speed | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Bots:
        if not self.rules:
            raise ValueError("needs a rule: rate, regularity or speed; without any, leave the table out")
        return self

    @property
    def rules(self) -> dict[str, Rate | Regularity | Speed]:
        """Those that are given, by name, in the order in which they are tried."""
        named = {"rate": self.rate, "regularity": self.regularity, "speed": self.speed}
        return {name: rule for name, rule in named.items() if rule is not None}


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
