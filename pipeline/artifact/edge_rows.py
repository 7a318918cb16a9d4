"""The golden rows that no log contains: every input at the places where two implementations may part.

Each row is a base row with some inputs replaced, so that the others stay ordinary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.artifact.vocabulary import Vocabulary
from pipeline.features import FeatureSpec

Row = dict[str, Any]
Pick = Callable[[Vocabulary], str]
LARGE = 1e30
"""Far outside of what any feature is, and finite in float32."""


def edge_rows(
    features: Sequence[FeatureSpec], vocabularies: Mapping[str, Vocabulary], base: Mapping[str, Any]
) -> Iterator[tuple[str, Row]]:
    """(name, raw row) pairs; `base` is a raw row as golden.json writes it."""
    null = null_row(features)
    yield "all null", null
    yield "all unknown", {**base, **_ids(features, lambda vocabulary: vocabulary.unknown_value(), vocabularies)}
    yield "first values", {**base, **_ids(features, lambda vocabulary: _end(vocabulary, 0), vocabularies)}
    yield "last values", {**base, **_ids(features, lambda vocabulary: _end(vocabulary, -1), vocabularies)}
    if hashed := [feature for feature in features if feature.hashed]:
        for number in (0, 1, -1, 2**63 - 1, 1 - 2**63):
            yield f"hash {number}", {**base, **{feature.name: number for feature in hashed}}
    yield "empty sequences", {**base, **{feature.name: [] for feature in features if feature.kind == "sequence"}}
    yield "null inside sequences", {**base, **_ids(features, lambda vocabulary: "", vocabularies, only="sequence")}
    for feature in features:
        yield f"{feature.name} null", {**base, **{column: null[column] for column in feature.columns}}
    for value in (0.0, -1.0, LARGE, -LARGE, math.inf, -math.inf):
        yield f"numbers {value:g}", {**base, **_numbers(features, value)}
    for counted, observed in itertools.product((0.0, 1e6, LARGE, math.inf), repeat=2):
        yield f"rates of {counted:g} over {observed:g}", {**base, **_rates(features, counted, observed)}
    yield from _bucket_rows(features, base)


def null_row(features: Sequence[FeatureSpec]) -> Row:
    """Nothing is known."""
    empty: dict[str, Any] = {"id": "", "number": None, "rate": 0.0, "sequence": []}
    return {
        column: None if feature.hashed else empty[feature.kind] for feature in features for column in feature.columns
    }


def _bucket_rows(features: Sequence[FeatureSpec], base: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """Each float32 edge, and its neighbours one step below and above; all bucketed features at once."""
    points = {feature.name: _around(feature.edges) for feature in features if feature.edges is not None}
    for position in range(max(map(len, points.values()), default=0)):
        at = {name: values[min(position, len(values) - 1)] for name, values in points.items()}
        yield f"bucket edges {position}", {**base, **at}


def _around(edges: Sequence[float]) -> list[float]:
    values = [
        value
        for edge in np.array(edges, np.float32)
        for value in (np.nextafter(edge, np.float32(-np.inf)), edge, np.nextafter(edge, np.float32(np.inf)))
    ]
    return [float(value) for value in values] or [0.0]


def _end(vocabulary: Vocabulary, position: int) -> str:
    return vocabulary.values[position] if vocabulary.values else ""


def _ids(
    features: Sequence[FeatureSpec], pick: Pick, vocabularies: Mapping[str, Vocabulary], only: str | None = None
) -> Row:
    """Every id, and every place of a full sequence, as `pick(vocabulary)`."""
    return {
        feature.name: [pick(vocabularies[feature.vocabulary])] * (feature.length or 0)
        if feature.kind == "sequence"
        else pick(vocabularies[feature.vocabulary])
        for feature in features
        if feature.vocabulary is not None and only in (None, feature.kind)
    }


def _numbers(features: Sequence[FeatureSpec], value: float) -> Row:
    return {feature.name: value for feature in features if feature.kind == "number"}


def _rates(features: Sequence[FeatureSpec], numerator: float, denominator: float) -> Row:
    return {
        column: value
        for feature in features
        if feature.kind == "rate"
        for column, value in zip(feature.columns, (numerator, denominator) * 2, strict=False)
    }
