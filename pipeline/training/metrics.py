"""What a model is judged by: exact, weighted, in float64.

Every function takes arrays of one length: labels 0 or 1, scores (probabilities where the metric needs them), weights
>= 0 (1 where absent). Rows of weight 0 count nowhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import PipelineError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

BINS = 20
"""Groups of a calibration curve."""


def auc(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative), a tie counting one half.

    Raises PipelineError when the rows of positive weight have one class only.
    """
    labels, scores, weights = checked(label, score, weight)
    ordered, positive, negative = auc_by_group(np.zeros(len(labels), np.int64), 1, labels, scores, weights)
    if not len(labels) or positive[0] * negative[0] <= 0:
        raise PipelineError(
            f"AUC needs rows of both classes; the {len(labels)} rows weigh {positive.sum():g} in positives and "
            f"{negative.sum():g} in negatives. Judge on more days, or look at the label"
        )
    return float(ordered[0] / (positive[0] * negative[0]))


def auc_by_group(
    groups: Codes, count: int, label: Floats, score: Floats, weight: Floats
) -> tuple[Floats, Floats, Floats]:
    """For each group 0..count-1: weight of rightly ordered pairs, weight of positives, weight of negatives.

    A group's AUC is the first divided by the product of the others.
    """
    order = np.lexsort((score, groups))
    group, sorted_score = groups[order], score[order]
    positive = weight[order] * label[order]
    negative = weight[order] - positive
    starts = tie_starts(group, sorted_score)
    tied_positive, tied_negative = _sums(positive, starts), _sums(negative, starts)
    tie_group = group[starts]
    negatives = totals(tie_group, tied_negative, count)
    before = sums_before(tie_group, tied_negative)
    ordered = totals(tie_group, tied_positive * (before + 0.5 * tied_negative), count)
    return ordered, totals(tie_group, tied_positive, count), negatives


def sums_before(group: Codes, values: Floats) -> Floats:
    """For each place the sum of the values before it in its group; groups stand together.

    The running sum is taken back at the end of each group, so a small group's sums are as exact as its own values,
    however much the others weigh.
    """
    if not len(values):
        return values
    starts = np.flatnonzero(np.concatenate(([True], np.diff(group) != 0)))
    steps = np.concatenate(([0.0], values[:-1]))
    steps[starts[1:]] -= np.add.reduceat(values, starts)[:-1]
    running = np.cumsum(steps)
    return running - np.repeat(running[starts], np.diff(starts, append=len(values)))


def tie_starts(group: Codes, score: Floats) -> Codes:
    """Where a run of equal (group, score) begins, in sorted rows."""
    new = np.ones(len(score), bool)
    new[1:] = (np.diff(group) != 0) | (score[1:] != score[:-1])
    return np.flatnonzero(new)


def totals(codes: Codes, values: Floats, count: int) -> Floats:
    """Sum of the values of each code 0..count-1."""
    return np.asarray(np.bincount(codes, values, count), np.float64)


def _sums(values: Floats, starts: Codes) -> Floats:
    """Sum of each run that begins at `starts`."""
    return np.asarray(np.add.reduceat(values, starts) if len(starts) else values, np.float64)


def user_codes(users: ArrayLike) -> tuple[Codes, int]:
    """Users as codes 0..n-1 in sorted order, and n."""
    distinct, codes = np.unique(np.asarray(users), return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(distinct)


def gauc(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None, users: ArrayLike) -> tuple[float, int, int]:
    """Mean of the users' own AUC weighted by their exposures, over users with both classes.

    Returns (GAUC, users with both classes, users with one class). Zhu et al., "Optimized Cost per Click in Taobao
    Display Advertising", KDD 2017. Raises PipelineError when no user has both classes.
    """
    labels, scores, weights = checked(label, score, weight)
    codes, count = user_codes(users)
    ordered, positive, negative = auc_by_group(codes, count, labels, scores, weights)
    both, seen = positive * negative > 0, positive + negative > 0
    if not both.any():
        raise PipelineError(
            f"GAUC needs a user with both classes; of {int(seen.sum())} users none has. Judge on more days"
        )
    exposures = (positive + negative)[both]
    own = ordered[both] / (positive[both] * negative[both])
    return float((exposures * own).sum() / exposures.sum()), int(both.sum()), int((seen & ~both).sum())


def row_losses(label: Floats, probability: Floats) -> Floats:
    """-log of the probability given to what happened; probabilities are kept one float64 epsilon off 0 and 1."""
    tiny = np.finfo(np.float64).eps
    kept = np.clip(probability, tiny, 1 - tiny)
    return -(label * np.log(kept) + (1 - label) * np.log1p(-kept))


def logloss(label: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Weighted mean of the cross entropy, in nats; lower is better."""
    labels, scores, weights = checked(label, probability, weight)
    return float((weights * row_losses(labels, scores)).sum() / weights.sum())


def normalized_entropy(label: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Log loss divided by that of always saying the mean label; below 1 is better than knowing only the mean.

    He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD 2014. Needs both classes.
    """
    labels, scores, weights = checked(label, probability, weight)
    mean = np.full(len(labels), (weights * labels).sum() / weights.sum())
    return logloss(labels, scores, weights) / logloss(labels, mean, weights)


def calibration(
    label: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None, bins: int = BINS
) -> list[dict[str, float]]:
    """Predicted and observed rate in up to `bins` groups of about equal weight, from the lowest scores up.

    Equal scores are never parted. Each group is {"predicted", "observed", "weight"}.
    """
    labels, scores, weights = checked(label, probability, weight)
    levels, codes = np.unique(scores, return_inverse=True)
    below = np.cumsum(np.bincount(codes, weights, len(levels)))
    middle = below - 0.5 * np.diff(below, prepend=0.0)
    group = np.minimum((middle / below[-1] * bins).astype(np.int64), bins - 1)[codes]
    total, predicted, observed = (np.bincount(group, weights * x, bins) for x in (1.0, scores, labels))
    return [
        {"predicted": float(p / w), "observed": float(o / w), "weight": float(w)}
        for p, o, w in zip(predicted, observed, total, strict=True)
        if w > 0
    ]


def expected_calibration_error(groups: list[dict[str, float]]) -> float:
    """Mean distance of predicted and observed rate over the groups of `calibration`, by weight."""
    total = sum(group["weight"] for group in groups)
    return sum(group["weight"] * abs(group["predicted"] - group["observed"]) for group in groups) / total


def summary(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None, users: ArrayLike) -> dict[str, Any]:
    """All of them as JSON: auc, gauc, gauc_users, gauc_one_class_users, logloss, normalized_entropy, ece, calibration.

    `gauc` is None where every row is a user of its own.

    Raises PipelineError where the rows cannot tell (one class, no rows, scores that are not finite).
    """
    area = auc(label, score, weight)
    own, both, one = _own_auc(label, score, weight, users)
    groups = calibration(label, score, weight)
    return {
        "auc": area,
        "gauc": own,
        "gauc_users": both,
        "gauc_one_class_users": one,
        "logloss": logloss(label, score, weight),
        "normalized_entropy": normalized_entropy(label, score, weight),
        "ece": expected_calibration_error(groups),
        "calibration": groups,
    }


def _own_auc(
    label: ArrayLike, score: ArrayLike, weight: ArrayLike | None, users: ArrayLike
) -> tuple[float | None, int, int]:
    count = user_codes(users)[1]
    return (None, 0, count) if count == len(np.asarray(users)) else gauc(label, score, weight, users)


def checked(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """The three as float64 of one length, rows of weight 0 kept; PipelineError lists what does not fit."""
    labels, scores = np.asarray(label, np.float64), np.asarray(score, np.float64)
    weights = np.ones(len(labels)) if weight is None else np.asarray(weight, np.float64)
    faults = []
    if not len(labels) == len(scores) == len(weights):
        faults.append(f"lengths must agree, got {len(labels)} labels, {len(scores)} scores, {len(weights)} weights")
    if not np.isin(labels, (0.0, 1.0)).all():
        faults.append("labels must be 0 or 1")
    if not np.isfinite(scores).all():
        faults.append(f"scores must be finite, the first that is not lies in row {int(np.argmin(np.isfinite(scores)))}")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        faults.append("weights must be finite and not negative")
    if not faults and not weights.sum() > 0:
        faults.append("there must be a row of positive weight")
    if faults:
        raise PipelineError("metrics cannot be computed: " + "; ".join(faults))
    return labels, scores, weights
