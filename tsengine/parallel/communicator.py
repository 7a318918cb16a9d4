"""How ranks wait for each other and exchange small things. Another transport is another class with these calls."""

from __future__ import annotations

import os
import time
from typing import Protocol

import numpy as np

from tsengine.parallel.errors import Aborted, Stalled
from tsengine.parallel.memory import Memory
from tsengine.specs import Array

SPINS = 200
"""Turns of giving the core away before sleeping: with as many cores as ranks the others are there within a few."""
NAP_S = 50e-6


class Communicator(Protocol):
    """What training needs from a group of processes."""

    rank: int
    size: int

    def barrier(self) -> None:
        """Return when every rank has come here."""

    def allreduce(self, values: Array) -> Array:
        """The sum over ranks, added in rank order: the same bits on every rank."""

    def broadcast(self, values: Array, root: int = 0) -> Array:
        """The root's values on every rank."""

    def allgather(self, values: Array) -> Array:
        """Every rank's values, [size, ...]."""

    def close(self) -> None:
        """Leave the group."""


class SharedMemoryCommunicator:
    """Ranks of one machine: a counter each in shared memory, and a small mailbox each.

    A rank writes only its own counter; it waits until the others' have reached its own. Loads and stores of aligned 64
    bits are whole, and on x86 stores are seen in their order, so what a rank wrote before it arrived is there.
    """

    MAILBOX = 64
    """Floats that one exchange can carry."""

    def __init__(self, memory: Memory, rank: int, size: int, timeout_s: float) -> None:
        self.rank, self.size = rank, size
        self._arrived, self._abort, self._mail = memory["arrived"], memory["abort"], memory["mail"]
        self._timeout_s = timeout_s

    @staticmethod
    def arrays(size: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """What it needs in the block. Counters stand a cache line apart."""
        return {
            "arrived": ((size, 8), "<i8"),
            "abort": ((1,), "<i8"),
            "mail": ((size, SharedMemoryCommunicator.MAILBOX), "<f8"),
        }

    def barrier(self) -> None:
        """Return when every rank has come here; 0.01 ms for two ranks on two idle cores.

        Raises Aborted when the parent has given up, Stalled naming the ranks that did not come in time.
        """
        self._arrived[self.rank, 0] += 1
        mine, turns, deadline = int(self._arrived[self.rank, 0]), 0, time.monotonic() + self._timeout_s
        while int(self._arrived[:, 0].min()) < mine:
            if self._abort[0]:
                raise Aborted
            turns += 1
            if turns < SPINS:
                os.sched_yield()
            else:
                self._nap(mine, deadline)
        if self._abort[0]:
            raise Aborted

    def _nap(self, mine: int, deadline: float) -> None:
        time.sleep(NAP_S)
        if time.monotonic() > deadline:
            late = np.flatnonzero(self._arrived[:, 0] < mine).tolist()
            raise Stalled(f"worker {late} did not come within {self._timeout_s:.0f} s")

    def allreduce(self, values: Array) -> Array:
        """The sum over ranks in rank order, float64."""
        gathered = self.allgather(values)
        total = gathered[0].copy()
        for other in gathered[1:]:
            total += other
        return total

    def broadcast(self, values: Array, root: int = 0) -> Array:
        """The root's values, float64."""
        result: Array = self.allgather(values)[root]
        return result

    def allgather(self, values: Array) -> Array:
        """Every rank's values, [size, ...], float64; ValueError for more than MAILBOX of them."""
        count = values.size
        if count > self.MAILBOX:
            raise ValueError(f"a mailbox holds {self.MAILBOX} numbers, got {count}")
        self._mail[self.rank, :count] = values.ravel()
        self.barrier()
        found = self._mail[:, :count].reshape(self.size, *values.shape).copy()
        self.barrier()  # nobody may write the next message before all have read this one
        return found

    def close(self) -> None:
        """Nothing is held besides the memory."""
