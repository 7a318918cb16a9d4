"""The learning curve: JSON lines always, TensorBoard events where that package is installed."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class Curves:
    """Numbers by step, appended to `<folder>/curve.jsonl` and to an event file beside it."""

    def __init__(self, folder: str) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._lines = (Path(folder) / "curve.jsonl").open("a", encoding="utf-8")
        self._events: Any = _event_writer(folder)

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        if self._events is not None:
            self._events.close()

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """One point of every curve."""
        self._lines.write(json.dumps({"step": step, **numbers}) + "\n")
        self._lines.flush()
        if self._events is not None:
            self._events.add_event(_event(step, numbers))


def _event_writer(folder: str) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(folder)


def _event(step: int, numbers: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto import event_pb2, summary_pb2

    values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
    return event_pb2.Event(wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=values))
