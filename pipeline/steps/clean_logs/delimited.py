"""Delimited text: the fields of a line, in Spark and (for the header) in Python.

A quote stands around a whole field and is doubled within it, as RFC 4180 has it; a line with a quote anywhere else, or
one that is not closed, is no record. (Spark's own parser guesses at these, and mixes up characters where a separator is
longer than one.) No line holds a newline, so a newline serves as the separator while a line is taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline.config import Source


def delimited(text: Column, source: Source, fields: Sequence[str]) -> Column:
    """A struct of text fields, null where empty or one of `null_values`; null when a line has fewer or more fields
    than the header, or quotes where they do not belong."""
    parts = F.split(_newlines_between(text, source), "\n")
    struct = F.struct(*[_read(F.get(parts, F.lit(i)), source).alias(name) for i, name in enumerate(fields)])
    record = F.size(parts) == len(fields)
    if source.quote:
        record &= ~text.contains(source.quote) | F.forall(parts, lambda part: _well_quoted(part, source.quote))
    return F.when(record, struct)


def _newlines_between(text: Column, source: Source) -> Column:
    """The text with a newline for every separator that is outside of quotes; null when a quote is not closed."""
    separator, newline = F.lit(source.separator), F.lit("\n")
    plain = F.replace(text, separator, newline)
    if not source.quote:
        return plain
    turns = F.split(F.replace(text, F.lit(source.quote), newline), "\n")  # outside, inside, outside, ...
    apart = F.transform(turns, lambda turn, i: F.when(i % 2 == 0, F.replace(turn, separator, newline)).otherwise(turn))
    quoted = F.when(F.size(turns) % 2 == 1, F.array_join(apart, source.quote))
    return F.when(text.contains(source.quote), quoted).otherwise(plain)


def _well_quoted(part: Column, quote: str) -> Column:
    """No quote at all, or one at each end and only doubled ones between."""
    whole = (F.char_length(part) >= 2) & part.startswith(quote) & part.endswith(quote)
    doubled = F.replace(_inside(part), F.lit(2 * quote), F.lit(""))
    return ~part.contains(quote) | (whole & ~doubled.contains(quote))


def _inside(part: Column) -> Column:
    return F.substring(part, F.lit(2), F.char_length(part) - 2)


def _read(part: Column, source: Source) -> Column:
    value = part
    if quote := source.quote:
        unquoted = F.replace(_inside(part), F.lit(2 * quote), F.lit(quote))
        value = F.when(part.startswith(quote), unquoted).otherwise(part)
    if source.null_values:
        value = F.when(~F.trim(value).isin(*source.null_values), value)
    return F.nullif(value, F.lit(""))


def names_in(header: str, source: Source) -> list[str]:
    """The fields that a header names; none when it is no record."""
    separator, quote = source.separator, source.quote
    turns = header.split(quote) if quote else [header]
    if len(turns) % 2 == 0:
        return []
    apart = [turn if i % 2 else turn.replace(separator, "\n") for i, turn in enumerate(turns)]
    return [
        part[1:-1].replace(2 * quote, quote) if quote and part.startswith(quote) else part
        for part in quote.join(apart).split("\n")
    ]
