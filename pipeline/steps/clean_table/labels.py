"""What a label is that a column of a table says."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline.config import ColumnLabel


def label_of(label: ColumnLabel, prefix: str = "") -> Column:
    """What a label's column says, as a float; null where it says nothing that the label knows."""
    value = F.col(prefix + label.column)
    if label.classes is not None:
        return F.when((value >= 0) & (value < label.classes), value).cast("float")
    text = value.cast("string")
    negative = text.isin(list(label.zeros)) if label.zeros else text.isNotNull()
    return F.when(text.isin(list(label.positive)), F.lit(1.0)).when(negative, F.lit(0.0)).cast("float")
