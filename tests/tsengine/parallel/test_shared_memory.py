"""The block that workers share, and how ranks exchange through it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tsengine.parallel.parallel_programs import memory_of
from tsengine.parallel import memory as shared
from tsengine.parallel.communicator import SharedMemoryCommunicator
from tsengine.parallel.errors import Aborted, Stalled
from tsengine.parallel.memory import Memory, available_bytes, create, lay_out, open_from


@contextmanager
def block(arrays: dict[str, tuple[tuple[int, ...], str]]) -> Iterator[Memory]:
    memory = memory_of(arrays)
    yield memory
    memory.close()


@contextmanager
def group(size: int, timeout_s: float = 30.0) -> Iterator[list[SharedMemoryCommunicator]]:
    with block(SharedMemoryCommunicator.arrays(size)) as memory:
        yield [SharedMemoryCommunicator(memory, rank, size, timeout_s) for rank in range(size)]


def on_all(ranks: list[SharedMemoryCommunicator], work: Callable[[SharedMemoryCommunicator], Any]) -> list[Any]:
    """What every rank's own thread returned, or the error that it raised."""
    results: list[Any] = [None] * len(ranks)

    def run(rank: int) -> None:
        try:
            results[rank] = work(ranks[rank])
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(ranks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_arrays_lie_apart_and_aligned() -> None:
    places, size = lay_out({"a": ((3,), "<f4"), "b": ((), "<f8"), "c": ((0, 5), "<i8"), "d": ((100, 2), "<i4")})
    spans = sorted((place.offset, place.offset + place.bytes) for place in places.values())
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert all(place.offset % 64 == 0 for place in places.values())
    assert size >= spans[-1][1]
    with block({"a": ((3,), "<f4"), "b": ((2, 2), "<f8")}) as memory:
        memory["a"][...] = 1
        memory["b"][...] = 2
        assert (memory["a"].sum(), memory["b"].sum()) == (3, 8)
        assert memory["b"].dtype == np.float64


def test_another_process_sees_the_same_bytes() -> None:
    places, size = lay_out({"a": ((4,), "<i8")})
    file = create(size)
    here = Memory(places, file, size)
    again = open_from(os.getpid(), file)
    there = Memory(places, again, size)
    here["a"][2] = 7
    assert there["a"].tolist() == [0, 0, 7, 0]
    there.close()
    here.close()
    os.close(again)
    os.close(file)


def test_what_is_not_kept_is_given_back() -> None:
    sizes = {"before": 3000, "kept": 5000, "after": 300_000}
    places, size = lay_out({name: ((count,), "<f4") for name, count in sizes.items()})
    file = create(size)
    memory = Memory(places, file, size)
    for name in sizes:
        memory[name][...] = 7
    memory.give_back_all_but(["kept"])
    assert (memory["kept"] == 7).all()
    assert not memory["after"][2048:-2048].any()
    kept = memory["kept"]
    memory.close()
    os.close(file)
    assert (kept == 7).all()


def test_what_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < available_bytes() < 1 << 50
    monkeypatch.setattr(shared, "available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match=r"needs 1,001 bytes of shared memory .*; 1,000 are free"):
        create(1001)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_control_group_counts(tmp_path: Path, version: int) -> None:
    """The group's own limit or that of one above it; what its cache holds can be given back."""
    write(tmp_path / "proc", meminfo="MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    write(tmp_path / "proc/self", cgroup="4:memory:/jobs/one\n3:cpu:/\n" if version == 1 else "0::/jobs/one\n")
    top = tmp_path / ("sys/fs/cgroup/memory" if version == 1 else "sys/fs/cgroup")
    names = ("memory__limit_in_bytes", "memory__usage_in_bytes") if version == 1 else ("memory__max", "memory__current")
    cache = "total_inactive_file" if version == 1 else "inactive_file"
    assert available_bytes(tmp_path) == 8000 * 1024
    own = {names[0]: str(2**63 - 4096) if version == 1 else "max", names[1]: "500000", "memory__stat": f"{cache} 1\n"}
    write(top / "jobs/one", **own)
    assert available_bytes(tmp_path) == 8000 * 1024
    write(top / "jobs", **{names[0]: "600000", names[1]: "500000", "memory__stat": f"anon 3\n{cache} 40000\n"})
    assert available_bytes(tmp_path) == 140_000


def test_nobody_passes_a_barrier_before_all_have_come() -> None:
    seen: list[int] = []

    def work(rank: SharedMemoryCommunicator) -> None:
        for turn in range(200):
            seen.append(turn)
            rank.barrier()

    with group(3) as ranks:
        assert on_all(ranks, work) == [None] * 3
    assert seen == sorted(seen)


def test_sums_are_added_in_rank_order_on_every_rank() -> None:
    """1e16 + 1 - 1e16 depends on the order: from the left it is 0."""
    values = [np.array([1e16, 1.0]), np.array([1.0, 2.0]), np.array([-1e16, 3.0])]
    with group(3) as ranks:
        found = on_all(ranks, lambda rank: rank.allreduce(values[rank.rank]))
        assert [result.tolist() for result in found] == [[0.0, 6.0]] * 3


def test_every_rank_gets_all_and_the_roots_values() -> None:
    with group(2) as ranks:
        gathered = on_all(ranks, lambda rank: rank.allgather(np.full((2, 2), rank.rank)).tolist())
        assert gathered == [[[[0, 0], [0, 0]], [[1, 1], [1, 1]]]] * 2
        assert on_all(ranks, lambda rank: rank.broadcast(np.array([rank.rank + 5]), root=1).tolist()) == [[6], [6]]


def test_a_message_that_is_too_long_is_refused() -> None:
    with group(1) as (rank,), pytest.raises(ValueError, match="a mailbox holds 64 numbers, got 65"):
        rank.allgather(np.zeros(65))


def test_a_rank_that_does_not_come_is_named() -> None:
    with group(3, timeout_s=0.05) as ranks:
        ranks[2]._arrived[2, 0] = 1
        with pytest.raises(Stalled, match=r"worker \[1\] did not come"):
            ranks[0].barrier()


def test_whoever_waits_leaves_when_the_parent_gives_up() -> None:
    with group(2) as ranks:
        ranks[0]._abort[0] = 1
        with pytest.raises(Aborted):
            ranks[0].barrier()
