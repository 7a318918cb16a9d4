"""Strings to ids and back, by the artifact's own words: 0 padding, 1 null, 2 unknown, 3 and up the values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifact import BadBatch, Vocabulary
from pipeline.artifact.vocabulary import UNKNOWN_VALUE, decode, encode
from pipeline.errors import DamagedData
from tests.artifact.artifact_cases import VOCABULARIES, raw_rows, values
from tests.models.model_cases import FEATURES, encoded_batch, model_spec


def test_ids_are_positions_after_the_reserved_ones() -> None:
    vocabulary = Vocabulary("city", ["beijing", "lima"])
    found = vocabulary.encode(np.array([["lima", "", "rome"], ["beijing", "", "lima "]], dtype=object))
    assert found.tolist() == [[4, 1, 2], [3, 1, 2]]
    assert found.dtype == np.int32
    assert vocabulary.size == 5


def test_numpy_strings_do_as_well() -> None:
    assert Vocabulary("city", ["rome"]).encode(np.array(["rome", "", "x"])).tolist() == [3, 1, 2]


@given(st.lists(st.text(min_size=1), unique=True))
def test_every_id_decodes_to_a_value_that_encodes_to_it(words: list[str]) -> None:
    vocabulary = Vocabulary("any", words)
    ids = np.arange(1, vocabulary.size)
    np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(ids)), ids)


def test_the_unknown_value_stays_unknown_even_where_somebody_bears_its_name() -> None:
    vocabulary = Vocabulary("name", [UNKNOWN_VALUE, UNKNOWN_VALUE + "⁇"])
    assert vocabulary.encode(np.array([vocabulary.unknown_value()], dtype=object)).tolist() == [2]


@pytest.mark.parametrize(
    ("words", "fault"),
    [(["a", ""], "non-empty strings, got ''"), (["a", 3], "got 3"), (["a", "b", "a"], "'a' is there twice")],
)
def test_a_vocabulary_that_cannot_be_one_is_refused(words: list[str], fault: str) -> None:
    with pytest.raises(DamagedData, match=fault):
        Vocabulary("city", words)


def test_positions_after_the_length_are_padding_whatever_they_hold() -> None:
    raw = raw_rows(3)
    item = values("item_id")[0]
    raw["sequence_recent"] = np.array([[item, item, item], [item, "", "x"], ["x", "x", "x"]], dtype=object)
    raw["sequence_recent__length"] = np.array([2, 3, -7])
    encoded = encode(FEATURES, VOCABULARIES, raw)
    assert encoded["sequence_recent"].tolist() == [[3, 3, 0], [3, 1, 2], [0, 0, 0]]
    assert encoded["sequence_recent__length"].tolist() == [2, 3, 0]


def test_encoded_rows_decode_to_raw_ones_that_encode_to_them() -> None:
    encoded = encoded_batch(model_spec(), 300)
    found = encode(FEATURES, VOCABULARIES, decode(FEATURES, VOCABULARIES, encoded))
    for name in ("user_key", "user_city", "item_key"):
        known = np.where(encoded[name] < VOCABULARIES[model_spec().named(name).vocabulary or ""].size, encoded[name], 2)
        np.testing.assert_array_equal(found[name], known)
    np.testing.assert_array_equal(found["sequence_recent__length"], encoded["sequence_recent__length"])
    np.testing.assert_array_equal(found["item_score"], encoded["item_score"])


def test_a_batch_that_does_not_fit_is_refused_with_every_fault() -> None:
    raw = raw_rows(4)
    del raw["user_city"]
    raw["user_key"] = np.array([1, 2, 3, 4])
    raw["user_spend"] = np.array([["1"], ["2"]])
    raw["sequence_recent"] = raw["sequence_recent"][:, :2]
    with pytest.raises(BadBatch) as caught:
        encode(FEATURES, VOCABULARIES, raw)
    for fault in (
        "'user_city' is missing",
        "'user_key' must be str (dtype object or U), got int64",
        "'user_spend' must be float32, got <U1",
        "'user_spend' must have shape [rows], got [2, 1]",
        "'sequence_recent' must have shape [rows, 3], got [4, 2]",
        "different numbers of rows: [2, 4]",
    ):
        assert fault in str(caught.value)
