"""Golden rows are JSON that reads back to the same bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.artifact.edge_rows import edge_rows, null_row
from pipeline.artifact.golden import Golden, as_rows, stack
from pipeline.artifact.vocabulary import encode
from pipeline.errors import DamagedData
from pipeline.models import raw_inputs
from tests.artifact.artifact_cases import VOCABULARIES, raw_rows
from tests.models.model_cases import FEATURES


def golden() -> Golden:
    raw = raw_rows(40)
    raw = stack(FEATURES, raw_inputs(FEATURES), as_rows(FEATURES, raw))
    names = tuple(f"row {number}" for number in range(40))
    probability = np.random.default_rng(0).random(40, np.float32)
    return Golden(names, raw, encode(FEATURES, VOCABULARIES, raw), probability)


def test_golden_rows_survive_json() -> None:
    written = golden()
    read = Golden.from_json(FEATURES, written.to_json(FEATURES))
    assert read.names == written.names
    assert read.probability.tobytes() == written.probability.tobytes()
    for name in written.raw:
        np.testing.assert_array_equal(read.raw[name], written.raw[name])
        np.testing.assert_array_equal(read.encoded[name], written.encoded[name])
        assert read.encoded[name].dtype == written.encoded[name].dtype


def test_the_json_reads_well() -> None:
    row = json.loads(golden().to_json(FEATURES))["rows"][0]
    assert set(row) == {"name", "raw", "encoded", "probability"}
    assert "sequence_recent__length" not in row["raw"]
    assert len(row["raw"]["sequence_recent"]) == golden().raw["sequence_recent__length"][0]
    assert "NaN" not in golden().to_json(FEATURES).decode()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"rows": [{"name": "x"}]}', b'{"rows": 3}'])
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedData, match=r"golden\.json does not hold"):
        Golden.from_json(FEATURES, content)


def test_edges_stand_at_every_border() -> None:
    base = as_rows(FEATURES, raw_rows(1))[0]
    rows = dict(edge_rows(FEATURES, VOCABULARIES, base))
    batch = stack(FEATURES, raw_inputs(FEATURES), list(rows.values()))
    encoded = encode(FEATURES, VOCABULARIES, batch)
    assert rows["all null"] == null_row(FEATURES)
    for name in ("user_key", "user_city", "item_key"):
        size = VOCABULARIES[{"user_key": "user_id", "user_city": "city", "item_key": "item_id"}[name]].size
        assert {1, 2, 3, size - 1} <= set(encoded[name].tolist())
    assert {0, 3} <= set(encoded["sequence_recent__length"].tolist())
    positions = set(batch["context_position"].tolist())
    for edge in np.array([0.1, 2.0, 5.0], np.float32):
        assert {float(np.nextafter(edge, np.float32(towards))) for towards in (-9, edge, 9)} <= positions
    assert np.isnan(batch["item_score"]).any()
    assert np.isnan(batch["context_position"]).any()
    assert (batch["item_rate__den"] == 0).any()


def test_a_model_without_vocabulary_values_has_edges_too() -> None:
    empty = {name: type(held)(name, []) for name, held in VOCABULARIES.items()}
    rows = [row for _, row in edge_rows(FEATURES, empty, null_row(FEATURES))]
    batch = encode(FEATURES, empty, stack(FEATURES, raw_inputs(FEATURES), rows))
    assert set(batch["user_key"].tolist()) == {1, 2}


def test_infinities_survive_json_that_has_none() -> None:
    raw = raw_rows(3)
    raw["user_spend"] = np.array([np.inf, -np.inf, np.nan], np.float32)
    written = Golden(("a", "b", "c"), raw, encode(FEATURES, VOCABULARIES, raw), np.zeros(3, np.float32))
    content = written.to_json(FEATURES)
    assert [row["raw"]["user_spend"] for row in json.loads(content)["rows"]] == ["inf", "-inf", None]
    np.testing.assert_array_equal(Golden.from_json(FEATURES, content).raw["user_spend"], raw["user_spend"])
