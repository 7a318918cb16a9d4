"""One raw file, written again without some of its lines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from pipeline.errors import DamagedData
from pipeline.steps.clean_logs.lines import BYTE_ORDER_MARK
from pipeline.storage import Drain, compressed, decompressed, files_at


@dataclass(frozen=True)
class Rewritten:
    """What was written for a file: where, and of the lines that it lacks their number and the sum of their xxh64."""

    path: str
    target: str
    lines: int
    digest: int


def without_lines(path: str, target: str, hashes: Sequence[str], expected: int) -> Rewritten:
    """Write the lines whose SHA-256 is none of `hashes` (a byte order mark belongs to the file, not to its first line).

    Raises DamagedData, and leaves the target as it was, unless so many lines are left out as were expected.
    """
    dropped: list[bytes] = []
    wanted = frozenset(hashes)

    def kept() -> Iterator[bytes]:
        with files_at(path).open(path) as file:
            stream = decompressed(path, file)
            first = stream.readline()
            mark = BYTE_ORDER_MARK if first.startswith(BYTE_ORDER_MARK) else b""
            yield mark
            line = first.removeprefix(mark)
            while line:
                bare = line.removesuffix(b"\n")
                if hashlib.sha256(bare).hexdigest() in wanted:
                    dropped.append(bare)
                else:
                    yield line
                line = stream.readline()
        _check(path, len(dropped), expected)

    files_at(target).write_atomic(target, compressed(target, kept()))
    return Rewritten(path, target, len(dropped), sum(map(xxhash.xxh64_intdigest, dropped)))


def without_rows(path: str, target: str, indices: Sequence[int], expected: int) -> Rewritten:
    """Write the rows of a Parquet file that are not at these places, in the row groups and types that it has."""
    files_at(target).write_atomic(target, _rows_but(path, frozenset(indices), expected))
    return Rewritten(path, target, len(indices), 0)


def _rows_but(path: str, indices: frozenset[int], expected: int) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    drain, begin, dropped = Drain(), 0, 0
    with files_at(path).open(path) as file:
        source = pq.ParquetFile(file)
        with pq.ParquetWriter(pa.PythonFile(drain, mode="w"), source.schema_arrow, **_layout(source)) as writer:
            for number in range(source.num_row_groups):
                rows = source.read_row_group(number)
                keep = pa.array([begin + place not in indices for place in range(rows.num_rows)], pa.bool_())
                kept = rows.filter(keep)
                if kept.num_rows:
                    writer.write_table(kept, row_group_size=kept.num_rows)
                begin, dropped = begin + rows.num_rows, dropped + rows.num_rows - kept.num_rows
                yield from drain.taken()
    _check(path, dropped, expected)
    yield from drain.taken()


def _layout(source: Any) -> dict[str, Any]:
    """How a file is written: the compression of each column, and old timestamps where it has such."""
    footer = source.metadata
    if not footer.num_row_groups:
        return {}
    chunks = [footer.row_group(0).column(place) for place in range(footer.num_columns)]
    return {
        "compression": {chunk.path_in_schema: _codec(chunk.compression) for chunk in chunks},
        "use_deprecated_int96_timestamps": any(chunk.physical_type == "INT96" for chunk in chunks),
        "write_page_checksum": True,
    }


def _codec(name: str) -> str:
    """As the writer calls it."""
    return "NONE" if name == "UNCOMPRESSED" else str(name)


def _check(path: str, dropped: int, expected: int) -> None:
    if dropped != expected:
        raise DamagedData(
            f"{path}: {expected} lines were to be left out, {dropped} were found; has it changed meanwhile? It stays "
            "as it is. Type the same command again"
        )
