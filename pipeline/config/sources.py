"""[sources] and [datasets]: where raw logs are, how a line becomes a row, and which source fills which dataset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.checks import column_faults, refuse
from pipeline.config.table import WRITTEN, Name, NotNegative, Table

NUMERIC = ("int", "long", "double")
"""Types of a column that has a `min` and a `max`."""
INT64 = 2**63


class Column(Table):
    """Where one column of a source comes from: a field (`from`) or an expression over the fields (`sql`)."""

    source: str | None = Field(default=None, alias="from")
    sql: str | None = None
    type: Literal["string", "int", "long", "double", "boolean"] = "string"
    required: bool = False
    values: dict[str, str] | None = Field(default=None, min_length=1)
    time: tuple[Literal["epoch_s", "epoch_ms", "epoch_us", "iso"], ...] | None = Field(default=None, min_length=1)
    min: int | float | None = None
    max: int | float | None = None
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


class Source(Table):
    """One kind of raw log: where its files are and how a line becomes a row."""

    kind: Literal["events"]
    path: str
    format: Literal["json", "csv"] = "json"
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    fields: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Field names of a delimited file in order; read from the header when absent."""
    header: bool = Field(default_factory=lambda earlier: earlier["fields"] is None)
    """Whether the first line of a delimited file is none of its rows; so it is where `fields` is not given."""
    comment: Annotated[str, Field(min_length=1)] | None = None
    """A line of a delimited file that begins with it is none of its rows; such lines are counted apart."""
    null_values: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that mean null in every column, such as "?"; the empty text always does."""
    delay_s: NotNegative = 0
    columns: dict[Name, Column]

    @field_validator("separator", "fields", "header", "comment")
    @classmethod
    def _of_delimited_text(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None or info.context != WRITTEN:
            return given
        if info.data.get("format") == "json":
            raise ValueError("goes with format = 'csv'; a line of json names its own fields: leave it out")
        if info.field_name == "header" and not given and info.data.get("fields", ()) is None:
            raise ValueError("is false, so the source needs `fields`, the names of its fields in order")
        if info.field_name == "fields" and len(set(given)) < len(given):
            raise ValueError("must not hold a name twice")
        return given

    @field_validator("columns")
    @classmethod
    def _columns_fit(cls, columns: dict[str, Column], info: ValidationInfo) -> dict[str, Column]:
        refuse(column_faults(columns, info.data.get("fields")))
        return columns

    @property
    def has_day(self) -> bool:
        """Whether the path itself names the arrival day."""
        return "{dt}" in self.path


class Datasets(Table):
    """Which source fills which dataset. A product has either `events` or `rows`."""

    events: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*)?$")] = ""
    """The source of kind "events" whose lines are the events; empty in a product of a table."""
    rows: Name | None = None
    """The source of kind "table" whose lines are the labelled rows."""
    user: Name | None = None
    """The column that says whose a row is: GAUC compares within it. Without one each row is a user of its own."""
    attributes: dict[Literal["user", "item"], Name] = Field(default={})
    rooms: Name | None = None
