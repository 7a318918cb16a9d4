"""Golden rows: inputs with the ids and the score that every form of the artifact must reproduce.

`golden.json` holds `{"rows": [{"name", "raw", "encoded", "probability"}, ...]}`. In `raw`, null is `""` or JSON null,
an infinity is "inf" or "-inf", a sequence is a list without padding. (The hash of null is JSON null too.) Numbers read
back as the same float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.batches import DTYPES, Batch, row_count
from pipeline.artifact.vocabulary import NULL_HASH
from pipeline.errors import DamagedData
from pipeline.features import FeatureSpec
from pipeline.models import Input, encoded_inputs, length_name, raw_inputs


@dataclass(frozen=True)
class Golden:
    """Rows by name, at both doors, with their probabilities float32 [rows]."""

    names: tuple[str, ...]
    raw: Batch
    encoded: Batch
    probability: NDArray[np.float32]

    def to_json(self, features: Sequence[FeatureSpec]) -> bytes:
        """The content of golden.json."""
        raw, encoded = as_rows(features, self.raw), as_rows(features, self.encoded)
        rows = [
            {"name": name, "raw": raw[k], "encoded": encoded[k], "probability": _number(self.probability[k])}
            for k, name in enumerate(self.names)
        ]
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        return f'{{"rows": [\n{lines}\n]}}\n'.encode()

    @staticmethod
    def from_json(features: Sequence[FeatureSpec], content: bytes) -> Golden:
        """The inverse of to_json; DamagedData when the content is not golden rows of these features."""
        try:
            rows = json.loads(content)["rows"]
            return Golden(
                names=tuple(row["name"] for row in rows),
                raw=stack(features, raw_inputs(features), [row["raw"] for row in rows]),
                encoded=stack(features, encoded_inputs(features), [row["encoded"] for row in rows]),
                probability=np.array([row["probability"] for row in rows], np.float32),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedData(f"golden.json does not hold golden rows of this model: {error!r}") from None


def stack(features: Sequence[FeatureSpec], inputs: Sequence[Input], rows: Sequence[Mapping[str, Any]]) -> Batch:
    """Rows as arrays of a door: None becomes NaN, sequences are padded and get their length."""
    batch: Batch = {}
    lengths = {length_name(feature): feature.name for feature in features if feature.kind == "sequence"}
    for entry in inputs:
        if entry.name in lengths:
            values: list[Any] = [len(row[lengths[entry.name]]) for row in rows]
        elif entry.shape:
            values = [_padded(row[entry.name], entry) for row in rows]
        else:
            values = [_read(row[entry.name], entry) for row in rows]
        batch[entry.name] = np.array(values, dtype=DTYPES[entry.dtype]).reshape(len(rows), *entry.shape)
    return batch


def _read(value: Any, entry: Input) -> Any:
    """JSON has neither NaN nor infinity, and int64 min does not survive every reader."""
    if entry.dtype == "int64" and value is None:
        return NULL_HASH
    if entry.dtype != "float32":
        return value
    return np.nan if value is None else float(value)


def _padded(values: Sequence[Any], entry: Input) -> list[Any]:
    padding = "" if entry.dtype == "string" else 0
    return [*values, *[padding] * (entry.shape[0] - len(values))]


def as_rows(features: Sequence[FeatureSpec], batch: Batch) -> list[dict[str, Any]]:
    """Arrays of a door as rows, the inverse of `stack`."""
    return [_row(features, batch, position) for position in range(row_count(batch))]


def _row(features: Sequence[FeatureSpec], batch: Batch, position: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for feature in features:
        for column in feature.columns:
            value = batch[column][position]
            if feature.kind == "sequence":
                value = value[: batch[length_name(feature)][position]]
            row[column] = _plain(value)
    return row


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, np.floating):
        return _number(value)
    if isinstance(value, np.int64) and value == NULL_HASH:
        return None
    return value if isinstance(value, str) else value.tolist()


def _number(value: Any) -> float | str | None:
    """A float32 as the shortest decimal that reads back as it; NaN as None, an infinity as text."""
    if np.isfinite(value):
        return float(str(np.float32(value)))
    return None if np.isnan(value) else str(value)
