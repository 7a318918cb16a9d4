"""How much a metric would move if other users had come: Poisson resamples of users.

In replicate r every user counts Poisson(1) times, all his rows together. The number is a function of the user and r
alone (xxh64 of the user's xxh64 with r as the seed), so two models are compared on the same resamples, whatever the
order of rows, and a repeated run gives the same numbers. Chamandy et al., "Estimating Uncertainty for Massive Data
Streams", 2012.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import ArrayLike, NDArray

from pipeline.training.metrics import Codes, Floats, auc_by_group, checked, row_losses, totals, user_codes

REPLICATES = 1000
SEED = 42
"""Of the users' own hashes; the replicate is the seed of the second."""

Hashes = NDArray[np.uint64]
Statistic = Callable[[Floats], float]
"""A metric of the rows as a function of how often each user counts; NaN where a class is gone."""

_PRIME1, _PRIME2, _PRIME3, _PRIME4, _PRIME5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """Rows as a model scored them: label 0 or 1, probability, sample weight >= 0, user id (strings or integers)."""

    label: ArrayLike
    score: ArrayLike
    weight: ArrayLike
    users: ArrayLike


def user_hashes(users: ArrayLike) -> Hashes:
    """xxh64 (seed 42) of each distinct user, in the order of `user_codes`."""
    distinct = np.unique(np.asarray(users))
    return np.array([xxhash.xxh64_intdigest(str(user).encode(), SEED) for user in distinct.tolist()], np.uint64)


def multiplicities(hashes: Hashes, replicate: int) -> Floats:
    """How often each user counts in a replicate: Poisson with mean 1."""
    uniform = (xxh64_of_words(hashes, replicate) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_poisson_ladder(), uniform, side="right").astype(np.float64)


def xxh64_of_words(words: Hashes, seed: int) -> Hashes:
    """xxh64 of each word's 8 little-endian bytes."""
    lane = _rotate(words * _PRIME2, 31) * _PRIME1
    start = np.uint64((seed + int(_PRIME5) + 8) % 2**64)
    mixed = _rotate(start ^ lane, 27) * _PRIME1 + _PRIME4
    mixed = (mixed ^ (mixed >> np.uint64(33))) * _PRIME2
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _PRIME3
    return mixed ^ (mixed >> np.uint64(32))


def statistic(metric: str, scored: Scored) -> Statistic:
    """`auc`, `gauc` or `logloss` of these rows, ready for many resamples."""
    label, score, weight = checked(scored.label, scored.score, scored.weight)
    users, count = user_codes(scored.users)
    return {"auc": _auc, "gauc": _gauc, "logloss": _logloss}[metric](users, count, label, score, weight)


def changes(metric: str, candidate: Scored, service: Scored, replicates: int = REPLICATES) -> Floats:
    """Candidate minus the model in service, by replicate; resamples that lack a class are left out."""
    hashes = user_hashes(candidate.users)
    ours, theirs = statistic(metric, candidate), statistic(metric, service)
    resamples = (multiplicities(hashes, replicate) for replicate in range(replicates))
    found = np.array([ours(times) - theirs(times) for times in resamples])
    return found[np.isfinite(found)]


def _auc(users: Codes, count: int, label: Floats, score: Floats, weight: Floats) -> Statistic:
    """Sorted once: a positive stands above the negatives before `low`, and ties with those from `low` to `high`."""
    order = np.argsort(score, kind="stable")
    up, down = (order[label[order] == side] for side in (1.0, 0.0))
    users_up, users_down, weight_up, weight_down = users[up], users[down], weight[up], weight[down]
    low, high = (np.searchsorted(score[down], score[up], side=side) for side in ("left", "right"))

    def resampled(times: Floats) -> float:
        positive, negative = times[users_up] * weight_up, times[users_down] * weight_down
        below = np.concatenate(([0.0], np.cumsum(negative)))
        ordered = (positive * 0.5 * (below[low] + below[high])).sum()
        return _ratio(ordered, positive.sum() * below[-1])

    return resampled


def _gauc(users: Codes, count: int, label: Floats, score: Floats, weight: Floats) -> Statistic:
    """A user's own AUC does not move, only how often he counts."""
    ordered, positive, negative = auc_by_group(users, count, label, score, weight)
    both = positive * negative > 0
    exposures = np.where(both, positive + negative, 0.0)
    own = np.divide(ordered, positive * negative, out=np.zeros(count), where=both)
    return lambda times: _ratio((times * exposures * own).sum(), (times * exposures).sum())


def _logloss(users: Codes, count: int, label: Floats, score: Floats, weight: Floats) -> Statistic:
    losses, weights = totals(users, weight * row_losses(label, score), count), totals(users, weight, count)
    return lambda times: _ratio((times * losses).sum(), (times * weights).sum())


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else math.nan


def _poisson_ladder() -> Floats:
    """P(count <= k) for Poisson(1), k = 0..19; beyond lies less than 2**-53."""
    return np.cumsum([math.exp(-1.0) / math.factorial(k) for k in range(20)])


def _rotate(words: Hashes, bits: int) -> Hashes:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))
