"""[sources.x.columns]: where the value of a column comes from, and what it must be."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.table import WRITTEN, Table
from pipeline.config.times import TimeFormat

NUMERIC = ("int", "long", "double")
"""Types of a column that has a `min` and a `max`."""
INT64 = 2**63
SAYS = {
    "string": re.compile(r".*\S.*", re.DOTALL),
    "int": re.compile(r"[+-]?\d{1,9}"),
    "long": re.compile(r"[+-]?\d{1,18}"),
    "double": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?"),
    "boolean": re.compile(r"true|false"),
}
"""Texts that surely say a value of a type, as a `default` must."""


class Column(Table):
    """Where one column of a source comes from: a field (`from`) or an expression over the fields (`sql`)."""

    source: str | None = Field(default=None, alias="from")
    sql: str | None = None
    type: Literal["string", "int", "long", "double", "boolean"] = "string"
    required: bool = False
    values: dict[str, str] | None = Field(default=None, min_length=1)
    time: tuple[TimeFormat, ...] | None = Field(default=None, min_length=1)
    """How the time is written; where several are allowed, the first that fits."""
    min: int | float | None = None
    max: int | float | None = None
    default: str | None = None
    """The text taken where a line has none (or its file has no such field), and in days that were published before the
    column was declared."""

    pii: bool = False
    """Whether it names a person: a keyed hash (`clean.pii_key_file`) stands for it in every dataset."""

    @field_validator("values", "time")
    @classmethod
    def _instead_of_a_type(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None:
            return None
        if info.data.get("type", "string") != "string":
            raise ValueError(
                f"does not go with type = {info.data['type']!r}: a column with `values` is text, one with `time` is a "
                "time; leave `type` out"
            )
        if info.field_name == "time" and info.data.get("values") is not None:
            raise ValueError("does not go with `values`: give the one or the other")
        return given

    @field_validator("min", "max")
    @classmethod
    def _of_a_number(cls, bound: int | float | None, info: ValidationInfo) -> int | float | None:
        if bound is None:
            return None
        said = [key for key in ("values", "time") if info.data.get(key) is not None]
        if said or info.data.get("type", "string") not in NUMERIC:
            kind = f"has `{said[0]}`" if said else f"has type = {info.data.get('type', 'string')!r}"
            raise ValueError(f"goes with type = 'int', 'long' or 'double', and this column {kind}: say its type")
        if not -INT64 <= bound < INT64:
            raise ValueError("must be a number of 64 bits")
        if info.field_name == "max" and (least := info.data.get("min")) is not None and bound < least:
            raise ValueError(f"must be at least min ({least})")
        return bound

    @field_validator("default")
    @classmethod
    def _a_value(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is not None and info.context == WRITTEN and (fault := _default_fault(default, info.data)):
            raise ValueError(fault)
        return default

    @model_validator(mode="after")
    def _one_origin(self) -> Column:
        if (self.source is None) == (self.sql is None):
            raise ValueError(
                "needs exactly one of `from` (a field of the line) or `sql` (an expression over its fields)"
            )
        if self.pii and (self.type != "string" or self.values is not None or self.time is not None):
            raise ValueError(
                "`pii` goes with plain text: what names a person has no `values`, `time` or type of a number"
            )
        return self


def _default_fault(default: str, column: dict[str, Any]) -> str | None:
    """Why a text is no default of the column; None where it is one."""
    type_, values = column.get("type", "string"), column.get("values")
    if column.get("time") is not None:
        return "does not go with `time`: when something happened is not supposed; leave it out, it is null then"
    if column.get("required"):
        return "does not go with `required`: a line that lacks the one gets the other; give one of them"
    if values is not None:
        return None if default in values else f"must be one of the raw values {sorted(values)}"
    if not SAYS[type_].fullmatch(default) or default != default.strip():
        return f"must be a text that says a value of type = {type_!r}"
    bounds = (column.get("min"), column.get("max"))
    if type_ in NUMERIC and _outside(float(default) if type_ == "double" else int(default), *bounds):
        return f"must lie between min ({bounds[0]}) and max ({bounds[1]})"
    return None


def _outside(number: float, least: float | None, most: float | None) -> bool:
    return (least is not None and number < least) or (most is not None and number > most)
