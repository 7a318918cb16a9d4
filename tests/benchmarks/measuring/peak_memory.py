"""The most memory that this process and its children ever held together.

Shared pages count once: what is summed is each process's proportional share (PSS), which the kernel gives in
`/proc/PID/smaps_rollup`. Of anonymous shared files (memfd) all pages count, those too that no process has mapped since
the one that wrote them ended.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")
PERIOD_S = 0.05


class PeakMemory:
    """Samples in a thread while its block runs; `bytes` is the largest sum seen so far."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self.bytes = 0
        self._period_s = period_s
        self._ended, self._wanted = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._wanted.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wanted.set()
        self._thread.join()
        self.look()

    def pause(self) -> None:
        """Stop sampling: walking the pages of a large process takes its time from the same cores."""
        self._wanted.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Sample no more inside the block, which is timed."""
        self.pause()
        try:
            yield
        finally:
            self._wanted.set()

    def look(self) -> None:
        """Take one sample now."""
        self.bytes = max(self.bytes, held_bytes((os.getpid(), *descendants(os.getpid()))))

    def _sample(self) -> None:
        while not self._ended.wait(self._period_s):
            self._wanted.wait()
            self.look()


def held_bytes(processes: Sequence[int]) -> int:
    """Of all these processes together; one that has just ended holds nothing."""
    shares = [proportional_bytes(process) for process in processes]
    files = {inode: size for process in processes for inode, size in shared_files(process)}
    of_files = max(sum(shared for _, shared in shares), sum(files.values()))
    return sum(total - shared for total, shared in shares) + of_files


def proportional_bytes(process: int) -> tuple[int, int]:
    """A process's share of all its memory, and of that in shared memory."""
    try:
        rollup = (PROC / str(process) / "smaps_rollup").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    kib = {line.split()[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    return 1024 * kib.get("Pss:", 0), 1024 * kib.get("Pss_Shmem:", 0)


def shared_files(process: int) -> Iterator[tuple[int, int]]:
    """(inode, bytes it takes) of each memfd that a process has open."""
    folder = PROC / str(process) / "fd"
    names = list[str]()
    with suppress(FileNotFoundError, ProcessLookupError):
        names = os.listdir(folder)
    for name in names:
        with suppress(FileNotFoundError, ProcessLookupError):  # it was closed in between
            if os.readlink(folder / name).startswith("/memfd:"):
                found = (folder / name).stat()
                yield found.st_ino, 512 * found.st_blocks


def descendants(ancestor: int) -> list[int]:
    """The children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, pending = list[int](), [ancestor]
    while pending:
        born = children.get(pending.pop(), [])
        found += born
        pending += born
    return found
