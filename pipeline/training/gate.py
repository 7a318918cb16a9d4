"""The gate: may this candidate serve?

`at_least` and `at_most` look at the value on the evaluation rows. `change_at_least` and `change_at_most` look at
candidate minus the model in service on the same rows: the one-sided 95 % bound over resamples of users must keep the
threshold, so a candidate that might be worse than allowed is refused. The first model has only its values to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.errors import PipelineError
from pipeline.training.bootstrap import REPLICATES, changes, statistic
from pipeline.training.bootstrap import Scored as Scored
from pipeline.training.metrics import user_codes

if TYPE_CHECKING:
    from pipeline.config import Threshold

CONFIDENCE = 0.95
Outcome = Literal["blessed", "refused", "first"]


@dataclass(frozen=True)
class Check:
    """One threshold and what was found. `change` and its `bound` are of the change thresholds only."""

    metric: str
    condition: str
    threshold: float
    candidate: float
    service: float | None
    change: float | None
    bound: float | None
    passed: bool

    @property
    def reason(self) -> str:
        """In words, for the log and `gate.json`."""
        wanted = f"{self.condition.replace('_', ' ')} {self.threshold:g}"
        if not self.condition.startswith("change"):
            return f"{self.metric} must be {wanted}, got {self.candidate:.4f}"
        side = "lower" if self.condition == "change_at_least" else "upper"
        bound = "no resample has both classes" if self.bound is None else f"{side} 95 % bound {self.bound:+.4f}"
        return (
            f"{self.metric} must {wanted} against the model in service, got {self.change:+.4f} with {bound} "
            f"({self.candidate:.4f} against {self.service:.4f})"
        )


@dataclass(frozen=True)
class Verdict:
    """`blessed` and `first` may serve, `refused` may not; the reasons say why in words, the checks in numbers."""

    outcome: Outcome
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """What `gate.json` holds."""
        return {
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "checks": [asdict(check) for check in self.checks],
            "replicates": REPLICATES,
            "confidence": CONFIDENCE,
        }


def judge(thresholds: Mapping[Any, Threshold], candidate: Scored, baseline: Scored | None) -> Verdict:
    """Hold a candidate against the thresholds of `[gate]`; `baseline` is the model in service on the same rows.

    Raises PipelineError when the two were not scored on the same rows, or the rows hold one class only.
    """
    if baseline is not None:
        _same_rows(candidate, baseline)
    checks = tuple(
        check for metric, threshold in thresholds.items() for check in _checks(metric, threshold, candidate, baseline)
    )
    failed = tuple(check.reason for check in checks if not check.passed)
    if failed:
        return Verdict("refused", failed, checks)
    if baseline is None:
        return Verdict("first", ("there is no model in service: values were judged, changes were not",), checks)
    return Verdict("blessed", ("every threshold is kept",), checks)


def _checks(metric: str, threshold: Threshold, candidate: Scored, service: Scored | None) -> Iterator[Check]:
    """One check for each condition that is declared and can be judged."""
    found = value_of(metric, candidate)
    for condition in ("at_least", "at_most"):
        if (limit := getattr(threshold, condition)) is not None:
            yield Check(metric, condition, limit, found, None, None, None, _keeps(condition, found, limit))
    if service is None:
        return
    for condition in ("change_at_least", "change_at_most"):
        if (limit := getattr(threshold, condition)) is not None:
            bound = bound_of(condition, metric, candidate, service)
            passed = bound is not None and _keeps(condition, bound, limit)
            there = value_of(metric, service)
            yield Check(metric, condition, limit, found, there, found - there, bound, passed)


def value_of(metric: str, scored: Scored) -> float:
    """The metric with every user counted once. Raises PipelineError when the rows cannot tell."""
    value = statistic(metric, scored)(np.ones(user_codes(scored.users)[1]))
    if not np.isfinite(value):
        raise PipelineError(f"{metric} cannot be computed: the evaluation rows hold one class only. Judge on more days")
    return value


def bound_of(condition: str, metric: str, candidate: Scored, service: Scored) -> float | None:
    """The cautious end of the change: the lower 95 % bound where it must be high, the upper where it must be low."""
    found = changes(metric, candidate, service)
    if not len(found):
        return None
    if condition == "change_at_least":
        return float(np.quantile(found, 1 - CONFIDENCE, method="lower"))
    return float(np.quantile(found, CONFIDENCE, method="higher"))


def _keeps(condition: str, value: float, limit: float) -> bool:
    return value >= limit if condition.endswith("at_least") else value <= limit


def _same_rows(candidate: Scored, service: Scored) -> None:
    differing = [
        name
        for name in ("label", "weight", "users")
        if not np.array_equal(np.asarray(getattr(candidate, name)), np.asarray(getattr(service, name)))
    ]
    if differing:
        raise PipelineError(
            f"the gate compares two models on the same rows, but their {', '.join(differing)} differ; "
            "score both on one list of rows"
        )
