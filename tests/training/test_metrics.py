"""Metrics against scikit-learn, pairs counted by hand, and cases whose value is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.training import metrics


@pytest.fixture
def rows() -> dict[str, Any]:
    """300 rows of 20 users with tied scores and weights, some of them 0."""
    rng = np.random.default_rng(5)
    score = np.round(rng.uniform(0.02, 0.98, 300), 2)
    return {
        "label": (rng.uniform(size=300) < score).astype(float),
        "score": score,
        "weight": rng.choice([0.0, 0.5, 1.0, 2.5], 300),
        "users": np.array([f"u{i}" for i in rng.integers(0, 20, 300)]),
    }


def pairs(label: Any, score: Any, weight: Any) -> float:
    """AUC by looking at every pair."""
    right = total = 0.0
    for i, j in itertools.product(np.flatnonzero(label == 1), np.flatnonzero(label == 0)):
        weighs = weight[i] * weight[j]
        total += weighs
        right += weighs * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    return right / total


def test_auc_is_the_share_of_rightly_ordered_pairs(rows: dict[str, Any]) -> None:
    expected = pairs(rows["label"], rows["score"], rows["weight"])
    assert metrics.auc(rows["label"], rows["score"], rows["weight"]) == pytest.approx(expected, abs=1e-12)


def test_auc_and_logloss_are_those_of_scikit_learn(rows: dict[str, Any]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    arguments = rows["label"], rows["score"], rows["weight"]
    expected = sklearn.roc_auc_score(rows["label"], rows["score"], sample_weight=rows["weight"])
    assert metrics.auc(*arguments) == pytest.approx(expected, abs=1e-12)
    expected = sklearn.log_loss(rows["label"], rows["score"], sample_weight=rows["weight"])
    assert metrics.logloss(*arguments) == pytest.approx(expected, abs=1e-12)


def test_auc_of_known_cases() -> None:
    assert metrics.auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.75
    assert metrics.auc([0, 1], [0.5, 0.5]) == 0.5
    assert metrics.auc([0, 1, 0, 1], [1, 2, 1, 2]) == 1.0
    assert metrics.auc([1, 0], [0.2, 0.7]) == 0.0


def test_an_integer_weight_is_a_repeated_row(rows: dict[str, Any]) -> None:
    times = np.random.default_rng(1).integers(0, 4, 300)
    repeated = {name: np.repeat(rows[name], times) for name in ("label", "score", "users")}
    whole = metrics.summary(rows["label"], rows["score"], times, rows["users"])
    again = metrics.summary(repeated["label"], repeated["score"], None, repeated["users"])
    assert whole.pop("calibration") == [pytest.approx(group) for group in again.pop("calibration")]
    assert whole == pytest.approx(again, abs=1e-12)


def test_gauc_is_the_weighted_mean_over_users_with_both_classes(rows: dict[str, Any]) -> None:
    rows["label"][rows["users"] == "u3"] = 0.0
    rows["label"][rows["users"] == "u4"] = 1.0
    rows["weight"][rows["users"] == "u5"] = 0.0
    total = weighed = users = 0.0
    for user in np.unique(rows["users"]):
        chosen = (rows["users"] == user) & (rows["weight"] > 0)
        if len(np.unique(rows["label"][chosen])) == 2:
            weight = rows["weight"][chosen]
            total, users = total + weight.sum(), users + 1
            weighed += weight.sum() * pairs(rows["label"][chosen], rows["score"][chosen], weight)
    value, both, one = metrics.gauc(rows["label"], rows["score"], rows["weight"], rows["users"])
    assert value == pytest.approx(weighed / total, abs=1e-12)
    assert (both, one) == (users, 19 - users)
    assert one >= 2


def test_users_may_be_integers_and_their_names_do_not_matter(rows: dict[str, Any]) -> None:
    numbers = np.array([int(user[1:]) for user in rows["users"]])
    arguments = rows["label"], rows["score"], rows["weight"]
    expected, found = metrics.gauc(*arguments, rows["users"]), metrics.gauc(*arguments, numbers)
    assert found[0] == pytest.approx(expected[0], abs=1e-12)
    assert found[1:] == expected[1:]


def test_gauc_does_not_reward_knowing_who_is_busy() -> None:
    label, users = [1, 1, 0, 0, 0, 1], ["a", "a", "a", "b", "b", "b"]
    knows_users_only = [0.9, 0.9, 0.9, 0.1, 0.1, 0.1]
    assert metrics.gauc(label, knows_users_only, None, users)[0] == 0.5
    assert metrics.auc(label, knows_users_only) > 0.5


def test_logloss_by_hand_and_at_the_ends() -> None:
    assert metrics.logloss([1, 0], [0.8, 0.4], [3, 1]) == pytest.approx(-(3 * math.log(0.8) + math.log(0.6)) / 4)
    assert metrics.logloss([1, 0], [1.0, 0.0]) == pytest.approx(0, abs=1e-15)
    assert metrics.logloss([1], [0.0]) == pytest.approx(-math.log(np.finfo(float).eps))


def test_the_mean_label_has_normalized_entropy_one() -> None:
    label, weight = np.array([1, 0, 0, 1]), np.array([1, 2, 3, 4])
    assert metrics.normalized_entropy(label, [0.5] * 4, weight) == pytest.approx(1.0, abs=1e-12)
    assert metrics.normalized_entropy(label, [0.9, 0.2, 0.2, 0.9], weight) < 1


def test_calibration_by_hand() -> None:
    groups = metrics.calibration([0, 1, 1, 1], [0.2, 0.2, 0.6, 0.8], [1, 1, 1, 1], bins=2)
    assert groups == [
        {"predicted": pytest.approx(0.2), "observed": 0.5, "weight": 2.0},
        {"predicted": pytest.approx(0.7), "observed": 1.0, "weight": 2.0},
    ]
    assert metrics.expected_calibration_error(groups) == pytest.approx(0.5 * 0.3 + 0.5 * 0.3)


def test_calibration_keeps_equal_scores_together() -> None:
    groups = metrics.calibration([0, 1] * 50, [0.3] * 100)
    assert [group["weight"] for group in groups] == [100.0]
    assert metrics.expected_calibration_error(groups) == pytest.approx(0.2)


def test_calibration_groups_weigh_about_the_same() -> None:
    score = np.linspace(0.001, 0.2, 10_000) ** 2
    weights = [group["weight"] for group in metrics.calibration(np.zeros(10_000), score, bins=20)]
    assert weights == [500.0] * 20


def test_one_class_is_refused_with_what_came() -> None:
    with pytest.raises(PipelineError, match="2 rows weigh 0 in positives and 2 in negatives"):
        metrics.auc([0, 0], [0.1, 0.2])
    with pytest.raises(PipelineError, match="both classes"):
        metrics.auc([0, 1], [0.1, 0.2], [1, 0])
    with pytest.raises(PipelineError, match="of 2 users none has"):
        metrics.gauc([0, 1], [0.1, 0.2], None, ["a", "b"])


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(PipelineError) as caught:
        metrics.auc([0, 2], [0.1, float("nan")], [1, -1])
    for part in ("labels must be 0 or 1", "row 1", "not negative"):
        assert part in str(caught.value)
    with pytest.raises(PipelineError, match="2 labels, 1 scores"):
        metrics.auc([0, 1], [0.1])
    with pytest.raises(PipelineError, match="positive weight"):
        metrics.summary([], [], None, [])


def test_a_small_user_beside_heavy_ones_is_summed_exactly() -> None:
    rng = np.random.default_rng(3)
    heavy, light = 200_000, 40
    label, score = rng.integers(0, 2, heavy + light).astype(float), rng.random(heavy + light)
    users = np.repeat([0, 1], [heavy, light])
    weight = np.where(users == 0, 1e6 * rng.random(heavy + light), 1e-6 * rng.random(heavy + light))
    ordered, positive, negative = metrics.auc_by_group(users, 2, label, score, weight)
    own = users == 1
    expected = pairs(label[own], score[own], weight[own])
    assert ordered[1] / (positive[1] * negative[1]) == pytest.approx(expected, rel=1e-9)


def test_sums_begin_anew_in_each_group() -> None:
    group, values = np.array([0, 0, 0, 2, 5, 5]), np.array([1.0, 2.0, 3.0, 7.0, 0.5, 0.25])
    assert metrics.sums_before(group, values).tolist() == [0, 1, 3, 0, 0, 0.5]
    assert metrics.sums_before(group[:0], values[:0]).tolist() == []


def test_where_each_row_is_a_user_of_its_own_there_is_no_gauc() -> None:
    found = metrics.summary([0, 1, 1], [0.2, 0.1, 0.9], None, ["a", "b", "c"])
    assert (found["auc"], found["gauc"], found["gauc_users"]) == (0.5, None, 0)
