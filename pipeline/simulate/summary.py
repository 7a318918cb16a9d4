"""What a correct cleaning must count, from the simulator's own account of its dirt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.simulate.blocks import BlockLogs
from pipeline.simulate.dirt import BECOMES_EVENT

DUPLICATE = "duplicate"


@dataclass(frozen=True)
class TruthSummary:
    """Delivered lines and their fates; lines that would arrive after the last day are not counted anywhere."""

    lines: Mapping[tuple[str, int], int]
    """Delivered lines by (source, day of arrival)."""
    by_kind: Mapping[str, int]
    """Lines of `events` by kind of dirt, robots included."""
    by_rule: Mapping[str, int]
    """Lines of `events` that must be quarantined, by rule."""
    duplicates: int
    """Lines of `events` that must be dropped as duplicates."""
    events_kept: int
    """Lines of `events` that must become events: the clean, the repaired and the robots'."""


def truth_summary(logs: Iterable[BlockLogs]) -> TruthSummary:
    """The counts that cleaning all these logs must give."""
    lines, kinds, fates = Counter[tuple[str, int]](), Counter[str](), Counter[str]()
    for log in logs:
        lines.update({place: len(found) for place, found in log.lines.items()})
        kinds.update(kind for _, _, _, kind, _ in log.dirt)
        fates.update(fate for _, _, _, _, fate in log.dirt)
    by_rule = {fate: n for fate, n in sorted(fates.items()) if fate not in (*BECOMES_EVENT, DUPLICATE)}
    delivered = sum(n for (source, _), n in lines.items() if source == "events")
    kept = delivered - fates[DUPLICATE] - sum(by_rule.values())
    return TruthSummary(dict(lines), dict(sorted(kinds.items())), by_rule, fates[DUPLICATE], kept)
