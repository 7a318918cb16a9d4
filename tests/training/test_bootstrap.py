"""Resamples of users: their hash, their distribution, and metrics that equal those of really repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash

from pipeline.training import metrics
from pipeline.training.bootstrap import (
    Scored,
    changes,
    multiplicities,
    statistic,
    user_hashes,
    xxh64_of_words,
)


@pytest.fixture
def scored() -> Scored:
    """200 rows of 15 users with ties."""
    rng = np.random.default_rng(3)
    score = np.round(rng.uniform(0.05, 0.95, 200), 2)
    label = (rng.uniform(size=200) < score).astype(float)
    return Scored(label, score, rng.choice([0.5, 1.0, 2.0], 200), rng.integers(0, 15, 200))


@pytest.mark.parametrize("seed", [0, 1, 999, 2**63 + 5])
def test_the_vectorised_hash_is_xxh64(seed: int) -> None:
    words = [0, 1, 2**64 - 1, 0x0123456789ABCDEF]
    expected = [xxhash.xxh64_intdigest(word.to_bytes(8, "little"), seed) for word in words]
    assert xxh64_of_words(np.array(words, np.uint64), seed).tolist() == expected


def test_users_count_as_poisson_with_mean_one() -> None:
    hashes = user_hashes([f"user{i}" for i in range(2000)])
    times = np.concatenate([multiplicities(hashes, replicate) for replicate in range(50)])
    shares = np.bincount(times.astype(int))[:4] / len(times)
    assert shares == pytest.approx([0.36788, 0.36788, 0.18394, 0.06131], abs=0.005)
    assert times.mean() == pytest.approx(times.var(), abs=0.02)


def test_a_users_number_does_not_depend_on_who_else_is_there() -> None:
    assert multiplicities(user_hashes(["b"]), 7)[0] == multiplicities(user_hashes(["a", "b", "c"]), 7)[1]


@pytest.mark.parametrize("metric", ["auc", "gauc", "logloss"])
def test_a_resample_equals_the_metric_of_repeated_rows(metric: str, scored: Scored) -> None:
    times = multiplicities(user_hashes(scored.users), 11)
    chosen = np.repeat(np.arange(200), times[np.asarray(scored.users)].astype(int))
    label, score, weight, users = (
        np.asarray(x)[chosen] for x in (scored.label, scored.score, scored.weight, scored.users)
    )
    expected = metrics.summary(label, score, weight, users)[metric]
    assert times.max() > 1
    assert statistic(metric, scored)(times) == pytest.approx(expected, abs=1e-12)


def test_a_resample_without_a_class_is_left_out() -> None:
    rows = Scored([1, 0], [0.9, 0.1], [1, 1], ["a", "b"])
    found = changes("auc", rows, Scored([1, 0], [0.1, 0.9], [1, 1], ["a", "b"]), replicates=200)
    assert 0 < len(found) < 200
    assert set(found) == {1.0}


def test_the_spread_is_that_of_the_mean_over_users() -> None:
    rng = np.random.default_rng(8)
    users = np.arange(400)
    score, other = rng.uniform(0.2, 0.8, 400), np.full(400, 0.5)
    label = (rng.uniform(size=400) < 0.5).astype(float)
    difference = metrics.row_losses(label, score) - metrics.row_losses(label, other)
    found = changes("logloss", Scored(label, score, np.ones(400), users), Scored(label, other, np.ones(400), users))
    assert found.std() == pytest.approx(difference.std() / np.sqrt(400), rel=0.1)
    assert found.mean() == pytest.approx(difference.mean(), abs=3 * found.std() / np.sqrt(len(found)))
