"""One block of memory that all processes of a training share.

It is a memfd: it has no name in any file system, workers open it through the parent's open file, and it is gone when
the last process is, however that one ended.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsengine.specs import Array

ALIGNMENT = 64
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where an array lies in the block."""

    offset: int
    shape: Shape
    dtype: str

    @property
    def bytes(self) -> int:
        """Its size."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def lay_out(arrays: Mapping[str, tuple[Shape, str]]) -> tuple[dict[str, Place], int]:
    """A place for every array (name -> shape and dtype), one behind the other, and the size of the block."""
    places, end = {}, 0
    for name, (shape, dtype) in arrays.items():
        places[name] = Place(end, tuple(shape), dtype)
        end += -(-places[name].bytes // ALIGNMENT) * ALIGNMENT
    return places, max(end, ALIGNMENT)


class Memory:
    """The block, as named arrays."""

    def __init__(self, places: Mapping[str, Place], file: int, size: int) -> None:
        self._map, self._places = mmap.mmap(file, size), dict(places)
        self._arrays = {name: self._array(place) for name, place in places.items()}

    def _array(self, place: Place) -> Array:
        """np.frombuffer keeps the map from being closed under its array; an ndarray made of the map would not."""
        count = place.bytes // np.dtype(place.dtype).itemsize
        if not count:
            return np.empty(place.shape, place.dtype)
        return np.frombuffer(self._map, place.dtype, count, place.offset).reshape(place.shape)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def give_back_all_but(self, kept: Iterable[str]) -> None:
        """Give the system the pages of all other arrays, which are zeros from now on."""
        end = 0
        for place in sorted((self._places[name] for name in kept), key=lambda place: place.offset):
            self._give_back(end, place.offset)
            end = place.offset + place.bytes
        self._give_back(end, len(self._map))

    def _give_back(self, begin: int, end: int) -> None:
        first, last = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if first < last:
            self._map.madvise(mmap.MADV_REMOVE, first, last - first)

    def close(self) -> None:
        """Let go of the block; arrays that were taken from it keep it until they are gone themselves."""
        self._arrays = {}
        with contextlib.suppress(BufferError):
            self._map.close()


def create(size: int) -> int:
    """A new block of zeros; the file descriptor that keeps it.

    Raises MemoryError when it would not fit into what the machine, or this process's control group, has left.
    """
    free = available_bytes()
    if size > free:
        raise MemoryError(
            f"training needs {size:,} bytes of shared memory (parameters, slots, gradients); {free:,} are free"
        )
    file = os.memfd_create("training", os.MFD_CLOEXEC)
    os.ftruncate(file, size)
    return file


def open_from(process: int, file: int) -> int:
    """Open the block that another process holds."""
    return os.open(f"/proc/{process}/fd/{file}", os.O_RDWR | os.O_CLOEXEC)


def available_bytes(root: Path = Path("/")) -> int:
    """What can still be allocated: the machine's estimate, or what a control group has left where that is less."""
    free = [1 << 62]
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) * 1024)
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            free += _left(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            free += _left(root / "sys/fs/cgroup/memory", path, *names)
    return min(free)


def _left(top: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int]:
    """What a group and those above it have left. Cached file pages count as used, but are given back when needed."""
    own = top / path.lstrip("/")
    for folder in (own, *own.parents):
        if (folder / limit).exists() and (most := (folder / limit).read_text().strip()) != "max":
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield int(most) - int((folder / usage).read_text()) + int(stat.get(cache, 0))
        if folder == top:
            return
