"""The Wide & Deep formula for the model of model_cases, written once more: row by row, in plain NumPy and float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.model_cases import CONSTANTS, SIZES

Arrays = dict[str, NDArray[Any]]


def reference(parameters: Arrays, batch: Arrays) -> list[float]:
    """The logit of every encoded row."""
    p = {name: value.astype(np.float64) for name, value in parameters.items()}
    return [_one(p, {name: value[row] for name, value in batch.items()}) for row in range(len(batch["user_key"]))]


def _one(p: Arrays, row: dict[str, Any]) -> float:
    user, city, item = (
        int(row[name]) if row[name] < SIZES[vocabulary] else 2
        for name, vocabulary in (("user_key", "user_id"), ("user_city", "city"), ("item_key", "item_id"))
    )
    position = row["context_position"]
    bucket = 0 if np.isnan(position) else 1 + sum(position >= np.float32(edge) for edge in (0.1, 2.0, 5.0))
    recent = [int(i) if i < SIZES["item_id"] else 2 for i in row["sequence_recent"][: row["sequence_recent__length"]]]
    pooled = np.mean([p["embedding/item_id"][i] for i in recent], axis=0) if recent else np.zeros(4)

    def standard(name: str, value: float) -> float:
        return float(np.clip((value - CONSTANTS[name]["mean"]) / CONSTANTS[name]["scale"], -8, 8))

    spend, points = row["user_spend"], row["item_score"]
    counted, observed = (min(float(row[f"item_rate__{part}"]), 1e30) for part in ("num", "den"))
    rate = (counted + 0.25 * 4) / (observed + 4)
    columns = [
        0.0 if np.isnan(spend) else standard("user_spend", math.log1p(max(spend, 0))), float(np.isnan(spend)),
        0.0 if np.isnan(points) else standard("item_score", points), float(np.isnan(points)),
        standard("item_rate", rate), min(math.log1p(observed) / 4, 8.0),
    ]  # fmt: skip
    wide = (
        p["wide/user_key"][user, 0] + p["wide/user_city"][city, 0] + p["wide/item_key"][item, 0]
        + p["wide/context_position"][bucket, 0] + p["wide/cross_user_item"][(user * 1_000_003 + item) % 17, 0]
        + columns @ p["wide/columns"][:, 0] + p["wide/bias"][0]
    )  # fmt: skip
    parts = (
        p["embedding/user_id"][user],
        p["embedding/city"][city],
        p["embedding/item_id"][item],
        p["bucket/context_position"][bucket],
        pooled,
    )
    hidden = np.concatenate([*parts, columns])
    for layer in ("deep/layer_0", "deep/layer_1"):
        hidden = np.maximum(hidden @ p[f"{layer}/weights"] + p[f"{layer}/bias"], 0)
    return float(wide + (hidden @ p["deep/output/weights"] + p["deep/output/bias"])[0])
