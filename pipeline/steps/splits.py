"""What an event itself says of the values that sums are split by."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import HOUR, Config
from pipeline.steps.instants import local_hour


def event_value(config: Config, by: str, table: str = "") -> Column:
    """The column `by` of an event (of `table` where several are joined), or the hour at which it happened."""
    prefix = f"{table}." if table else ""
    if by == HOUR and HOUR not in schemas.events(config):
        return local_hour(F.col(f"{prefix}event_time"), config.product.zone)
    return F.col(f"{prefix}{by}")
