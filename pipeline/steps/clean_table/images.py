"""idx files as rows: one task a pair of files, handed to Spark as Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.idx import read_pairs

IMAGES = "line binary, source_file string, label string"


def image_rows(spark: SparkSession, pairs: Sequence[tuple[str, str]], shape: tuple[int, int]) -> DataFrame:
    """A row an image: `line`, its bytes; `source_file`; `fields`, the struct of its label as text."""
    files = spark.createDataFrame(
        spark.sparkContext.parallelize(list(pairs), len(pairs)), "images string, labels string"
    )
    read = files.mapInArrow(_reader(shape), IMAGES)
    return read.select("line", "source_file", F.struct("label").alias("fields"))


def _reader(shape: tuple[int, int]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for pair in batch.to_pylist():
                for images, labels in read_pairs(pair["images"], pair["labels"], shape):
                    columns = [images, [pair["images"]] * len(images), [str(label) for label in labels]]
                    arrays = [pa.array(columns[0], pa.binary()), *(pa.array(c, pa.string()) for c in columns[1:])]
                    yield pa.RecordBatch.from_arrays(arrays, names=["line", "source_file", "label"])

    return read
