"""Verdicts: what is refused, what is blessed, and that numbers and words say why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.config import Threshold
from pipeline.errors import PipelineError
from pipeline.training import metrics
from pipeline.training.gate import Scored, judge

USERS = 300


@pytest.fixture
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, labels and users of 3,000 rows."""
    rng = np.random.default_rng(17)
    probability = rng.uniform(0.05, 0.9, 3000)
    return probability, (rng.uniform(size=3000) < probability).astype(float), rng.integers(0, USERS, 3000)


def noisy(truth: tuple[np.ndarray, np.ndarray, np.ndarray], noise: float, seed: int = 1) -> Scored:
    """A model that sees the truth through noise."""
    probability, label, users = truth
    blurred = np.clip(probability + np.random.default_rng(seed).normal(0, noise, len(label)), 0.01, 0.99)
    return Scored(label, blurred, np.ones(len(label)), users)


def test_the_first_model_shows_its_values_only(truth: tuple[np.ndarray, ...]) -> None:
    verdict = judge({"auc": Threshold(at_least=0.6, change_at_least=0.5)}, noisy(truth, 0.1), None)  # type: ignore[arg-type]
    assert verdict.outcome == "first"
    assert [check.condition for check in verdict.checks] == ["at_least"]
    assert "no model in service" in verdict.reasons[0]


def test_a_first_model_below_its_value_is_refused(truth: tuple[np.ndarray, ...]) -> None:
    scored = noisy(truth, 0.1)  # type: ignore[arg-type]
    verdict = judge({"auc": Threshold(at_least=0.95)}, scored, None)
    expected = metrics.auc(scored.label, scored.score)
    assert verdict.outcome == "refused"
    assert verdict.reasons == (f"auc must be at least 0.95, got {expected:.4f}",)


def test_a_better_model_is_blessed_and_a_worse_one_refused(truth: tuple[np.ndarray, ...]) -> None:
    good, bad = noisy(truth, 0.05), noisy(truth, 0.6)  # type: ignore[arg-type]
    thresholds = {
        "auc": Threshold(change_at_least=-0.002),
        "gauc": Threshold(change_at_least=-0.002),
        "logloss": Threshold(change_at_most=0.002),
    }
    assert judge(thresholds, good, bad).outcome == "blessed"
    refused = judge(thresholds, bad, good)
    assert refused.outcome == "refused"
    assert [check.passed for check in refused.checks] == [False, False, False]
    assert all(check.change is not None and check.change != 0 for check in refused.checks)


def test_an_uncertain_gain_does_not_count(truth: tuple[np.ndarray, ...]) -> None:
    one, other = noisy(truth, 0.2, seed=1), noisy(truth, 0.2, seed=2)  # type: ignore[arg-type]
    by_luck = sorted((one, other), key=lambda scored: metrics.auc(scored.label, scored.score))
    check = judge({"auc": Threshold(change_at_least=0.0)}, by_luck[1], by_luck[0]).checks[0]
    assert check.change is not None and check.bound is not None
    assert check.change > 0 > check.bound
    assert not check.passed


def test_the_same_model_passes_a_margin_of_zero(truth: tuple[np.ndarray, ...]) -> None:
    scored = noisy(truth, 0.1)  # type: ignore[arg-type]
    thresholds = {"auc": Threshold(change_at_least=0.0), "logloss": Threshold(change_at_most=0.0)}
    verdict = judge(thresholds, scored, scored)
    assert verdict.outcome == "blessed"
    assert [check.bound for check in verdict.checks] == [0.0, 0.0]


def test_a_loss_must_stay_below(truth: tuple[np.ndarray, ...]) -> None:
    scored = noisy(truth, 0.1)  # type: ignore[arg-type]
    value = metrics.logloss(scored.label, scored.score)
    assert judge({"logloss": Threshold(at_most=value + 0.01)}, scored, None).outcome == "first"
    assert judge({"logloss": Threshold(at_most=value - 0.01)}, scored, None).outcome == "refused"


def test_the_order_of_rows_does_not_matter(truth: tuple[np.ndarray, ...]) -> None:
    probability, label, users = truth
    turned = (probability[::-1], label[::-1], users[::-1])
    thresholds = {"auc": Threshold(change_at_least=-0.01)}
    noise = np.random.default_rng(2).normal(0, 0.2, 3000)
    bounds = []
    for p, y, u, n in ((*truth, noise), (*turned, noise[::-1])):
        service = Scored(y, np.clip(p + n, 0.01, 0.99), np.ones(3000), u)
        bounds.append(judge(thresholds, Scored(y, p, np.ones(3000), u), service).checks[0].bound)
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-12)


def test_models_scored_on_other_rows_are_not_compared(truth: tuple[np.ndarray, ...]) -> None:
    scored = noisy(truth, 0.1)  # type: ignore[arg-type]
    other = Scored(scored.label, scored.score, np.full(3000, 2.0), scored.users)
    with pytest.raises(PipelineError, match="their weight differ"):
        judge({"auc": Threshold(at_least=0.5)}, scored, other)


def test_a_verdict_is_json(truth: tuple[np.ndarray, ...]) -> None:
    scored = noisy(truth, 0.1)  # type: ignore[arg-type]
    verdict = judge({"auc": Threshold(at_least=0.6, change_at_least=-0.01)}, scored, scored)
    read = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert read["outcome"] == "blessed"
    assert [check["condition"] for check in read["checks"]] == ["at_least", "change_at_least"]
    assert (read["replicates"], read["confidence"]) == (1000, 0.95)
