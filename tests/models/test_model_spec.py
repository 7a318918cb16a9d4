"""A model spec is data: it survives JSON, and a wrong one is refused with every fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.features import FeatureSpec
from pipeline.models import ModelFault, ModelSpec, build
from tests.models.model_cases import FEATURES, model_spec


def test_a_spec_survives_json() -> None:
    spec = model_spec()
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize("fields", [{}, {"kind": "wide_deep"}, {**model_spec().to_json(), "depth": 3}, []])
def test_json_of_something_else_is_refused(fields: Any) -> None:
    with pytest.raises(ModelFault, match="not the JSON of a model spec"):
        ModelSpec.from_json(fields)


def test_all_faults_come_at_once() -> None:
    with pytest.raises(ModelFault) as caught:
        model_spec(
            features=(
                *FEATURES,
                FEATURES[0],
                FeatureSpec("cross_x", "cross", of=("user_key", "user_spend"), buckets=4),
            ),
            vocabulary_sizes={"user_id": 2, "item_id": 9},
            constants={"item_score": {"mean": 0.0}, "item_rate": {}, "label": {"prior": 1.0}},
            hidden=(8, 0),
            embedding_dim=0,
        )
    for fault in (
        "feature 'user_key' is declared 2 times",
        "cross 'cross_x' is of 'user_spend'",
        "vocabulary_sizes lacks 'city', which feature 'user_city' reads",
        "vocabulary_sizes['user_id'] must be at least 3, got 2",
        "constants['user_spend'] lacks ['mean', 'scale']",
        "constants['item_score'] lacks ['scale']",
        "constants['item_rate'] lacks ['prior', 'mean', 'scale']",
        "constants['label']['prior'] must lie between 0 and 1, got 1.0",
        "hidden must be one or more positive widths, got [8, 0]",
        "embedding_dim must be at least 1, got 0",
    ):
        assert fault in str(caught.value)


def test_an_unknown_family_is_named_with_those_that_exist() -> None:
    with pytest.raises(ModelFault, match=r"\$\.model\.kind is 'forest'; model families are \['wide_deep'\]"):
        build(model_spec(kind="forest"))
