"""Which lines are a user's: those whose column says his id, read as cleaning reads them.

A line that cannot be taken apart says nothing by its columns. It is his where his id stands in its text, with neither a
letter nor a digit beside it.
"""

from __future__ import annotations

import codecs
import re

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config, Source
from pipeline.steps.clean_logs import HEADER, taken_apart, typed
from pipeline.steps.clean_logs.lines import RawLines, java_name
from pipeline.steps.clean_logs.rules import VALUE

HIS = "_his"
WORD = r"[\p{L}\p{N}_]"


def judged(config: Config, source: Source, column: str, raw: RawLines, text: str) -> DataFrame:
    """The lines of a source with HIS: whether they are of the user that `column` calls `text`."""
    alone = source.model_copy(update={"columns": {column: source.columns[column]}})
    lines = typed(alone, taken_apart(config, alone, raw))
    said = F.col(VALUE + column).cast("string") == F.lit(text)
    unread = F.col("fields").isNull() & _as_text(source).rlike(f"(?<!{WORD}){re.escape(text)}(?!{WORD})")
    his = F.coalesce(said, F.lit(False)) | F.coalesce(unread, F.lit(False))
    return lines.withColumn(HIS, his & ~F.col("fate").eqNullSafe(HEADER))


def _as_text(source: Source) -> Column:
    """The bytes of a line as text, whatever there is in them."""
    if codecs.lookup(source.encoding).name == "utf-8":
        return F.col("line").cast("string")
    return F.decode(F.col("line"), java_name(SparkSession.active(), source.encoding))
