"""Settings of the shared session for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession


@contextmanager
def spark_settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """These in the block, and what was there before behind it."""
    before = {name: spark.conf.get(name, None) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, usual in before.items():
            spark.conf.unset(name) if usual is None else spark.conf.set(name, usual)


@contextmanager
def shuffles(spark: SparkSession, partitions: int) -> Iterator[None]:
    """That many partitions, also where little data would be put together."""
    exactly = {"spark.sql.adaptive.coalescePartitions.enabled": "false"}
    with spark_settings(spark, {"spark.sql.shuffle.partitions": str(partitions), **exactly}):
        yield
