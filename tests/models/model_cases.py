"""A small model with every kind of feature, and batches for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.features import FeatureSpec
from pipeline.models import ModelSpec, encoded_inputs

SIZES = {"user_id": 12, "item_id": 9, "city": 5}

FEATURES = (
    FeatureSpec("user_key", "id", vocabulary="user_id"),
    FeatureSpec("user_city", "id", vocabulary="city"),
    FeatureSpec("user_spend", "number", log=True),
    FeatureSpec("item_key", "id", vocabulary="item_id"),
    FeatureSpec("item_score", "number"),
    FeatureSpec("item_rate", "rate", smoothing=4.0),
    FeatureSpec("context_position", "number", edges=(0.1, 2.0, 5.0)),
    FeatureSpec("sequence_recent", "sequence", vocabulary="item_id", length=3),
    FeatureSpec("cross_user_item", "cross", of=("user_key", "item_key"), buckets=17),
)

CONSTANTS = {
    "user_spend": {"mean": 1.5, "scale": 2.0},
    "item_score": {"mean": -0.25, "scale": 0.5},
    "item_rate": {"prior": 0.25, "mean": 0.3, "scale": 0.1},
    "label": {"prior": 0.2},
}


def model_spec(**changes: Any) -> ModelSpec:
    """Wide & Deep over FEATURES."""
    base = ModelSpec("wide_deep", FEATURES, SIZES, CONSTANTS, embedding_dim=4, hidden=(6, 5), seed=3)
    return replace(base, **changes)


def encoded_batch(spec: ModelSpec, rows: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random rows, with nulls, ids beyond every vocabulary and empty sequences among them."""
    rng = np.random.default_rng(seed)
    return {
        entry.name: _draw(spec, entry.name, entry.dtype, (rows, *entry.shape), rng)
        for entry in encoded_inputs(spec.features)
    }


def _draw(spec: ModelSpec, name: str, dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    if name.endswith("__length"):
        longest = spec.named(name.removesuffix("__length")).length or 0
        return rng.integers(0, longest + 1, shape).astype(np.int32)
    if dtype == "int32":
        feature = spec.named(name)
        if feature.hashed:  # no hash is unknown
            return rng.choice(np.array([1, *range(3, spec.ids(feature))], np.int32), shape)
        return rng.integers(1, spec.ids(feature) + 2, shape).astype(np.int32)
    values = rng.integers(0, 9, shape).astype(np.float32)
    return values if "__" in name else np.where(rng.random(shape) < 0.2, np.nan, values - 2).astype(np.float32)


def random_parameters(variables: dict[str, Any], seed: int = 1) -> dict[str, NDArray[np.float32]]:
    """A value for every variable, none of them zero."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, variable.static_shape).astype(np.float32) for name, variable in variables.items()}
