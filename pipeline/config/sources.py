"""[sources] and [datasets]: where raw logs are, how a line becomes a row, and which source fills which dataset."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.checks import Fault, column_faults, refuse
from pipeline.config.columns import Column
from pipeline.config.encodings import encoding_fault
from pipeline.config.table import WRITTEN, Name, NotNegative, Table

UTF_8 = "utf-8"
LINE_ENDS = ("\n", "\r")


class Source(Table):
    """One kind of raw log: where its files are and how a line becomes a row.

    Files whose names end in .gz or .zst are compressed. A row of Parquet is a line; its fields are its columns as text.
    """

    kind: Literal["events"]
    path: str
    format: Literal["json", "csv", "parquet"] = "json"
    encoding: str = UTF_8
    """Of text: one that Python and Java know, in which the byte \\n is always and only a new line."""
    separator: Annotated[str, Field(min_length=1)] = ","
    """One or more characters between the fields of a delimited line."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """Stands around a whole field, doubled within it, as RFC 4180 has it; "" where no character does."""
    comment: Annotated[str, Field(min_length=1)] | None = None
    """Lines that begin with it are none of the rows; they are counted apart, like blank ones."""
    null_values: tuple[str, ...] = ()
    """Texts of a field that mean null, such as "?" or "\\N"; empty text always does."""
    fields: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Field names of a delimited file in order; read from the header when absent."""
    header: bool = Field(default_factory=lambda earlier: earlier["fields"] is None)
    """Whether the first line of a delimited file is none of its rows; so it is where `fields` is not given."""
    delay_s: NotNegative = 0
    not_before: datetime.date | None = None
    """Lines of events from before this day are none of the rows; they are counted apart, like blank ones. For files
    of all years, whose path names no day: where the product's first day is later, most would be too_late."""
    columns: dict[Name, Column]

    @field_validator("encoding")
    @classmethod
    def _of_text(cls, encoding: str, info: ValidationInfo) -> str:
        if info.context == WRITTEN and info.data.get("format") == "parquet":
            raise ValueError("goes with text; a file of parquet says how it is written: leave it out")
        if (fault := encoding_fault(encoding)) is not None:
            raise ValueError(fault)
        return encoding

    @field_validator("separator", "quote", "comment", "null_values", "fields", "header")
    @classmethod
    def _of_delimited_text(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None or info.context != WRITTEN:
            return given
        if (format_ := info.data.get("format")) in ("json", "parquet"):
            raise ValueError(f"goes with format = 'csv'; a line of {format_} names its own fields: leave it out")
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

    @model_validator(mode="after")
    def _parts_of_a_line(self) -> Source:
        refuse(_delimited_faults(self))
        if self.not_before is not None and self.has_day:
            told = "goes with a path without {dt}: here the path says which day's lines are read, so leave it out"
            refuse([("not_before", told)])
        return self

    @property
    def has_day(self) -> bool:
        """Whether the path itself names the arrival day."""
        return "{dt}" in self.path


def _delimited_faults(source: Source) -> Iterator[Fault]:
    """What cannot be told apart in a delimited line."""
    for key in ("separator", "quote", "comment"):
        if any(end in (getattr(source, key) or "") for end in LINE_ENDS):
            yield key, "must not hold the end of a line"
    if source.quote and source.quote in source.separator:
        yield "separator", f'must not hold the quote {source.quote!r}; give another `quote`, or "" for none'
    if source.comment is not None and not _writable(source.comment, source.encoding):
        yield "comment", f"has characters that {source.encoding} cannot write, got {source.comment!r}"
    if useless := [text for text in source.null_values if not text or text != text.strip(" ")]:
        yield "null_values", f"must be texts without spaces around them (empty text is null anyway), got {useless[0]!r}"


def _writable(text: str, encoding: str) -> bool:
    try:
        return bool(text.encode(encoding))
    except UnicodeEncodeError:
        return False


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
