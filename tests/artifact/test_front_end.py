"""The ONNX nodes that encode raw values, alone in onnxruntime, against the artifact's own encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.artifact.batches import checked
from pipeline.artifact.export import IR, ML_OPSET, OPSET, value_info
from pipeline.artifact.front_end import FrontEnd, ids_front_end, raw_front_end
from pipeline.artifact.vocabulary import encode
from pipeline.models import encoded_inputs
from tests.artifact.artifact_cases import VOCABULARIES, raw_rows
from tests.models.model_cases import FEATURES, encoded_batch, model_spec

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(front: FrontEnd, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    from onnx import helper

    names = list(front.renamed.values())
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    used = {name for node in front.nodes for name in node.input}
    inputs = [value_info(entry) for entry in front.inputs if entry.name in used]
    graph = helper.make_graph(front.nodes, "front", inputs, outputs, front.initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    session = onnxruntime.InferenceSession(
        helper.make_model(graph, opset_imports=opsets, ir_version=IR).SerializeToString()
    )
    found = session.run(names, {entry.name: batch[entry.name] for entry in front.inputs if entry.name in used})
    return dict(zip(front.renamed, found, strict=True))


@pytest.mark.parametrize("rows", [0, 1, 7, 1000])
def test_raw_values_become_the_same_ids(rows: int) -> None:
    raw = raw_rows(rows)
    raw["sequence_recent__length"] = np.random.default_rng(1).integers(-2, 6, rows)
    expected, found = encode(FEATURES, VOCABULARIES, raw), run(raw_front_end(FEATURES, VOCABULARIES), raw)
    assert set(found) == {"user_key", "user_city", "item_key", "sequence_recent", "sequence_recent__length"}
    for name, ids in found.items():
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, expected[name])


def test_a_vocabulary_is_stored_once_for_all_its_uses() -> None:
    nodes = raw_front_end(FEATURES, VOCABULARIES).nodes
    encoders = [node for node in nodes if node.op_type == "LabelEncoder"]
    assert len(encoders) == len(VOCABULARIES)


def test_an_empty_vocabulary_knows_null_and_nothing_else() -> None:
    empty = {name: type(held)(name, []) for name, held in VOCABULARIES.items()}
    found = run(raw_front_end(FEATURES, empty), raw_rows(200))
    assert set(found["user_key"].tolist()) == {1, 2}


def test_ids_of_any_size_are_brought_into_the_models_range() -> None:
    encoded = {
        name: value.astype(np.int64) if value.dtype == np.int32 else value
        for name, value in encoded_batch(model_spec(), 3).items()
    }
    encoded["user_key"] = np.array([-5, 4, 2**40], np.int64)
    encoded["item_key"][0] = np.iinfo(np.int64).min
    encoded["sequence_recent__length"] = np.array([-1, 2, 99], np.int64)
    found = run(ids_front_end(FEATURES), encoded)
    assert found["user_key"].tolist() == [1, 4, 2**31 - 1], "null, itself, beyond every vocabulary"
    assert found["sequence_recent__length"].tolist() == [0, 2, 3]
    assert found["item_key"].tolist() == [1, *encoded["item_key"][1:].tolist()]
    for entry in encoded_inputs(FEATURES):
        if entry.dtype == "int32":
            np.testing.assert_array_equal(found[entry.name], checked([entry], encoded)[entry.name])
