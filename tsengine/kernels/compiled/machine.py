"""The machine: a loop, compiled once, over rows of integers, each of which is one call of a compiled kernel.

A row is [address of the kernel, where its arrays lie, its sizes]. Where an array lies is a pair (place in the table of
pointers, bytes from there), the result first; buffers of a plan never move and are pairs of place 0, which points at 0.
So a plan of any graph needs no compiling of its own: a hundred small steps are one call from Python, about 0.03 us each
where a NumPy call takes 0.5 us.

A kernel returns 0, or 1 where it refuses its input (an id outside the table): the machine stops and says at which row.
Kernels are compiled when a plan first binds them, and kept by Numba beside the source or, where that cannot be written
to, in the user's cache folder: a second process compiles nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 32
"""Integers in a row."""
WHOLE = 1 << 40
"""The size of a flat array whose end nobody looks at. Kernels cut lines out of it: `x[a : a + n]` with an index that
starts at 0 becomes a vector loop, `x[a + i]` does not, because the sum could be negative and would count from the end.
"""
_POINTER = types.CPointer(types.int64)
_SIGNATURE = types.int64(_POINTER, _POINTER)


function = njit(error_model="numpy")
"""A part of kernels, compiled into each of them; x / 0 is infinite or NaN, as in NumPy."""
inlined = njit(error_model="numpy", inline="always")
"""The body of a loop: a call with its arrays takes 20 ns, as long as a row of 16 numbers."""


def _digest() -> str:
    """Of all sources of this folder."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


_SOURCES = _digest()


def kept(function: Any) -> Any:
    """The function under a name of its own for each state of this folder's sources.

    Numba keeps what it compiled by that name, and looks whether the function's file has changed; the files of the parts
    compiled into it, it does not look at.
    """
    function.__qualname__ = f"{function.__qualname__}.{_SOURCES}"
    return function


class Kernel:
    """A kernel(row, pointers) -> 0 or 1, compiled when its address is first asked for."""

    def __init__(self, function: Callable[[Any, Any], int]) -> None:
        self.function = function

    @cached_property
    def compiled(self) -> Any:
        """As Numba made it."""
        return cfunc(_SIGNATURE, cache=True, error_model="numpy")(kept(self.function))

    @property
    def address(self) -> int:
        """Where its machine code lies."""
        return int(self.compiled.address)


@intrinsic
def _call(typing: Any, address: Any, row: Any, pointers: Any) -> Any:
    """Call a kernel by its address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [word.as_pointer(), word.as_pointer()])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), list(arguments[1:]))

    return types.int64(types.int64, _POINTER, _POINTER), generate


@intrinsic
def _begin(typing: Any, array: Any) -> Any:
    """Pointer to the first element of an array of int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return _POINTER(array), generate


def _pointer_of(kind: Any) -> Any:
    """An intrinsic: an address as a pointer to that type."""
    pointer = types.CPointer(kind)

    @intrinsic
    def at(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    return at


_float32_at, _float64_at = _pointer_of(types.float32), _pointer_of(types.float64)
_int32_at, _int64_at = _pointer_of(types.int32), _pointer_of(types.int64)


@njit(cache=True, nogil=True)
@kept
def run(code: Any, pointers: Any) -> int:
    """Call the kernels of all rows [n, WIDTH], in order; -1, or the row whose kernel refused."""
    table = _begin(pointers)
    for row in range(len(code)):
        if _call(code[row, 0], _begin(code[row]), table) != 0:
            return row
    return -1


@function
def address(row: Any, pointers: Any, place: int) -> Any:
    """Where the array at that place of the row lies."""
    return pointers[row[1 + 2 * place]] + row[2 + 2 * place]


@function
def float32(row: Any, pointers: Any, place: int, size: int) -> Any:
    """An array of the row, as a flat one of that many elements."""
    return carray(_float32_at(address(row, pointers, place)), size)


@function
def float64(row: Any, pointers: Any, place: int, size: int) -> Any:
    """An array of the row, as a flat one of that many elements."""
    return carray(_float64_at(address(row, pointers, place)), size)


@function
def int32(row: Any, pointers: Any, place: int, size: int) -> Any:
    """An array of the row, as a flat one of that many elements."""
    return carray(_int32_at(address(row, pointers, place)), size)


@function
def int64(row: Any, pointers: Any, place: int, size: int) -> Any:
    """An array of the row, as a flat one of that many elements."""
    return carray(_int64_at(address(row, pointers, place)), size)


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of array[index] before it is needed; costs nothing where the guess was wrong."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        flag, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        wanted = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(wanted, [place, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def address_of(array: Any) -> int:
    """Where a NumPy array begins."""
    return int(array.__array_interface__["data"][0])


def code_of(rows: list[list[int]]) -> Any:
    """Rows as the array that `run` takes."""
    code = np.zeros((len(rows), WIDTH), np.int64)
    for place, row in enumerate(rows):
        code[place, : len(row)] = row
    return code
