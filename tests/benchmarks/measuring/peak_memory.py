"""The most memory that this process and its children ever held together.

Shared pages count once: what is summed is each process's proportional share (PSS), which the kernel gives in
`/proc/PID/smaps_rollup`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
        self.bytes = max(self.bytes, sum(map(pss, (os.getpid(), *descendants(os.getpid())))))

    def _sample(self) -> None:
        while not self._ended.wait(self._period_s):
            self._wanted.wait()
            self.look()


def pss(process: int) -> int:
    """Bytes of a process, its part of shared pages alone; 0 when it has just ended."""
    try:
        rollup = (PROC / str(process) / "smaps_rollup").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


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
