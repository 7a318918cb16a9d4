"""Which days are chosen, and the constants fitted on them, against hand-computed numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, parse_config
from pipeline.errors import MissingInput, Refused
from pipeline.features import FeatureSpec
from pipeline.storage import Warehouse
from pipeline.training.choose_days import example_folders, training_days, vocabulary_day
from pipeline.training.fitting import fit_constants
from pipeline.training.replica import RULES

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


def config(**training: object) -> Config:
    tables = tomllib.loads((Path(__file__).parents[2] / "conf" / "live.toml").read_text())
    tables["training"] |= training
    return parse_config(tables)


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


def test_padding_has_no_weight_in_the_prior() -> None:
    fitted = fit_constants(Batches(batch(label=[1, 1, 0], weight=[1, 0, 1])), SPECS)  # type: ignore[arg-type]
    assert fitted["label"]["prior"] == 0.5


@pytest.mark.parametrize("label", [[0, 0], [1, 1]])
def test_one_class_is_refused(label: list[float]) -> None:
    with pytest.raises(Refused, match="nothing to learn"):
        fit_constants(Batches(batch(label=label)), SPECS)  # type: ignore[arg-type]


def test_the_last_days_judge_what_the_days_before_taught() -> None:
    chosen = training_days(config(days=6, evaluation_days=2), date(2026, 1, 8))
    assert chosen == ([date(2026, 1, d) for d in range(1, 7)], [date(2026, 1, 7), date(2026, 1, 8)])
    young = training_days(config(days=6, evaluation_days=2), date(2026, 1, 4))
    assert young == ([date(2026, 1, 1), date(2026, 1, 2)], [date(2026, 1, 3), date(2026, 1, 4)])
    with pytest.raises(MissingInput, match=r"make train DT=2026-01-03"):
        training_days(config(days=6, evaluation_days=2), date(2026, 1, 2))


def test_the_vocabulary_is_that_of_the_newest_training_rows() -> None:
    assert vocabulary_day(config(), [date(2026, 1, 5), date(2026, 1, 6)]) == date(2026, 1, 5)
    assert vocabulary_day(config(), [date(2026, 1, 1)]) is None


def test_missing_days_are_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        MissingInput, match=r"dt=2026-01-02, .*dt=2026-01-03.*make backfill FROM=2026-01-02 TO=2026-01-03"
    ):
        example_folders(config(), Warehouse(str(tmp_path), "live"), [date(2026, 1, 2), date(2026, 1, 3)])


def test_every_rule_of_the_config_exists() -> None:
    from typing import get_args

    from pipeline.config import Rule

    assert set(RULES) == set(get_args(Rule.model_fields["kind"].annotation))
