"""A file of events that TensorBoard shows while it grows.

    <folder>/events.out.tfevents.<seconds>.<host>.<process>.<number>

Every writer makes a file of its own, which nobody else had or will have. An event is one record, written whole and
handed to the system at once: what was added is there although the process is killed right after it. Of a record that
was cut off while it was written, readers see nothing.
"""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, BinaryIO, SupportsIndex

import numpy as np

from tsengine.errors import SummaryError
from tsengine.specs import Array, spec_of
from tsengine.summary.buckets import buckets_of
from tsengine.summary.events import file_version, histogram_value, scalar_value, summary_event
from tsengine.summary.nodes import Summaries
from tsengine.summary.records import record


class FileWriter:
    """Writes summaries into a folder, which it makes where there is none. Threads may share a writer.

    clock: seconds since 1970, for the name of the file and the time of each event.
    """

    def __init__(self, folder: str, *, clock: Callable[[], float] = time.time) -> None:
        os.makedirs(folder, exist_ok=True)
        self._clock, now = clock, clock()
        self._file = _own_file(folder, int(now))
        self._append(file_version(now))

    @property
    def path(self) -> str:
        """The file that it writes."""
        return self._file.name

    def add_summary(self, summaries: Summaries, step: SupportsIndex) -> None:
        """Write what a run gave for `merge_all()`, or Summaries of values of your own, as one event.

        A scalar is one number; it may be NaN or infinite, and is rounded to float32. A histogram is of an array of any
        shape, also without elements. Raises SummaryError, and then writes nothing: where a value is none of these, a
        histogram's values are not all finite (there is no bucket for them, and TensorFlow 1 refuses them too), the step
        is no integer >= 0, or the writer is closed.
        """
        if not isinstance(summaries, Summaries):
            raise SummaryError(f"add_summary takes what a run gave for merge_all(), got {type(summaries).__name__}")
        values = [scalar_value(tag, _number(tag, value)) for tag, value in summaries.scalars.items()]
        values += [histogram_value(tag, buckets_of(_finite(tag, value))) for tag, value in summaries.histograms.items()]
        self._append(summary_event(self._clock(), _checked_step(step), values))

    def scalar(self, tag: str, value: Any, step: SupportsIndex) -> None:
        """Write one number that was computed outside of a graph, as `add_summary` does."""
        self.add_summary(Summaries({tag: value}, {}), step)

    def histogram(self, tag: str, values: Any, step: SupportsIndex) -> None:
        """Write a histogram of values that were computed outside of a graph, as `add_summary` does."""
        self.add_summary(Summaries({}, {tag: values}), step)

    def flush(self) -> None:
        """Wait until all events lie on the disk, where they outlive the machine's power too."""
        self._need_open()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the file; a second time does nothing."""
        self._file.close()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, event: bytes) -> None:
        self._need_open()
        self._file.write(record(event))
        self._file.flush()

    def _need_open(self) -> None:
        if self._file.closed:
            raise SummaryError(f"the writer of {self.path} is closed; another FileWriter of the folder goes on")


def _own_file(folder: str, seconds: int) -> BinaryIO:
    """A file that nobody else has: exclusively made, under the first name that is free."""
    name = f"events.out.tfevents.{seconds:010d}.{os.uname().nodename}.{os.getpid()}"
    number = 0
    while True:
        try:
            return open(os.path.join(folder, f"{name}.{number}"), "xb")
        except FileExistsError:
            number += 1


def _number(tag: str, value: Any) -> float:
    array = _numbers(f"scalar '{tag}' must be one number", value)
    if array.ndim:
        raise SummaryError(f"scalar '{tag}' must be one number, got {spec_of(array)}")
    return float(array)


def _finite(tag: str, values: Any) -> Array:
    array = _numbers(f"histogram '{tag}' must be of numbers", values)
    wrong = array.size - np.count_nonzero(np.isfinite(array))
    if wrong:
        nans = np.count_nonzero(np.isnan(array))
        raise SummaryError(
            f"histogram '{tag}' must be of finite numbers, got {nans} NaN and {wrong - nans} infinite ones "
            f"in {spec_of(array)}"
        )
    return array


def _numbers(wanted: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise SummaryError(f"{wanted}, got {value!r:.100}")
    return array


def _checked_step(step: SupportsIndex) -> int:
    try:
        number = operator.index(step)
    except TypeError:
        number = -1
    if not 0 <= number < 2**63:
        raise SummaryError(f"step must be an integer >= 0, got {step!r}")
    return number
