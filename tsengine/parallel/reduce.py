"""Whose turn it is to sum what, so that the result depends on the shards alone and not on who computed them.

Dense parameters lie end to end in one vector, in blocks of 64; rank r owns the r-th slice of the blocks. Rows of tables
are owned in blocks of 64, block mod ranks. An owner adds the shards' gradients in shard order and makes the update:
element by element, row by row, so where a slice ends changes no bit.

Where gradients are clipped by a norm, that needs all of them first. An owner then sums the squares of each of its
blocks in float64 into shared memory; when all have done so, every rank adds the blocks' in their order, then the
variables' in theirs, and gets the same norm. Rows that several shards name are one sum by then, so a table's norm is
that of the gradient for which its slices stand.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsengine.kernels import calls_for
from tsengine.kernels.calls import Distinct
from tsengine.parallel.errors import NotFinite, ProgramError
from tsengine.parallel.memory import Memory
from tsengine.parallel.parameters import BLOCK, Parameter, blocks_of
from tsengine.specs import Array


@dataclass(frozen=True)
class _Own:
    """A rank's part of a parameter: a slice of the flattened dense variable or rows of a table, and its gradient."""

    parameter: Parameter
    place: slice | Array
    gradient: Array


class Reducer:
    """One rank's part in summing and updating: `publish` every shard, wait for all ranks, then `update`.

    Where it `measures`, the ranks call `measure` and wait for each other once more before they update.
    """

    def __init__(
        self,
        memory: Memory,
        parameters: tuple[Parameter, ...],
        clip_global_norm: float | None,
        rank: int,
        size: int,
        same_ids: Mapping[str, str] | None = None,
    ) -> None:
        """same_ids: for a table the first one that is always looked up by the same ids, itself perhaps."""
        self._memory, self._parameters, self._limit = memory, parameters, clip_global_norm
        self._rank, self._size, self._same_ids = rank, size, same_ids or {}
        blocks = blocks_of(memory["gradient"].shape[1])
        self._begin, self._end = blocks * rank // size * BLOCK, blocks * (rank + 1) // size * BLOCK
        self._calls = calls_for()
        self._published: dict[str, Distinct] = defaultdict(self._calls.distinct)
        self._owned: dict[str, Distinct] = defaultdict(self._calls.distinct)
        self._room: dict[str, Array] = {}
        self._measured: list[_Own] = []
        self.measures = any(p.measured for p in parameters)

    def publish(self, shard: int, gradients: Mapping[str, Any]) -> None:
        """Put a shard's gradients where their owners find them; a table's duplicates are summed first."""
        found = set[str]()
        for p in self._parameters:
            gradient = gradients[p.name]
            if not p.table_rows:
                self._memory["gradient"][shard, p.begin : p.begin + p.size] = np.ravel(gradient)
                continue
            ids = self._ids_of(p)
            if ids not in found:
                found.add(ids)
                self._publish_ids(ids, shard, gradient.indices)
            self._publish_sums(p, shard, self._published[ids], gradient.values)

    def measure(self) -> None:
        """Sum what this rank owns over the shards in their order, and show the sums of squares of its blocks.

        Raises NotFinite naming the first variable whose gradient is not a number.
        """
        self._measured = list(self._sums())
        for own in self._measured:
            if own.parameter.measured:
                self._show_squares(own)

    def update(self, step: int, average: bool = True) -> None:
        """Make the step on what this rank owns, summed over the shards in their order. `average`: averages move too.

        Raises NotFinite as `measure` does, where that was not called.
        """
        scales = self._scales() if self.measures else {}
        for own in self._measured if self.measures else self._sums():
            if average or not own.parameter.follows:
                self._apply(own, scales.get(own.parameter.name, 1.0), step)
        self._measured = []

    def _ids_of(self, p: Parameter) -> str:
        """The table under whose name the ids of a table are known."""
        return self._same_ids.get(p.name, p.name)

    def _publish_ids(self, ids: str, shard: int, indices: Array) -> None:
        found, rows = self._published[ids], self._memory[f"rows/{ids}"]
        found.find(indices.reshape(-1))
        if len(found.rows) > rows.shape[1]:
            raise ProgramError(_too_many(found, ids, rows.shape[1]))
        self._memory[f"count/{ids}"][shard, 0] = len(found.rows)
        rows[shard, : len(found.rows)] = found.rows

    def _publish_sums(self, p: Parameter, shard: int, found: Distinct, values: Array) -> None:
        if len(found.rows) > p.table_rows:
            raise ProgramError(_too_many(found, p.name, p.table_rows))
        found.sum(values, self._memory[f"values/{p.name}"][shard, : len(found.rows)])

    def _sums(self) -> Iterator[_Own]:
        """What this rank owns of each parameter, checked, and clipped by value."""
        found = set[str]()
        for p in self._parameters:
            own = self._own_rows(p, found) if p.table_rows else self._own_slice(p)
            if not np.isfinite(own.gradient).all():
                raise NotFinite(f"the gradient of variable '{p.name}' is NaN or infinite")
            if p.how.clip_value is not None:
                np.clip(own.gradient, *p.how.clip_value, out=own.gradient)
            yield own

    def _own_slice(self, p: Parameter) -> _Own:
        """The part of a dense variable that lies in this rank's slice; it may be empty."""
        first = min(max(p.begin, self._begin), p.begin + p.size)
        end = max(first, min(p.begin + p.size, self._end))
        shards = self._memory["gradient"]
        total = shards[0, first:end].copy()
        for shard in range(1, len(shards)):
            total += shards[shard, first:end]
        return _Own(p, slice(first - p.begin, end - p.begin), total)

    def _own_rows(self, p: Parameter, found: set[str]) -> _Own:
        """The rows of a table whose block is this rank's. found: whose ids were looked at in this step."""
        ids = self._ids_of(p)
        if ids not in found:
            found.add(ids)
            counts, rows = self._memory[f"count/{ids}"][:, 0], self._memory[f"rows/{ids}"]
            self._owned[ids].find_owned(counts, rows, BLOCK, self._rank, self._size)
        rows, values = self._owned[ids].rows, self._memory[f"values/{p.name}"]
        summed = self._room_for(p, len(rows))
        self._owned[ids].sum(values, summed)
        return _Own(p, rows, summed)

    def _room_for(self, p: Parameter, rows: int) -> Array:
        """Memory for the gradients of so many rows of a table, the same from step to step."""
        if p.name not in self._room or len(self._room[p.name]) < rows:
            self._room[p.name] = np.empty((rows, *p.shape[1:]), np.float32)
        return self._room[p.name][:rows]

    def _show_squares(self, own: _Own) -> None:
        """The sum of squares of each block of this rank: of a dense one its elements', of a table's row by row."""
        squares = self._memory[f"squares/{own.parameter.name}"]
        if isinstance(own.place, slice):
            first = own.place.start // BLOCK
            padded = np.zeros((blocks_of(own.gradient.size), BLOCK))
            padded.reshape(-1)[: own.gradient.size] = own.gradient
            squares[first : first + len(padded)] = np.add.reduce(padded * padded, axis=1)
            return
        rows = own.gradient.astype(np.float64).reshape(len(own.gradient), math.prod(own.gradient.shape[1:]))
        summed = np.bincount(own.place // BLOCK, np.add.reduce(rows * rows, axis=1), own.parameter.blocks)
        squares[self._rank :: self._size] = summed[self._rank :: self._size]

    def _scales(self) -> dict[str, float]:
        """What the gradient of each measured variable is to be multiplied with: the same numbers on every rank."""
        norms, scales = dict[str, float](), dict[str, float]()
        for p in self._parameters:
            if p.measured:
                norms[p.name] = math.sqrt(np.add.reduce(self._memory[f"squares/{p.name}"]))
                scales[p.name] = _scale(norms[p.name], p.how.clip_norm)
        together = math.sqrt(sum((scales[name] * norm) ** 2 for name, norm in norms.items()))
        return {name: scale * _scale(together, self._limit) for name, scale in scales.items()}

    def _apply(self, own: _Own, scale: float, step: int) -> None:
        p, gradient, how = own.parameter, own.gradient, own.parameter.how
        if not gradient.size:
            return
        if scale != 1.0:  # what is short enough keeps its bits
            gradient *= np.float32(scale)
        parameter = self._memory[f"parameter/{p.name}"]
        slots = {key: self._memory[f"slot/{p.name}/{key}"] for key in p.slots}
        if not isinstance(own.place, slice):
            self._calls.apply_rows(how.rule, parameter, slots, own.place, gradient, step, how.rate(step))
            return
        inside = parameter.reshape(-1)[own.place]
        if how.weight_decay:
            gradient += np.float32(how.weight_decay) * inside
        inside_slots = {key: slot.reshape(-1)[own.place] for key, slot in slots.items()}
        self._calls.apply_dense(how.rule, inside, inside_slots, gradient, step, how.rate(step))


def _too_many(found: Distinct, table: str, most: int) -> str:
    return f"a shard has gradients for {len(found.rows)} rows of '{table}', the program said {most} at most"


def _scale(norm: float, limit: float | None) -> float:
    return 1.0 if limit is None else limit / max(norm, limit)
