"""From fed values to columns and ids: the part of a model that every family shares.

Whatever is fitted enters as a constant of the spec, so training and serving cannot differ. Nulls come as NaN and leave
as zeros beside an indicator; what is standardized is also clipped, so that no outlier, not even an infinity, reaches a
matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tsengine as ts
from pipeline.features import UNKNOWN_ID, FeatureSpec

CLIP = 8.0
"""Standardized values are cut at this many standard deviations."""
LARGEST_COUNT = 1e30
"""Numerators and denominators are cut here: beyond it, float32 is soon infinite, and infinity over infinity nothing."""
CONFIDENCE_SCALE = 4.0
"""log1p of a denominator is divided by this: 54 observations give 1."""
CROSS_FACTOR = 1_000_003
NULL_BUCKET, FIRST_BUCKET = 0, 1


def known_ids(ids: ts.Node, size: int) -> ts.Node:
    """Ids at or above the vocabulary's size as unknown; int32 of any shape."""
    return ts.where(ids >= size, ts.constant(UNKNOWN_ID, dtype="int32"), ids)


def cross_ids(first: ts.Node, second: ts.Node, buckets: int) -> ts.Node:
    """(a * 1000003 + b) mod buckets in int64, for int32 ids [B]."""
    return (ts.cast(first, "int64") * CROSS_FACTOR + ts.cast(second, "int64")) % buckets


def bucket_count(edges: Sequence[float]) -> int:
    """How many ids `bucket_ids` can give."""
    return len(edges) + 2


def bucket_ids(value: ts.Node, edges: Sequence[float]) -> ts.Node:
    """1 + the number of float32 edges at or below the value; 0 for null (NaN). int32 [B]."""
    bucket = ts.bucketize(_filled(value), edges) + FIRST_BUCKET
    return ts.where(ts.is_nan(value), ts.constant(NULL_BUCKET, dtype="int32"), bucket)


def number_columns(value: ts.Node, feature: FeatureSpec, constants: Mapping[str, float]) -> list[ts.Node]:
    """A number [B] as two columns [B, 1]: standardized (after log1p if it has `log`), and whether it is null."""
    null = ts.is_nan(value)
    filled = _filled(value)
    scaled = _standardized(ts.log1p(ts.maximum(filled, 0.0)) if feature.log else filled, constants)
    return [_column(ts.where(null, 0.0, scaled)), _column(ts.cast(null, "float32"))]


def rate_columns(parts: Sequence[ts.Node], feature: FeatureSpec, constants: Mapping[str, float]) -> list[ts.Node]:
    """A rate as two columns [B, 1]: the smoothed quotient standardized, and how much was observed.

    `parts` are the columns of the spec. (num + prior * smoothing) / (den + smoothing): the posterior mean of a Beta
    prior worth `smoothing` observations; of a grouped rate the prior is that of its group by the same formula.
    A null numerator or denominator counts as nothing observed.
    """
    prior: ts.Node | float = constants["prior"]
    if feature.grouped:
        prior = _smoothed(parts[2], parts[3], feature, prior)
    rate = _smoothed(parts[0], parts[1], feature, prior)
    observed = ts.clip(_filled(parts[1]), 0.0, LARGEST_COUNT)
    confidence = ts.minimum(ts.log1p(observed) / CONFIDENCE_SCALE, CLIP)
    return [_column(_standardized(rate, constants)), _column(confidence)]


def _smoothed(numerator: ts.Node, denominator: ts.Node, feature: FeatureSpec, prior: ts.Node | float) -> ts.Node:
    smoothing = feature.smoothing or 0.0
    observed = ts.clip(_filled(denominator), 0.0, LARGEST_COUNT)
    counted = ts.clip(_filled(numerator), -LARGEST_COUNT, LARGEST_COUNT)
    return (counted + prior * smoothing) / (observed + smoothing)


def _standardized(value: ts.Node, constants: Mapping[str, float]) -> ts.Node:
    scale = constants["scale"] if constants["scale"] > 0 else 1.0
    return ts.clip((value - constants["mean"]) / scale, -CLIP, CLIP)


def _filled(value: ts.Node) -> ts.Node:
    return ts.where(ts.is_nan(value), 0.0, value)


def _column(value: ts.Node) -> ts.Node:
    return ts.expand_dims(value, 1)
