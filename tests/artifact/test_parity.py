"""onnxruntime against the engine: equal ids, probabilities within 1e-5, and failures that name row and feature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.artifact import ParityFailure, load_artifact, load_golden, parity
from pipeline.artifact.parity import check_onnx_forms, ids_form, raw_form
from pipeline.features import FeatureSpec
from pipeline.models import ModelSpec
from tests.artifact.artifact_cases import raw_rows, republish, save
from tests.models.model_cases import FEATURES, SIZES, encoded_batch, model_spec

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    save(f"{tmp_path}/c")
    return f"{tmp_path}/c"


def check(folder: str) -> None:
    check_onnx_forms(folder, FEATURES, load_golden(folder), load_artifact(folder).score)


def spoil(folder: str, change: Callable[[Any], None], form: str = "model.onnx") -> None:
    """Change the ONNX graph on disk, and let the manifest be as if it had always been so."""
    model = onnx.load(f"{folder}/{form}", load_external_data=False)
    change(model.graph)
    republish(Path(folder), form, model.SerializeToString())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_raw_rows_give_equal_ids_and_near_scores(folder: str, seed: int) -> None:
    artifact, raw = load_artifact(folder), raw_rows(2000, seed)
    found = raw_form(folder)(raw)
    encoded = artifact.encode(raw)
    for name in ("user_key", "user_city", "item_key", "sequence_recent", "sequence_recent__length"):
        np.testing.assert_array_equal(found[f"encoded/{name}"], encoded[name])
    np.testing.assert_allclose(found["probability"], artifact.score(raw), rtol=0, atol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-found["logit"])), found["probability"], atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 7, 500])
def test_encoded_rows_score_alike(folder: str, rows: int) -> None:
    artifact, batch = load_artifact(folder), encoded_batch(model_spec(), rows, seed=4)
    door = {name: value.astype(np.int64) if value.dtype == np.int32 else value for name, value in batch.items()}
    found = ids_form(folder)(door)["probability"]
    np.testing.assert_allclose(found, artifact.score_ids(batch), rtol=0, atol=1e-5)
    assert found.shape == (rows,)


def test_the_forms_are_pinned_and_share_their_weights(folder: str) -> None:
    size = Path(folder, "weights.safetensors").stat().st_size
    for form in ("model.onnx", "model_ids.onnx"):
        model = onnx.load(f"{folder}/{form}", load_external_data=False)
        assert {opset.domain: opset.version for opset in model.opset_import} == {"": 17, "ai.onnx.ml": 2}
        assert model.ir_version == 8
        external = [tensor for tensor in model.graph.initializer if tensor.external_data]
        places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in external]
        assert {place["location"] for place in places} == {"weights.safetensors"}
        assert sum(int(place["length"]) for place in places) <= size
        assert [output.name for output in model.graph.output] == ["probability", "logit"]


def test_the_reference_evaluator_of_onnx_agrees(folder: str) -> None:
    from onnx.reference import ReferenceEvaluator

    golden = load_golden(folder)
    found = ReferenceEvaluator(f"{folder}/model.onnx").run(["probability"], golden.raw)
    np.testing.assert_allclose(np.asarray(found)[0], golden.probability, rtol=0, atol=1e-5)


def test_the_forms_load_by_path_where_they_lie(folder: str) -> None:
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
    golden = load_golden(folder)
    found = session.run(["probability"], golden.raw)[0]
    np.testing.assert_allclose(found, golden.probability, rtol=0, atol=1e-5)


def test_a_key_that_moved_names_row_and_feature(folder: str) -> None:
    def swap(graph: Any) -> None:
        encoder = next(node for node in graph.node if node.op_type == "LabelEncoder" and "city" in node.name)
        ids = next(attribute for attribute in encoder.attribute if attribute.name == "values_int64s").ints
        ids[1], ids[2] = ids[2], ids[1]

    spoil(folder, swap)
    with pytest.raises(ParityFailure, match=r"row \d+ \(.*\), feature 'user_city': '.*' must be \d, got \d"):
        check(folder)


def test_a_weight_from_elsewhere_names_row_and_feature(folder: str) -> None:
    def move(graph: Any) -> None:
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        source = {entry.key: entry.value for entry in tensors["wide/item_key"].external_data}
        for entry in tensors["wide/context_position"].external_data:
            if entry.key == "offset":
                entry.value = source["offset"]

    spoil(folder, move)
    with pytest.raises(ParityFailure, match=r"the first is row \d+ \(.*\): must be .*; feature 'context_position'$"):
        check(folder)


def test_the_encoded_form_is_checked_too(folder: str) -> None:
    def forget(graph: Any) -> None:
        node = next(node for node in graph.node if node.op_type == "Sigmoid")
        node.op_type = "Tanh"

    spoil(folder, forget, "model_ids.onnx")
    with pytest.raises(ParityFailure, match=r"model_ids\.onnx does not score as the engine does"):
        check(folder)


def test_a_hundred_thousandth_is_the_limit(folder: str) -> None:
    golden = load_golden(folder)
    near, far = (golden.probability + np.float32(much) for much in (5e-6, 3e-5))
    parity._check_scores("form", golden, near, lambda row: "")
    with pytest.raises(ParityFailure, match=r"differ by more than 1e-05, the first is row 0"):
        parity._check_scores("form", golden, far, lambda row: "")


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_form_that_fits_only_some_batch_sizes_is_refused(folder: str, size: int) -> None:
    golden, run = load_golden(folder), raw_form(folder)

    def frozen(batch: Any) -> Any:
        found = dict(run(batch))
        if len(found["probability"]) == size:
            found["probability"] = np.zeros(size + 1, np.float32)
        return found

    parity._check_batches("form", run, golden.raw, golden)
    with pytest.raises(ParityFailure, match=f"form scores a batch of {size} as"):
        parity._check_batches("form", frozen, golden.raw, golden)


def test_models_of_fewer_kinds_export_as_well(tmp_path: Path) -> None:
    """Ids alone, numbers alone, buckets alone, a sequence alone."""
    sequence = next(feature for feature in FEATURES if feature.kind == "sequence")
    chosen: list[tuple[FeatureSpec, ...]] = [
        (FEATURES[0],), (FEATURES[2],), (FEATURES[6],), (FEATURES[5], FEATURES[7]), (sequence,),
    ]  # fmt: skip
    for number, features in enumerate(chosen):
        spec = ModelSpec(
            "wide_deep",
            features,
            SIZES,
            {"user_spend": {"mean": 0, "scale": 1}, "item_rate": {"prior": 0.1, "mean": 0.1, "scale": 1}},
        )
        save(f"{tmp_path}/{number}", model=spec, golden=encoded_batch(spec, 3))
        golden = load_golden(f"{tmp_path}/{number}")
        np.testing.assert_array_equal(load_artifact(f"{tmp_path}/{number}").score(golden.raw), golden.probability)
