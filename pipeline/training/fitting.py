"""What depends on the choice of training days: means, deviations and priors, fitted once and kept in the artifact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Refused
from pipeline.features import FeatureSpec
from pipeline.loader import Batch, Loader

Constants = dict[str, dict[str, float]]
Array = NDArray[np.floating]


@dataclass
class Moments:
    """Sums of a column in float64, in the order of the rows."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[np.floating]) -> None:
        """Count the values that are numbers."""
        known = values[np.isfinite(values)].astype(np.float64)
        self.count += known.size
        self.total += float(known.sum())
        self.squares += float((known * known).sum())

    def constants(self) -> dict[str, float]:
        """Mean and standard deviation (1 where nothing varies), as float32 numbers."""
        mean = self.total / self.count if self.count else 0.0
        variance = self.squares / self.count - mean * mean if self.count else 0.0
        scale = math.sqrt(variance) if variance > 1e-12 * max(1.0, mean * mean) else 1.0
        return {"mean": float(np.float32(mean)), "scale": float(np.float32(scale))}


@dataclass
class _Sums:
    rows: float = 0.0
    positives: float = 0.0
    rates: dict[str, tuple[float, float]] = field(default_factory=dict)


def fit_constants(loader: Loader, specs: Sequence[FeatureSpec]) -> Constants:
    """The constants that the model needs (see pipeline.models.spec): two passes over the training rows.

    number  mean and scale, after log1p where the feature has `log`
    rate    prior = all numerators / all denominators; mean and scale of the smoothed rate
    label   prior = share of positives, by weight
    Raises Refused when all rows have the same label: there is nothing to learn.
    """
    sums = _first_pass(loader, specs)
    if not 0.0 < sums.positives < sums.rows:
        raise Refused(
            f"{sums.positives:.0f} of {sums.rows:.0f} training rows are positive: nothing to learn. Look at [labels]"
        )
    priors = {name: _f32(num / den) if den > 0 else 0.0 for name, (num, den) in sums.rates.items()}
    moments = {spec.name: Moments() for spec in specs if _is_standardized(spec)}
    for batch, _ in loader.in_order():
        for spec in specs:
            if spec.name in moments:
                moments[spec.name].add(_values(spec, batch, priors))
    constants: Constants = {name: found.constants() for name, found in moments.items()}
    for name, prior in priors.items():
        constants[name]["prior"] = prior
    constants["label"] = {"prior": _f32(sums.positives / sums.rows)}
    return constants


def _first_pass(loader: Loader, specs: Sequence[FeatureSpec]) -> _Sums:
    sums = _Sums(rates={spec.name: (0.0, 0.0) for spec in specs if spec.kind == "rate"})
    for batch, _ in loader.in_order():
        sums.rows += float(batch["weight"].sum(dtype=np.float64))
        sums.positives += float((batch["weight"] * batch["label"]).sum(dtype=np.float64))
        for name, (num, den) in sums.rates.items():
            seen = [float(batch[f"{name}__{part}"].sum(dtype=np.float64)) for part in ("num", "den")]
            sums.rates[name] = (num + seen[0], den + seen[1])
    return sums


def _is_standardized(spec: FeatureSpec) -> bool:
    return spec.kind == "rate" or (spec.kind == "number" and spec.edges is None)


def _values(spec: FeatureSpec, batch: Batch, priors: dict[str, float]) -> NDArray[np.floating]:
    if spec.kind == "rate":
        return smoothed_rate(spec, [batch[column] for column in spec.columns], priors[spec.name])
    values = batch[spec.name]
    return np.log1p(np.maximum(values, 0.0)) if spec.log else values


def smoothed_rate(spec: FeatureSpec, parts: Sequence[Array], prior: float) -> Array:
    """The rate of every row, from the columns of its spec, as the graph computes it (pipeline.models.transforms)."""
    smoothing = spec.smoothing or 0.0
    group: Array | float = prior
    if spec.grouped:
        group = (parts[2] + prior * smoothing) / (parts[3] + smoothing)
    return (parts[0] + group * smoothing) / (parts[1] + smoothing)


def _f32(value: float) -> float:
    return float(np.float32(value))
