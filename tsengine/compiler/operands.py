"""Operands: where each value of a bound plan lies in memory, as a kernel that takes addresses has to know it.

A buffer or a constant never moves. What is fed and what a variable holds may lie elsewhere in every run: such a value
is a place from a base, and the base's address is looked up when running. A view is a place in what it views.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tsengine.compiler.program import Step
from tsengine.specs import Array, Spec

FIXED = 0
"""The base of what never moves; its address is 0, and offsets from it are addresses."""


class Operand(NamedTuple):
    """An array's base, its bytes from there, shape, strides in elements, and dtype."""

    base: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie one after the other in C order."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


def fixed(array: Array) -> Operand | None:
    """An array that stays where it is."""
    return _described(array, FIXED, address_of(array))


def moving(base: int, spec: Spec) -> Operand:
    """A whole array in C order that begins at a base."""
    shape = tuple(size or 0 for size in spec.shape or ())
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return Operand(base, 0, shape, tuple(reversed(strides[: len(shape)])), spec.dtype)


def viewed(step: Step, source: Operand, others: Mapping[int, Array]) -> Operand | None:
    """What a view of an operand is, found by taking it of an array of the same form; None where it has to copy.

    others: arrays, by their place among the step's inputs, for all but the first.
    """
    assert step.op.view is not None
    if not source.contiguous:
        return None
    model = np.empty(source.shape, source.dtype)  # memory that is reserved and never touched
    try:
        view = step.op.view(model, *(others[place] for place in range(1, len(step.inputs))), **step.attrs)
    except ValueError:
        return None  # the run will say it, with the node's name
    if view.size and not np.may_share_memory(view, model):
        return None
    return _described(view, source.base, source.offset + address_of(view) - address_of(model))


def address_of(array: Array) -> int:
    """Where an array begins."""
    return int(array.__array_interface__["data"][0])


def _described(array: Array, base: int, offset: int) -> Operand | None:
    size = array.itemsize
    if any(stride % size for stride in array.strides):
        return None
    return Operand(base, offset, array.shape, tuple(stride // size for stride in array.strides), array.dtype)
