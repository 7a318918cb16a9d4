"""Raw logs as they lie on the storage: which files a source has on a day, and that every one can be read to its end.

A source's files either have a manifest (the simulator writes one) or are whatever matches its path. Those without one
are looked at once per process, one task a file: SHA-256, lines, and that a container (gzip, zstd, Parquet) is whole.
Gzip always has a checksum of its content; zstd and Parquet have one where their writer was told to add it.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import BinaryIO, cast

from pyspark.sql import SparkSession

from pipeline.config import Config, Source
from pipeline.days import Day
from pipeline.errors import DamagedData, MissingInput
from pipeline.steps.clean_logs import last_arrivals, raw_lines
from pipeline.storage import (
    FileEntry,
    Warehouse,
    data_files,
    decompressed,
    files_at,
    has_manifest,
    read_manifest,
    refuse_unread,
)

BLOCK = 1 << 20


@dataclass(frozen=True)
class Outside:
    """Something that a step reads and that is no dataset of a day: the raw files of a source, or a model."""

    name: str
    paths: tuple[str, ...]
    origin: str
    digest: str
    lines: int = 0
    bytes: int = 0
    arrived: Mapping[str, Day] = field(default_factory=dict)
    """Of raw files whose path names no day: the latest day on which a line of each arrived."""


class RawLogs:
    """Finds and checks the raw files of a product's sources."""

    def __init__(self, config: Config, warehouse: Warehouse, spark: SparkSession) -> None:
        self._config, self._warehouse, self._spark = config, warehouse, spark
        self._seen: dict[tuple[str, ...], tuple[FileEntry, ...]] = {}
        self._arrived: dict[tuple[str, ...], dict[str, Day]] = {}

    def of(self, name: str, day: Day) -> Outside:
        """The files of source `name` on `day` (all of them when its path names no day).

        Raises MissingInput when there is none, DamagedData naming a file whose container is cut or corrupt, ConfigError
        naming one that is compressed in a way that is not read.
        """
        source = self._config.sources[name]
        found = self.at(name, self.pattern(source, day), "path")
        return found if source.has_day else replace(found, arrived=self._last_arrivals(source, found.paths))

    def at(self, name: str, pattern: str, key: str) -> Outside:
        """The files of source `name` that match a full pattern, which `$.sources.<name>.<key>` says."""
        source, folder = self._config.sources[name], pattern.rpartition("/")[0]
        if "*" not in folder and has_manifest(folder):
            return self._published(name, folder)
        paths = tuple(path for path in files_at(pattern).glob(pattern) if not _is_hidden(path))
        if not paths:
            raise MissingInput(f"no raw files of source {name!r}: nothing matches {pattern} ($.sources.{name}.{key})")
        refuse_unread(paths)
        entries = self._look(paths, source.format)
        digest = hashlib.sha256("".join(entry.sha256 for entry in entries).encode()).hexdigest()
        lines, size = (sum(getattr(entry, what) for entry in entries) for what in ("rows", "bytes"))
        return Outside(f"raw/{name}", paths, "collected", digest, lines, size)

    def pattern(self, source: Source, day: Day) -> str:
        """The shell pattern of a source's files on a day, as a full path."""
        return self.full(source.path.replace("{dt}", str(day)))

    def full(self, path: str) -> str:
        """A path of the config as a full one: a relative path is taken from the product's folder."""
        return path if path.startswith("/") or "://" in path else self._warehouse.path(path)

    @staticmethod
    def _published(name: str, folder: str) -> Outside:
        manifest = read_manifest(folder)
        size = sum(entry.bytes for entry in manifest.files)
        return Outside(
            f"raw/{name}", tuple(data_files(folder)), manifest.origin, manifest.content_digest, manifest.rows, size
        )

    def _last_arrivals(self, source: Source, paths: tuple[str, ...]) -> dict[str, Day]:
        if paths not in self._arrived:
            raw = raw_lines(self._spark, paths, source)
            self._arrived[paths] = dict(map(tuple, last_arrivals(self._config, source, raw).collect()))
        return self._arrived[paths]

    def _look(self, paths: tuple[str, ...], format_: str) -> tuple[FileEntry, ...]:
        if paths not in self._seen:
            inspect = inspect_parquet if format_ == "parquet" else inspect_raw
            tasks = self._spark.sparkContext.parallelize(list(paths), min(len(paths), 64))
            results = tasks.map(inspect).collect()
            if damaged := [result for result in results if isinstance(result, str)]:
                raise DamagedData("\n".join(damaged))
            self._seen[paths] = tuple(result for result in results if isinstance(result, FileEntry))
        return self._seen[paths]


def _is_hidden(path: str) -> bool:
    """Markers and unfinished copies (`_SUCCESS`, `.part`, `a._COPYING_`), which Spark passes over too."""
    name = path.rpartition("/")[2]
    return name.startswith(("_", ".")) or name.endswith("._COPYING_")


def inspect_raw(path: str) -> FileEntry | str:
    """Lines, bytes and SHA-256 of a raw file, or one line that says why it cannot be read to its end."""
    with files_at(path).open(path) as file:
        stream = _Hashing(file)
        try:
            lines = _count_lines(decompressed(path, cast(BinaryIO, stream)))
        except (EOFError, OSError, zlib.error) as error:
            return _damaged(path, error)
        while stream.read(BLOCK):
            pass
    return FileEntry(path, lines, stream.size, stream.hex)


def inspect_parquet(path: str) -> FileEntry | str:
    """The same for a file of Parquet, whose lines are its rows; every page is decompressed once, and held to its
    checksum where it has one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files_at(path).open(path) as file:
        stream = _Hashing(file)
        while stream.read(BLOCK):
            pass
        try:
            rows = sum(batch.num_rows for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches())
        except (pa.ArrowException, OSError) as error:
            return _damaged(path, error)
    return FileEntry(path, rows, stream.size, stream.hex)


def _damaged(path: str, error: Exception) -> str:
    return f"{path} is damaged ({error}); deliver it again, or take it out of the folder"


def _count_lines(stream: BinaryIO) -> int:
    lines, last = 0, b"\n"
    while block := stream.read(BLOCK):
        lines += block.count(b"\n")
        last = block[-1:]
    return lines + (last != b"\n")


class _Hashing(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        block = self._file.read(count)
        self._digest.update(block)
        self.size += len(block)
        return block

    @cached_property
    def hex(self) -> str:
        return self._digest.hexdigest()
