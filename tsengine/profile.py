"""Where the time of one run went: a line for each step of its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tsengine.compiler.program import Step


class Line(NamedTuple):
    """One step: the user's node, the primitive that ran, its seconds, and the bytes it read and wrote."""

    node: str
    op: str
    seconds: float
    bytes: int


class Profile:
    """Lines in the order in which the steps ran; as text, the slowest first."""

    def __init__(self, bytes_of: Callable[[Step], int]) -> None:
        self.lines: list[Line] = []
        self._bytes_of = bytes_of

    def add(self, step: Step, seconds: float) -> None:
        """Note a step."""
        self.lines.append(Line(step.node.name, step.op.name, seconds, self._bytes_of(step)))

    @property
    def seconds(self) -> float:
        """Of all steps together."""
        return sum(line.seconds for line in self.lines)

    def __str__(self) -> str:
        total = self.seconds or 1.0
        lines = [f"{'us':>10} {'share':>6} {'MB':>9} {'GB/s':>7}  op, node"]
        for node, op, seconds, size in sorted(self.lines, key=lambda line: -line.seconds):
            rate = size / seconds / 1e9 if seconds else 0.0
            lines.append(f"{1e6 * seconds:10.1f} {seconds / total:6.1%} {size / 1e6:9.3f} {rate:7.2f}  {op} '{node}'")
        return "\n".join([*lines, f"{1e6 * self.seconds:10.1f} us in {len(self.lines)} steps"])
