"""What a person sees while a job runs: a bar on a terminal, one line an event off it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm


class Progress:
    """Counts finished pieces of work; `log` says one event as `key=value` pairs in one line.

    On a terminal the bar stays at the bottom and events scroll above it; elsewhere there are only the events.
    """

    def __init__(self, total: int, what: str, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        terminal = self._stream.isatty()
        self._bar: Any = tqdm(total=total, desc=what, file=self._stream, disable=not terminal, leave=False, unit="step")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    @contextmanager
    def part(self) -> Iterator[Progress]:
        """The same progress for a part of the work that counts nothing of its own."""
        yield self

    def doing(self, what: str) -> None:
        """Name what is going on now."""
        self._bar.set_description(what)

    def done(self, count: int = 1) -> None:
        """`count` pieces are finished."""
        self._bar.update(count)

    def log(self, event: str, **fields: object) -> None:
        """One event, one line."""
        pairs = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
        line = f"{time.strftime('%H:%M:%S')} {event} {pairs}".rstrip()
        self._bar.write(line, file=self._stream) if not self._bar.disable else print(
            line, file=self._stream, flush=True
        )


def _plain(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f'"{text}"' if " " in text else text
