"""Raw logs as they lie on the storage: which files a source has on a day, and that every one can be read to its end.

A source's files either have a manifest (the simulator writes one) or are whatever matches its path. Those without one
are looked at once per process, one task a file: SHA-256, lines, and that a container (gzip, zstd, Parquet) is whole.
A damaged file stops the job, unless it is told to leave such files out: then those of a manifest are looked at too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import SparkSession

from pipeline.config import Config, Source
from pipeline.containers import DamagedFile, damaged, inspect_parquet, inspect_raw
from pipeline.days import Day
from pipeline.errors import ConfigError, DamagedData, MissingInput
from pipeline.steps.clean_logs import arrivals, raw_lines
from pipeline.storage import (
    FileEntry,
    Manifest,
    Warehouse,
    data_files,
    digest_of,
    files_at,
    has_manifest,
    path_of,
    read_manifest,
    refuse_unread,
)


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
    """Of raw files whose path names no day, by URI: the latest day on which a line of each arrived."""
    damaged: tuple[DamagedFile, ...] = ()
    """Raw files that are left out, `lines` and `bytes` do not count them."""


class RawLogs:
    """Finds and checks the raw files of a product's sources."""

    def __init__(
        self, config: Config, warehouse: Warehouse, spark: SparkSession, quarantine_files: bool = False
    ) -> None:
        """With `quarantine_files` damaged files are left out; ConfigError for a product of a table."""
        if quarantine_files and config.table is not None:
            raise ConfigError(
                f"--quarantine-files is for logs; {config.product.name!r} is a table, which is another one without a "
                "file of its rows. Deliver the file again"
            )
        self._config, self._warehouse, self._spark = config, warehouse, spark
        self._quarantine_files = quarantine_files
        self._seen: dict[tuple[str, ...], tuple[FileEntry | DamagedFile, ...]] = {}
        self._arrivals: dict[str, tuple[str, tuple[Day, Day]] | None] = {}

    def of(self, name: str, day: Day) -> Outside:
        """The files of source `name` on `day`. Of a source whose path names no day they are those with lines of that
        day, so that a file that comes later changes no day before.

        Raises MissingInput when there is none, DamagedData naming a file whose container is cut or corrupt (unless such
        files are to be left out), ConfigError naming one that is compressed in a way that is not read.
        """
        source = self._config.sources[name]
        found = self.at(name, self.pattern(source, day), "path", None if source.has_day else day)
        if source.has_day:
            return found
        last = {uri: last for uri, (_, last) in self._arrived(source, found.paths).items()}
        return replace(found, arrived=last)

    def at(self, name: str, pattern: str, key: str, day: Day | None = None) -> Outside:
        """The files of source `name` that match a full pattern, which `$.sources.<name>.<key>` says; with `day` those
        that have lines of it, besides damaged ones, of which nobody knows."""
        source, folder = self._config.sources[name], pattern.rpartition("/")[0]
        if "*" not in folder and has_manifest(folder):
            return self._published(name, folder, source.format)
        paths = tuple(path for path in files_at(pattern).glob(pattern) if not _is_hidden(path))
        if not paths:
            raise MissingInput(f"no raw files of source {name!r}: nothing matches {pattern} ($.sources.{name}.{key})")
        refuse_unread(paths)
        found = self._look(paths, source.format)
        self._refuse_damaged(found)
        if day is not None:
            found = self._with_lines_of(source, found, day)
        identity = "".join(f"damaged {one.sha256}" if isinstance(one, DamagedFile) else one.sha256 for one in found)
        return _outside(name, found, "collected", hashlib.sha256(identity.encode()).hexdigest())

    def pattern(self, source: Source, day: Day) -> str:
        """The shell pattern of a source's files on a day, as a full path."""
        return self.full(source.path.replace("{dt}", str(day)))

    def full(self, path: str) -> str:
        """A path of the config as a full one: a relative path is taken from the product's folder."""
        return path if path.startswith("/") or "://" in path else self._warehouse.path(path)

    def _published(self, name: str, folder: str, format_: str) -> Outside:
        manifest = read_manifest(folder)
        if self._quarantine_files:
            return self._looked_through(name, folder, manifest, format_)
        size = sum(entry.bytes for entry in manifest.files)
        return Outside(
            f"raw/{name}", tuple(data_files(folder)), manifest.origin, manifest.content_digest, manifest.rows, size
        )

    def _looked_through(self, name: str, folder: str, manifest: Manifest, format_: str) -> Outside:
        """Files of a manifest, each as it is now: one of other bytes is damaged, even where it can be read."""
        paths = {f"{folder}/{entry.name}": entry for entry in manifest.files}
        if gone := [path for path in paths if not files_at(path).exists(path)]:
            raise DamagedData(f"{gone[0]} is missing, but its manifest lists it; deliver this day again")
        found = [
            one
            if isinstance(one, DamagedFile) or one.sha256 == entry.sha256
            else damaged(path, "not as its manifest says")
            for (path, entry), one in zip(paths.items(), self._look(tuple(paths), format_), strict=True)
        ]
        lost = [one.sha256 for one in found if isinstance(one, DamagedFile)]
        digest = digest_of([manifest.content_digest, lost]) if lost else manifest.content_digest
        return _outside(name, found, manifest.origin, digest)

    def _refuse_damaged(self, found: Sequence[FileEntry | DamagedFile]) -> None:
        broken = [one for one in found if isinstance(one, DamagedFile)]
        if broken and not self._quarantine_files:
            way_out = "" if self._config.table is not None else ", or leave it out by --quarantine-files"
            told = "; deliver it again, take it out of the folder"
            raise DamagedData("\n".join(f"{one}{told}{way_out}" for one in broken))

    def _with_lines_of(
        self, source: Source, found: Sequence[FileEntry | DamagedFile], day: Day
    ) -> tuple[FileEntry | DamagedFile, ...]:
        """What came before the product's first day, or at no known time, is of the first day."""
        begin = self._config.product.first_day
        paths = tuple(one.name for one in found if isinstance(one, FileEntry))
        spans = dict.fromkeys(paths, (begin, begin))
        spans |= {path_of(uri): span for uri, span in self._arrived(source, paths).items()}
        of_the_day = {path for path, (first, last) in spans.items() if max(first, begin) <= day <= max(last, begin)}
        return tuple(one for one in found if isinstance(one, DamagedFile) or one.name in of_the_day)

    def _arrived(self, source: Source, paths: tuple[str, ...]) -> dict[str, tuple[Day, Day]]:
        """By URI, the first and the last day on which a line of a file arrived; a file without any clock is not there.
        Files are looked at once."""
        unknown = tuple(path for path in paths if path not in self._arrivals)
        if unknown:
            rows = arrivals(self._config, source, raw_lines(self._spark, unknown, source)).collect()
            found = {path_of(uri): (uri, (first, last)) for uri, first, last in rows}
            self._arrivals |= {path: found.get(path) for path in unknown}
        return dict(known for path in paths if (known := self._arrivals[path]) is not None)

    def _look(self, paths: tuple[str, ...], format_: str) -> tuple[FileEntry | DamagedFile, ...]:
        if paths not in self._seen:
            inspect = inspect_parquet if format_ == "parquet" else inspect_raw
            tasks = self._spark.sparkContext.parallelize(list(paths), min(len(paths), 64) or 1)
            self._seen[paths] = tuple(tasks.map(inspect).collect())
        return self._seen[paths]


def _outside(name: str, found: Sequence[FileEntry | DamagedFile], origin: str, digest: str) -> Outside:
    """The files that were looked at, by their full paths."""
    whole = [one for one in found if isinstance(one, FileEntry)]
    lines, size = (sum(getattr(entry, what) for entry in whole) for what in ("rows", "bytes"))
    broken = tuple(one for one in found if isinstance(one, DamagedFile))
    return Outside(f"raw/{name}", tuple(one.name for one in whole), origin, digest, lines, size, damaged=broken)


def _is_hidden(path: str) -> bool:
    """Markers and unfinished copies (`_SUCCESS`, `.part`, `a._COPYING_`), which Spark passes over too."""
    name = path.rpartition("/")[2]
    return name.startswith(("_", ".")) or name.endswith("._COPYING_")
