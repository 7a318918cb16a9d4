"""The variable store of a graph: the one place where the values of its variables live.

A value is a NumPy array, made at first use. `bind` makes an outside array the storage itself, so that parameters can
lie in shared memory. Runs that only read hold the lock together; a run that updates holds it alone, so a reader never
sees half an update.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsengine.errors import StoreError, UninitializedVariable
from tsengine.specs import Array, Spec, aligned, format_shape

InitialRows = Callable[[int, int], Array]
_FILL_ROWS = 65_536


class ReadWriteLock:
    """Many readers or one writer. A waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._readers = 0
        self._waiting = 0
        self._writing = False

    @property
    def is_writing(self) -> bool:
        """Whether a writer holds it."""
        return self._writing

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock together with other readers."""
        with self._condition:
            while self._writing or self._waiting:
                self._condition.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                if not self._readers:
                    self._condition.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self._condition:
            self._waiting += 1
            while self._writing or self._readers:
                self._condition.wait()
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._condition:
                self._writing = False
                self._condition.notify_all()


@dataclass(frozen=True)
class Declaration:
    """What a variable's storage must be, and how it is filled: `initial(start, stop)` gives a range of its rows.

    `origin` says in an error who declared it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    initial: InitialRows | None
    origin: str = ""


class VariableStore:
    """Name -> array for the variables of one graph."""

    def __init__(self) -> None:
        self.lock = ReadWriteLock()
        self._making = threading.RLock()
        self._declared: dict[str, Declaration] = {}
        self._arrays: dict[str, Array] = {}

    def declare(self, name: str, declaration: Declaration) -> None:
        """Make a variable known; its array is made at first use."""
        self._declared[name] = declaration

    def spec(self, name: str) -> Spec:
        """dtype and shape of a variable."""
        declared = self._declaration(name)
        return Spec(declared.dtype, declared.shape)

    def names(self) -> list[str]:
        """Every declared variable, in the order they were made."""
        return list(self._declared)

    def array(self, name: str) -> Array:
        """The live storage, initialized at first use. Whoever writes to it changes the variable."""
        found = self._arrays.get(name)
        return found if found is not None else self._initialize(name)

    def storage(self, name: str) -> Array:
        """The live storage for one who overwrites all of it: nothing is initialized. The caller holds the lock."""
        self._declaration(name)
        with self._making:
            self._arrays[name] = storage = self._storage(name)
            return storage

    def get(self, name: str) -> Array:
        """A copy of the value."""
        with self.lock.reading():
            return self.array(name).copy()

    def set(self, name: str, value: Any) -> None:
        """Copy a value in; its shape must be the variable's."""
        self.set_many({name: value})

    def set_many(self, values: Mapping[str, Any]) -> None:
        """Copy values in, all at one moment: whoever reads meanwhile sees every one of them or none.

        Shapes must be the variables'. Raises StoreError with every fault at once, and then changes nothing.
        """
        given = {name: np.asarray(value) for name, value in values.items()}
        faults = [fault for name, array in given.items() if (fault := self._fault(name, array))]
        if faults:
            raise StoreError("; ".join(faults))
        with self.lock.writing(), self._making:
            storage = {name: self._storage(name) for name in given}  # memory may run out: before the first copy
            for name, array in given.items():
                np.copyto(storage[name], array, casting="same_kind")
            self._arrays |= storage

    def bind(self, name: str, array: Array) -> None:
        """Make `array` the storage itself; what it holds is the value from now on.

        It must have exactly the variable's shape and dtype, be C-contiguous and writable.
        """
        declared = self._declaration(name)
        faults = [
            f"{what} {want}, got {have}"
            for what, want, have in (
                ("shape", format_shape(declared.shape), format_shape(array.shape)),
                ("dtype", declared.dtype.name, array.dtype.name),
                ("C-contiguous", True, array.flags.c_contiguous),
                ("writable", True, array.flags.writeable),
            )
            if want != have
        ]
        if faults:
            raise StoreError(f"storage for variable '{name}' must have " + "; ".join(faults))
        with self.lock.writing():
            self._arrays[name] = array

    def reset(self) -> None:
        """Give every variable its initial value again, in the storage it has; the caller holds the writing lock."""
        for name, declared in self._declared.items():
            if declared.initial is not None:
                self._arrays[name] = storage = self._storage(name)
                fill(storage, declared.initial)

    def _declaration(self, name: str) -> Declaration:
        if name not in self._declared:
            raise StoreError(self._unknown(name))
        return self._declared[name]

    def _unknown(self, name: str) -> str:
        return f"there is no variable '{name}'; the graph has {', '.join(self._declared) or 'none'}"

    def _fault(self, name: str, given: Array) -> str | None:
        """Why an array cannot be the value of a variable."""
        declared = self._declared.get(name)
        if declared is None:
            return self._unknown(name)
        if given.shape != declared.shape:
            return f"variable '{name}' has shape {format_shape(declared.shape)}, got {format_shape(given.shape)}"
        if not np.can_cast(given.dtype, declared.dtype, "same_kind"):
            return f"variable '{name}' holds {declared.dtype.name}, got {given.dtype.name}"
        return None

    def _storage(self, name: str) -> Array:
        """The array that a variable has, or a fresh one for it, not yet filled."""
        declared, found = self._declared[name], self._arrays.get(name)
        return aligned(declared.shape, declared.dtype) if found is None else found

    def _initialize(self, name: str) -> Array:
        declared = self._declaration(name)
        with self._making:
            if name in self._arrays:
                return self._arrays[name]
            if declared.initial is None:
                raise UninitializedVariable(
                    f"attempting to use uninitialized variable '{name}' {declared.dtype.name}"
                    f"{format_shape(declared.shape)}{declared.origin}; put a value in with assign or graph.store.set"
                )
            storage = self._storage(name)
            fill(storage, declared.initial)
            self._arrays[name] = storage
            return storage


def fill(storage: Array, initial: InitialRows) -> None:
    """Write initial values block by block, so that a large table never exists twice. A scalar is one row."""
    if storage.ndim == 0:
        storage[...] = initial(0, 1)
        return
    for start in range(0, len(storage), _FILL_ROWS):
        stop = min(start + _FILL_ROWS, len(storage))
        storage[start:stop] = initial(start, stop)
