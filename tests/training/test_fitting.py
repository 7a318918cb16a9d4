"""The constants that are fitted on the training rows, against hand-computed numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from pipeline.errors import Refused
from pipeline.features import FeatureSpec
from pipeline.training.fitting import fit_constants

SPECS = (
    FeatureSpec("plain", "number"),
    FeatureSpec("tailed", "number", log=True),
    FeatureSpec("hour", "number", edges=(1.0, 2.0)),
    FeatureSpec("ctr", "rate", smoothing=10.0),
    FeatureSpec("flat", "number"),
)


class Batches:
    """As much of a loader as fitting needs."""

    def __init__(self, *batches: dict[str, Sequence[float]]) -> None:
        self._batches = [{k: np.asarray(v, np.float32) for k, v in batch.items()} for batch in batches]

    def in_order(self) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        yield from ((batch, {}) for batch in self._batches)


def batch(**columns: Sequence[float]) -> dict[str, Sequence[float]]:
    n = len(columns["label"])
    base = {"plain": [0.0] * n, "tailed": [0.0] * n, "hour": [0.0] * n, "flat": [7.0] * n, "weight": [1.0] * n}
    return {**base, "ctr__num": [0.0] * n, "ctr__den": [0.0] * n, **columns}


def test_constants_are_those_of_the_rows_that_are_numbers() -> None:
    nan = float("nan")
    loader = Batches(
        batch(label=[1, 0], plain=[1.0, nan], tailed=[0.0, np.e - 1], ctr__num=[2, 0], ctr__den=[10, 0]),
        batch(label=[0], plain=[3.0], tailed=[nan], ctr__num=[1], ctr__den=[20]),
    )
    fitted = fit_constants(loader, SPECS)  # type: ignore[arg-type]
    assert fitted["plain"] == {"mean": 2.0, "scale": 1.0}
    assert fitted["tailed"] == pytest.approx({"mean": 0.5, "scale": 0.5}, rel=1e-6)
    assert fitted["flat"] == {"mean": 7.0, "scale": 1.0}, "what never varies is not divided by zero"
    assert fitted["label"]["prior"] == pytest.approx(1 / 3, rel=1e-6)
    rates = np.array([2 + 0.1 * 10, 0.1 * 10, 1 + 0.1 * 10]) / np.array([20, 10, 30])
    assert fitted["ctr"] == pytest.approx({"prior": 0.1, "mean": rates.mean(), "scale": rates.std()}, rel=1e-5)
    assert "hour" not in fitted, "a bucketed number needs no constants"


def test_a_grouped_rate_is_fitted_as_the_graph_computes_it() -> None:
    spec = FeatureSpec("ctr", "rate", smoothing=10.0, grouped=True)
    columns = {"ctr__num": [2, 1], "ctr__den": [10, 20], "ctr__prior_num": [30, 0], "ctr__prior_den": [90, 0]}
    fitted = fit_constants(Batches(batch(label=[1, 0], **columns)), [spec])  # type: ignore[arg-type]
    groups = np.array([30 + 0.1 * 10, 0.1 * 10]) / np.array([100, 10])
    rates = (np.array([2, 1]) + groups * 10) / np.array([20, 30])
    assert fitted["ctr"] == pytest.approx({"prior": 0.1, "mean": rates.mean(), "scale": rates.std()}, rel=1e-5)


def test_padding_has_no_weight_in_the_prior() -> None:
    fitted = fit_constants(Batches(batch(label=[1, 1, 0], weight=[1, 0, 1])), SPECS)  # type: ignore[arg-type]
    assert fitted["label"]["prior"] == 0.5


@pytest.mark.parametrize("label", [[0, 0], [1, 1]])
def test_one_class_is_refused(label: list[float]) -> None:
    with pytest.raises(Refused, match="nothing to learn"):
        fit_constants(Batches(batch(label=label)), SPECS)  # type: ignore[arg-type]
