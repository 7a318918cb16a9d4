"""idx files as rows: one task a pair of files, read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.idx import read_pairs

IMAGES = "line binary, source_file string, label string"


def image_rows(spark: SparkSession, pairs: Sequence[tuple[str, str]], shape: tuple[int, int]) -> DataFrame:
    """A row an image: `line`, its bytes; `source_file`; `fields`, the struct of its label as text.

    Spark has no reader for what is neither lines nor records of one length, so Python tasks read the files.
    """
    files = spark.sparkContext.parallelize(list(pairs), len(pairs))
    read = spark.createDataFrame(files.flatMap(_reader(shape)), IMAGES, verifySchema=False)
    return read.select("line", "source_file", F.struct("label").alias("fields"))


def _reader(shape: tuple[int, int]) -> Callable[[tuple[str, str]], Iterator[tuple[bytearray, str, str]]]:
    def read(pair: tuple[str, str]) -> Iterator[tuple[bytearray, str, str]]:
        for images, labels in read_pairs(*pair, shape):
            for image, label in zip(images, labels, strict=True):
                yield bytearray(image), pair[0], str(label)

    return read
