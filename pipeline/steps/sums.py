"""The sums that a feature needs of the days: what each is called, and what is made of it in a profile.

A measure is a count of events of one type (`enter` -> `count_enter`) or a sum of an integer column over them
(`watch.duration_ms` -> `sum_duration_ms_watch`). A profile holds sums of it over windows, how many keys had one, what
is left of it by decay, its sum over a group, and the key of a latest event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.config import Feature

TOTAL = ""
"""The key of a sum that is not split."""
FORGOTTEN = 2.0**-10
"""A split weight below this, of either sign, leaves the profile: a single event does after ten half-lives."""


@dataclass(frozen=True)
class Measure:
    """A count of `event`, or the sum of `column` over it."""

    event: str
    column: str | None = None

    def __lt__(self, other: Measure) -> bool:
        """A count comes before the sums of the same event."""
        return (self.event, self.column or "") < (other.event, other.column or "")

    @property
    def name(self) -> str:
        """Its column in `daily`."""
        return f"count_{self.event}" if self.column is None else f"sum_{self.column}_{self.event}"


@dataclass(frozen=True, order=True)
class Window:
    """A measure over the last `days` event days, split by `by` (not split when empty)."""

    by: str
    days: int
    measure: Measure

    @property
    def name(self) -> str:
        """Its column in a profile: of its own when not split, else an array that measures of one split share."""
        return f"by_{self.by}_{self.days}d" if self.by else f"{self.measure.name}_{self.days}d"


@dataclass(frozen=True, order=True)
class Distinct:
    """How many keys of a split had a measure above 0 in the last `days` event days."""

    by: str
    days: int
    measure: Measure

    @property
    def name(self) -> str:
        """Its column in a profile."""
        return f"distinct_{self.by}_{self.measure.name}_{self.days}d"


@dataclass(frozen=True, order=True)
class Decay:
    """A measure that fades: s = s * factor + x once a day, where x is what arrived on the day."""

    by: str
    half_life_days: int
    measure: Measure

    @property
    def name(self) -> str:
        """Its column in a profile: a number when not split, else an array of (key, weight), greatest weight first."""
        split = f"_by_{self.by}" if self.by else ""
        return f"decay_{self.measure.name}{split}_{self.half_life_days}d"

    @property
    def factor(self) -> float:
        """What a day leaves of it."""
        return float(2.0 ** (-1.0 / self.half_life_days))


@dataclass(frozen=True, order=True)
class Latest:
    """The key of a split at the latest event of a type."""

    by: str
    event: str

    @property
    def name(self) -> str:
        """Its column in a profile."""
        return f"latest_{self.by}_{self.event}"


@dataclass(frozen=True, order=True)
class Prior:
    """The sum of a window over all entities of the same value of an attribute of theirs."""

    attribute: str
    window: Window

    @property
    def name(self) -> str:
        """Its column in a profile."""
        return f"prior_{self.attribute}_{self.window.name}"


def parse_measure(text: str) -> Measure:
    """`enter` or `watch.duration_ms`."""
    event, _, column = text.partition(".")
    return Measure(event, column or None)


def measures_of(feature: Feature) -> tuple[Measure, ...]:
    """What one feature counts or sums; a rate's numerator, then its denominator."""
    named = (feature.count, feature.sum, *(feature.rate or ()), *_named_once(feature))
    return tuple(parse_measure(text) for text in named if text is not None)


def _named_once(feature: Feature) -> tuple[str | None, ...]:
    return (feature.share, feature.distinct, feature.decay, feature.top)


def window_measures(feature: Feature) -> Iterator[tuple[str, Measure]]:
    """(split, measure) of every sum over a window that a feature divides or gives."""
    for text in (feature.count, feature.sum, *(feature.rate or ()), feature.share):
        if text is not None:
            yield feature.by or TOTAL, parse_measure(text)
    if feature.share is not None:
        yield TOTAL, parse_measure(feature.share)


def distinct_of(feature: Feature) -> Distinct | None:
    """What a `distinct` feature reads of the profile."""
    if feature.distinct is None or feature.by is None:
        return None
    return Distinct(feature.by, feature.window_days, Measure(feature.distinct))


def decay_of(feature: Feature) -> Decay | None:
    """What a `decay` or `top` feature reads of the profile."""
    text = feature.decay or feature.top
    return None if text is None else Decay(feature.by or TOTAL, feature.half_life_days, parse_measure(text))


def priors_of(feature: Feature) -> tuple[Prior, ...]:
    """Of a rate with `prior_by`: that of the numerator, then that of the denominator."""
    if feature.prior_by is None:
        return ()
    return tuple(Prior(feature.prior_by, Window(TOTAL, feature.window_days, m)) for m in measures_of(feature))


def latest_of(feature: Feature) -> Latest | None:
    """What a `last` feature reads of the profile."""
    return None if feature.last is None or feature.by is None else Latest(feature.by, feature.last)
