"""A vocabulary frozen into an artifact: values in id order, and the way from strings (and hashes of them) to ids.

The value at position k has id 3 + k; the empty string is null (1), anything else unknown (2). Padding (0) is decided by
a sequence's length, never by a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from pipeline.artifact.batches import Batch, checked
from pipeline.errors import DamagedData
from pipeline.features import FIRST_ID, NULL_ID, PAD_ID, UNKNOWN_ID, FeatureSpec
from pipeline.models import length_name, raw_inputs

NULL_HASH = int(np.iinfo(np.int64).min)
"""What a client feeds for the hash of null."""
UNKNOWN_VALUE = "value not in any vocabulary ⁇"


class Vocabulary:
    """Values in id order, with their index."""

    def __init__(self, name: str, values: Sequence[str]) -> None:
        """Raises DamagedData when a value is empty, no string, or there twice."""
        self.name, self.values = name, tuple(values)
        if faults := list(_faults(self.values)):
            raise DamagedData(f"vocabulary {name!r} cannot be used: " + "; ".join(faults[:5]))
        self._ids: dict[str, int] = {value: FIRST_ID + position for position, value in enumerate(self.values)}
        self._ids[""] = NULL_ID

    @property
    def size(self) -> int:
        """Number of ids, the reserved ones included."""
        return FIRST_ID + len(self.values)

    def encode(self, values: NDArray[Any]) -> NDArray[np.int32]:
        """Strings of any shape to ids of the same shape."""
        flat = values.ravel().tolist()
        ids = np.fromiter((self._ids.get(value, UNKNOWN_ID) for value in flat), np.int32, len(flat))
        return ids.reshape(values.shape)

    def decode(self, ids: NDArray[Any]) -> NDArray[Any]:
        """A string for each id, such that `encode` gives the id back (padding becomes null)."""
        named = np.array(["", "", self.unknown_value(), *self.values], dtype=object)
        return named[np.where((ids < 0) | (ids >= self.size), UNKNOWN_ID, ids)]

    def unknown_value(self) -> str:
        """A string that is not in the vocabulary."""
        value = UNKNOWN_VALUE
        while value in self._ids:
            value += "⁇"
        return value


def bucket_ids(hashes: NDArray[Any], buckets: int) -> NDArray[np.int32]:
    """Hashes int64 (pipeline.features.HASH) of any shape to ids of the same shape."""
    return np.where(hashes == NULL_HASH, NULL_ID, FIRST_ID + np.mod(hashes, buckets)).astype(np.int32)


def hash_of(text: str) -> int:
    """Of a text as pipeline.features.HASH says; of the empty one, which is null, NULL_HASH."""
    return int(np.uint64(xxhash.xxh64_intdigest(text.encode(), 42)).astype(np.int64)) if text else NULL_HASH


def fixed_inputs(features: Sequence[FeatureSpec], vocabularies: Mapping[str, Vocabulary]) -> Batch:
    """The encoded value of every input that is `scored_as` one, as an array of that one row."""
    found: Batch = {}
    for feature in features:
        value = feature.scored_as
        if value is None:
            continue
        if feature.kind == "number":
            found[feature.name] = np.array([np.nan if value == "" else value], np.float32)
        elif feature.hashed:
            found[feature.name] = bucket_ids(np.array([hash_of(str(value))]), feature.buckets or 1)
        else:
            found[feature.name] = vocabularies[feature.vocabulary or ""].encode(np.array([str(value)], object))
    return found


def encode(features: Sequence[FeatureSpec], vocabularies: Mapping[str, Vocabulary], raw: Mapping[str, Any]) -> Batch:
    """A raw batch as the model is fed: int32 ids and lengths, numbers as they are. BadBatch where it does not fit."""
    batch = checked(raw_inputs(features), raw)
    for feature in features:
        if feature.vocabulary is not None:
            batch[feature.name] = vocabularies[feature.vocabulary].encode(batch[feature.name])
        if feature.hashed:
            batch[feature.name] = bucket_ids(batch[feature.name], feature.buckets or 1)
        if feature.kind == "sequence":
            name = length_name(feature)
            batch[name] = batch[name].astype(np.int32)
            batch[feature.name][~_real(batch[name], feature)] = PAD_ID
    return batch


def decode(
    features: Sequence[FeatureSpec], vocabularies: Mapping[str, Vocabulary], encoded: Mapping[str, Any]
) -> Batch:
    """A raw batch that `encode` turns into `encoded` (ids beyond the vocabulary come back as unknown).

    Of a hashed id it is the smallest hash that gives it; the reserved ones, which no hash gives, come back as null.
    """
    raw = dict(encoded)
    for feature in features:
        if feature.vocabulary is not None:
            raw[feature.name] = vocabularies[feature.vocabulary].decode(encoded[feature.name])
        if feature.hashed:
            ids = encoded[feature.name].astype(np.int64)
            raw[feature.name] = np.where(ids < FIRST_ID, NULL_HASH, ids - FIRST_ID)
        if feature.kind == "sequence":
            raw[length_name(feature)] = encoded[length_name(feature)].astype(np.int64)
            raw[feature.name][~_real(encoded[length_name(feature)], feature)] = ""
    return raw


def _real(lengths: NDArray[Any], feature: FeatureSpec) -> NDArray[np.bool_]:
    """[B, L]: which positions of a padded sequence hold a value."""
    return np.less(np.arange(feature.length or 0), lengths[:, None])


def _faults(values: Sequence[Any]) -> Iterator[str]:
    if wrong := [value for value in values if not isinstance(value, str) or value == ""]:
        yield f"values must be non-empty strings, got {wrong[0]!r}"
    elif len(set(values)) < len(values):
        seen: set[str] = set()
        twice = next(value for value in values if value in seen or seen.add(value))  # type: ignore[func-returns-value]
        yield f"{twice!r} is there twice"
