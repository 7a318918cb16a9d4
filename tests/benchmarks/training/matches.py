"""Who is compared with whom, and what was promised: ours over a peer, as the ratio of medians over processes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.measuring.table import Row
from tests.benchmarks.training.peers import PEERS

OURS = "tsengine"
Answers = Mapping[str, Sequence[Mapping[str, Any]]]
"""Side -> what each of its processes printed."""


@dataclass(frozen=True)
class Match:
    """A workload on so many cores beside peers; the bar is on the ratio to the best of `against`."""

    workload: str
    cores: int
    workers: int
    peers: tuple[str, ...]
    bar: float
    against: tuple[str, ...]

    def commands(self, ours: str, theirs: str, seconds: float) -> dict[str, list[str]]:
        """The command of each side, by the Python that runs it."""
        size = [self.workload, "--threads", str(self.cores), "--seconds", str(seconds)]
        workers = ["--workers", str(self.workers)] if self.workers else []
        peers = {peer: [theirs, "-m", "tests.benchmarks.training.peers", peer, *size] for peer in self.peers}
        return {OURS: [ours, "-m", "tests.benchmarks.train_step", *size, *workers], **peers}

    def rows(self, answers: Answers) -> list[Row]:
        """A row a side: median, lowest and highest steps a second; ours over it; the bar, where it is on this peer."""
        rates = {
            side: [answer["steps_s"] for answer in said if "absent" not in answer] for side, said in answers.items()
        }
        medians = {side: statistics.median(seen) for side, seen in rates.items() if seen}
        rival = max(self.against, key=lambda peer: medians.get(peer, 0.0))
        rows = [self._row(OURS, rates[OURS])]
        for peer in self.peers:
            if peer in medians:
                rows.append(self._row(peer, rates[peer], medians[OURS] / medians[peer], peer == rival))
            else:
                rows.append(self._missing(peer, f"absent: {answers[peer][0]['absent']}", peer == rival))
        return rows

    def unmatched(self, reason: str) -> list[Row]:
        """The rows of a match that this machine cannot hold."""
        return [self._missing(OURS, reason, False), *(self._missing(peer, reason, True) for peer in self.against)]

    def _row(self, side: str, rates: Sequence[float], ratio: float | None = None, rival: bool = False) -> Row:
        verdict = "" if ratio is None or not rival else "held" if ratio >= self.bar else "missed"
        return {
            **self._head(side),
            "steps_s": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "ours_over_it": "" if ratio is None else ratio,
            "bar": self.bar if rival else "",
            "verdict": verdict,
        }

    def _missing(self, side: str, reason: str, rival: bool) -> Row:
        nothing = dict.fromkeys(("steps_s", "lowest", "highest", "ours_over_it"), "")
        return {**self._head(side), **nothing, "bar": self.bar if rival else "", "verdict": reason}

    def _head(self, side: str) -> Row:
        workers = f", {self.workers} workers" if self.workers and side == OURS else ""
        return {"workload": self.workload, "cores": self.cores, "side": side + workers}


MATCHES = (
    Match("tiny", 1, 0, PEERS, 1.5, ("jax",)),
    Match("mlp", 1, 0, PEERS, 0.9, ("jax",)),
    Match("ctr", 1, 0, PEERS, 1.2, ("tensorflow",)),
    Match("ctr", 2, 2, ("torch", "tensorflow"), 1.8, ("torch", "tensorflow")),
)
