"""The two doors of a model follow from its features."""

from __future__ import annotations

from pipeline.models import encoded_inputs, raw_inputs
from tests.models.model_cases import FEATURES

NAMES = [
    "user_key",
    "user_city",
    "user_spend",
    "item_key",
    "item_score",
    "item_rate__num",
    "item_rate__den",
    "context_position",
    "sequence_recent",
    "sequence_recent__length",
]


def test_doors_have_the_same_names_and_shapes_in_feature_order() -> None:
    encoded, raw = encoded_inputs(FEATURES), raw_inputs(FEATURES)
    assert [entry.name for entry in encoded] == NAMES
    assert [entry.name for entry in raw] == NAMES
    assert [entry.shape for entry in raw] == [entry.shape for entry in encoded] == [()] * 8 + [(3,), ()]


def test_ids_are_int32_inside_and_strings_outside() -> None:
    pairs = {
        (inner.dtype, outer.dtype) for inner, outer in zip(encoded_inputs(FEATURES), raw_inputs(FEATURES), strict=True)
    }
    assert pairs == {("int32", "string"), ("float32", "float32"), ("int32", "int64")}
    assert raw_inputs(FEATURES)[-1].dtype == "int64"
