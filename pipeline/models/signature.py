"""What is fed to a model: the names, types and shapes of its two doors.

The *encoded* door is the graph's own: int32 ids as the examples hold them. The *raw* door is what a client has: strings
and numbers, and of a string that is hashed its hash. Both are functions of the feature specs alone. A model that scores
is fed with the specs of pipeline.features.fed(); the graph has a placeholder for every spec.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.features import FeatureSpec


@dataclass(frozen=True)
class Input:
    """One array of a batch: `shape` is what follows the batch dimension; dtype is string, float32, int32 or int64.

    `largest` is that of a length: more values than a sequence holds are not there. An id has none.
    """

    name: str
    feature: str
    dtype: str
    shape: tuple[int, ...] = ()
    largest: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As a signature entry; -1 stands for the batch."""
        return {"name": self.name, "dtype": self.dtype, "shape": [-1, *self.shape]}


def encoded_inputs(features: Iterable[FeatureSpec]) -> tuple[Input, ...]:
    """The placeholders of the graph, in feature order."""
    return tuple(entry for feature in features for entry in _inputs(feature, ids="int32", lengths="int32"))


def raw_inputs(features: Iterable[FeatureSpec]) -> tuple[Input, ...]:
    """What a client feeds, in feature order; null is `""` for strings, NaN for numbers and int64 min for hashes."""
    return tuple(entry for feature in features for entry in _inputs(feature, ids="string", lengths="int64"))


def length_name(feature: FeatureSpec) -> str:
    """The input that says how many values of a padded sequence are real."""
    return f"{feature.name}__length"


def _inputs(feature: FeatureSpec, ids: str, lengths: str) -> list[Input]:
    name = feature.name
    if feature.kind == "id":
        return [Input(name, name, "int64" if feature.hashed and ids == "string" else ids)]
    if feature.kind == "sequence":
        size = feature.length or 0
        return [Input(name, name, ids, (size,)), Input(length_name(feature), name, lengths, largest=size)]
    return [Input(column, name, "float32") for column in feature.columns]
