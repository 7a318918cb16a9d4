"""JSON lines: one object a line, and its fields as text.

Text of a number is dear: Spark writes the number anew to get it. So most lines are read another way first, for which
numbers are numbers: it is good for a flat object whose numbers are as one expects. The others are read once more, field
by field as text. What a line says is the same either way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence, Set

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.config import Column, Source

OPTIONS = {"allowSingleQuotes": "false"}
NOT_AS_EXPECTED = "not as expected"


def whole_numbers(source: Source, mentioned: Set[str], lines: Iterable[str]) -> frozenset[str]:
    """Fields that are whole numbers wherever some lines have them, and that every column wants as such; what `sql`
    mentions is taken as it is written.

    What they are in other lines changes nothing but the time that reading takes.
    """
    objects = [found for line in lines if isinstance(found := _parsed(line), dict)]
    said = [(name, value) for found in objects for name, value in found.items() if value is not None]
    numbers = {name for name, _ in said} - {name for name, value in said if type(value) is not int}
    other = {column.source for column in source.columns.values() if not _is_whole(column)}
    return frozenset(numbers - other - mentioned)


def _is_whole(column: Column) -> bool:
    return column.values is None and (column.time is not None or column.type in ("int", "long"))


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def with_json_fields(table: DataFrame, text: SparkColumn, fields: Sequence[str], whole: frozenset[str]) -> DataFrame:
    """The table with a struct `fields` of texts, null where the text is not one JSON object."""
    mark = NOT_AS_EXPECTED
    while mark in fields:
        mark += "_"
    types = {name: "bigint" if name in whole else "string" for name in fields}
    schema = ", ".join(f"`{name}` {type_}" for name, type_ in {**types, mark: "string"}.items())
    quick = F.from_json(F.when(_flat(text), text), schema, {**OPTIONS, "columnNameOfCorruptRecord": mark})
    table = table.withColumn("_quick", quick)  # a column of its own is computed once
    read = F.col("_quick").isNotNull() & F.col(f"_quick.`{mark}`").isNull()
    slow = _as_texts(F.when(~read, text), fields)
    plain = F.struct(*[F.col(f"_quick.`{name}`").cast("string").alias(name) for name in fields])
    return table.withColumn("_slow", slow).withColumn("fields", F.when(read, plain).otherwise(F.col("_slow")))


def _flat(text: SparkColumn) -> SparkColumn:
    """Begins with a brace and ends with the only closing one: if that is an object, nothing stands behind it."""
    return text.startswith("{") & (F.instr(text, "}") == F.char_length(text))


def _as_texts(text: SparkColumn, fields: Sequence[str]) -> SparkColumn:
    """One JSON object and nothing behind it: read as the only element of a list, what is glued to it is an error.

    But Spark reads no further than the end of the list: where the text itself may hold that, it must also be the only
    value of an object, which the same bracket breaks.
    """
    schema = "array<struct<" + ", ".join(f"`{name}`: string" for name in fields) + ">>"
    found = F.from_json(F.concat(F.lit("["), text, F.lit("]")), schema, OPTIONS)
    inside = F.from_json(F.concat(F.lit('{"v":'), text, F.lit("}")), "struct<v: struct<>>", OPTIONS)
    whole = ~text.contains("]") | inside["v"].isNotNull()
    alone = F.ltrim(text).startswith("{") & (F.size(found) == 1) & whole
    return F.when(alone, F.get(found, F.lit(0)))
