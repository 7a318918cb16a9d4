"""From fed values to columns and ids, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tsengine as ts
from pipeline.features import FeatureSpec
from pipeline.models import transforms

INF, NAN = math.inf, math.nan


def run(make: Callable[..., Any], *values: NDArray[Any]) -> Any:
    """What a transform of placeholders gives for these values."""
    with ts.Graph().as_default() as graph:
        fed = [ts.placeholder(value.dtype, (None, *value.shape[1:])) for value in values]
        fetches = make(*fed)
        return ts.Session(graph=graph).run(fetches, dict(zip(fed, values, strict=True)))


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_ids_at_or_above_the_size_are_unknown() -> None:
    ids = np.array([[0, 1], [4, 5], [6, 2**31 - 1]], np.int32)
    found = run(lambda node: transforms.known_ids(node, 5), ids)
    assert found.tolist() == [[0, 1], [4, 2], [2, 2]]
    assert found.dtype == np.int32


def test_a_cross_does_not_overflow() -> None:
    first, second = np.array([3, 2**31 - 1], np.int32), np.array([4, 2**31 - 1], np.int32)
    found = run(lambda a, b: transforms.cross_ids(a, b, 65_536), first, second)
    assert found.tolist() == [
        (a * 1_000_003 + b) % 65_536 for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]


def test_buckets_include_their_lower_edge_and_null_has_its_own() -> None:
    edges = (0.1, 2.0)
    edge = np.float32(0.1)
    values = floats(NAN, -INF, float(np.nextafter(edge, np.float32(-1))), float(edge), 1.9, 2.0, INF)
    found = run(lambda node: transforms.bucket_ids(node, edges), values)
    assert found.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert max(found) < transforms.bucket_count(edges)


def test_a_number_is_standardized_with_null_as_the_mean() -> None:
    feature, constants = FeatureSpec("price", "number"), {"mean": 2.0, "scale": 4.0}
    scaled, null = run(lambda node: transforms.number_columns(node, feature, constants), floats(6.0, NAN, -2.0, INF))
    assert scaled.tolist() == [[1.0], [0.0], [-1.0], [transforms.CLIP]]
    assert null.tolist() == [[0.0], [1.0], [0.0], [0.0]]


def test_a_heavy_tail_is_taken_in_logarithms() -> None:
    feature, constants = FeatureSpec("count", "number", log=True), {"mean": 1.0, "scale": 0.5}
    scaled, _ = run(
        lambda node: transforms.number_columns(node, feature, constants), floats(math.e - 1, 0.0, -5.0, NAN)
    )
    assert scaled.ravel().tolist() == pytest.approx([0.0, -2.0, -2.0, 0.0], abs=1e-6)


def test_a_constant_number_does_not_divide_by_zero() -> None:
    feature, constants = FeatureSpec("flat", "number"), {"mean": 3.0, "scale": 0.0}
    scaled, _ = run(lambda node: transforms.number_columns(node, feature, constants), floats(3.0, 4.0))
    assert scaled.tolist() == [[0.0], [1.0]]


def test_a_rate_is_pulled_to_its_prior() -> None:
    feature, constants = FeatureSpec("rate", "rate", smoothing=20.0), {"prior": 0.1, "mean": 0.1, "scale": 0.05}
    numerator, denominator = floats(0.0, 8.0, NAN, 3.0), floats(0.0, 20.0, 20.0, NAN)
    scaled, confidence = run(lambda *parts: transforms.rate_columns(parts, feature, constants), numerator, denominator)
    smoothed = [0.1, 0.25, 0.05, 0.25]
    assert scaled.ravel().tolist() == pytest.approx([(rate - 0.1) / 0.05 for rate in smoothed], abs=1e-6)
    observed = [0.0, 20.0, 20.0, 0.0]
    assert confidence.ravel().tolist() == pytest.approx([math.log1p(count) / 4 for count in observed], abs=1e-6)


def test_a_grouped_rate_is_pulled_to_that_of_its_group_and_a_small_group_to_the_rest() -> None:
    feature = FeatureSpec("rate", "rate", smoothing=20.0, grouped=True)
    constants = {"prior": 0.1, "mean": 0.0, "scale": 1.0}
    parts = floats(0.0, 8.0, 8.0), floats(0.0, 20.0, 20.0), floats(0.0, 78.0, NAN), floats(0.0, 180.0, NAN)
    scaled, _ = run(lambda *nodes: transforms.rate_columns(nodes, feature, constants), *parts)
    group = (78 + 0.1 * 20) / (180 + 20)
    wanted = [0.1, (8 + group * 20) / 40, (8 + 0.1 * 20) / 40]
    assert scaled.ravel().tolist() == pytest.approx(wanted, rel=1e-6)
    assert feature.columns == ("rate__num", "rate__den", "rate__prior_num", "rate__prior_den")
    assert FeatureSpec.from_json(feature.to_json()) == feature


def test_no_rate_is_so_large_that_it_is_no_number() -> None:
    feature, constants = FeatureSpec("rate", "rate", smoothing=20.0), {"prior": 0.1, "mean": 0.1, "scale": 0.05}
    numerator, denominator = floats(INF, INF, 0.0, 1e38, -INF, 5.0), floats(INF, 0.0, INF, 1e38, 3.0, -INF)
    scaled, confidence = run(lambda *parts: transforms.rate_columns(parts, feature, constants), numerator, denominator)
    assert scaled.ravel().tolist() == pytest.approx([8.0, 8.0, -2.0, 8.0, -8.0, (7 / 20 - 0.1) / 0.05], abs=1e-5)
    assert confidence.ravel().tolist() == pytest.approx([8.0, 0.0, 8.0, 8.0, math.log1p(3) / 4, 0.0], abs=1e-6)
