"""The raw files of a table: by split where its files say the split, and every idx file as long as its header says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pyspark.sql import SparkSession

from pipeline.config import Config, FileSplit, ImageFiles
from pipeline.errors import ConfigError, DamagedData, MissingInput
from pipeline.idx import inspect_pair
from pipeline.raw import Outside, RawLogs

ALL = ""
"""The one entry where a row's split is not said by its file."""


def table_files(config: Config, raw: RawLogs) -> dict[str, Outside]:
    """Split -> its files. Of idx files the `paths` are the images and then as many labels, the `lines` their rows.

    Raises ConfigError naming a file that is of two splits, MissingInput when a pattern matches nothing, DamagedData.
    """
    table, name = config.table, str(config.datasets.rows)
    assert table is not None
    if not isinstance(table.split, FileSplit):
        return {ALL: raw.at(name, raw.full(table.path), "path")}
    found = {}
    for split in table.split.names:
        files, key = getattr(table.split, split), f"split.{split}"
        of_split = (
            _pairs(raw, name, files, key) if isinstance(files, ImageFiles) else raw.at(name, raw.full(files), key)
        )
        found[split] = replace(of_split, name=f"{of_split.name}/{split}")
    if twice := sorted(_twice(found)):
        raise ConfigError(f"$.sources.{name}.split: {twice[0]}; a row is in one split, so let the patterns be apart")
    return found


def checked_pairs(spark: SparkSession, files: Outside, shape: tuple[int, int]) -> Outside:
    """The same with the number of images as its `lines`; DamagedData naming every pair that is not what it says."""
    pairs = pairs_of(files)
    tasks = spark.sparkContext.parallelize(pairs, len(pairs))
    results = tasks.map(lambda pair: inspect_pair(*pair, shape)).collect()
    if damaged := [result for result in results if isinstance(result, str)]:
        raise DamagedData("\n".join(damaged))
    return replace(files, lines=sum(int(result) for result in results))


def pairs_of(files: Outside) -> list[tuple[str, str]]:
    """(images, labels) of idx files."""
    half = len(files.paths) // 2
    return list(zip(files.paths[:half], files.paths[half:], strict=True))


def _pairs(raw: RawLogs, name: str, files: ImageFiles, key: str) -> Outside:
    images, labels = (raw.at(name, raw.full(getattr(files, kind)), f"{key}.{kind}") for kind in ("images", "labels"))
    if len(images.paths) != len(labels.paths):
        raise MissingInput(
            f"source {name!r}: {len(images.paths)} files of images, but {len(labels.paths)} of labels "
            f"($.sources.{name}.{key}): the n-th of both, by name, belong together"
        )
    digest = hashlib.sha256(f"{images.digest}{labels.digest}".encode()).hexdigest()
    paths = (*images.paths, *labels.paths)
    return Outside(images.name, paths, images.origin, digest, bytes=images.bytes + labels.bytes)


def _twice(found: Mapping[str, Outside]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for split, files in found.items():
        for path in files.paths:
            if owner.setdefault(path, split) != split:
                yield f"{path} is of {owner[path]!r} and of {split!r}"
