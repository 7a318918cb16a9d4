"""Saving a candidate: what lies in its folder, and that nothing does when something is wrong."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.artifact import ParityFailure, load_artifact, load_golden, record_verdict, save_candidate
from pipeline.artifact import save as save_module
from pipeline.artifact.export import onnx_form
from pipeline.artifact.front_end import FrontEnd
from pipeline.artifact.weights import Place, weights_bytes
from pipeline.errors import DamagedData, Refused
from pipeline.models import ModelGraph, build
from pipeline.storage import has_manifest, read_manifest
from tests.artifact.artifact_cases import parameters, raw_rows, save, values
from tests.models.model_cases import SIZES, encoded_batch, model_spec
from tests.models.wide_deep_reference import reference


def test_a_candidate_is_complete(tmp_path: Path) -> None:
    manifest = save(f"{tmp_path}/c")
    assert manifest == read_manifest(f"{tmp_path}/c")
    assert {entry.name for entry in manifest.files} == {
        "weights.safetensors", "model.json", "model.onnx", "model_ids.onnx", "golden.json", "metrics.json",
        "vocabulary/user_id.json", "vocabulary/item_id.json", "vocabulary/city.json",
    }  # fmt: skip
    assert (manifest.product, manifest.dt, manifest.origin, manifest.run) == ("live", "2026-01-06", "simulated", "r1")
    assert manifest.inputs == ({"path": "examples", "digest": "d"},)
    assert manifest.extra == {"version": "2026010601", "lineage": {"days": 6}}
    assert json.loads((tmp_path / "c/metrics.json").read_bytes()) == {"auc": 0.75}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_model_json_says_what_to_feed_and_what_was_fitted(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    described = json.loads((tmp_path / "c/model.json").read_bytes())
    assert described["model"]["constants"]["item_rate"] == {"prior": 0.25, "mean": 0.3, "scale": 0.1}
    assert described["signatures"]["raw"][0] == {"name": "user_key", "dtype": "string", "shape": [-1]}
    assert {"name": "sequence_recent", "dtype": "int64", "shape": [-1, 3]} in described["signatures"]["ids"]
    assert described["reserved_ids"] == {"padding": 0, "null": 1, "unknown": 2, "first_value": 3}
    assert described["parameters"]["embedding/item_id"] == [9, 4]


def test_the_same_candidate_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = save(f"{tmp_path}/a"), save(f"{tmp_path}/b")
    assert [entry.sha256 for entry in first.files] == [entry.sha256 for entry in second.files]
    assert first.content_digest == second.content_digest
    other = save(f"{tmp_path}/c", parameters={**parameters(model_spec()), "wide/bias": np.array([9], np.float32)})
    assert other.content_digest != first.content_digest


def test_golden_rows_are_the_given_ones_and_the_edges_with_the_models_scores(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    golden = load_golden(f"{tmp_path}/c")
    assert golden.names[:12] == tuple(f"evaluation {number}" for number in range(12))
    assert {"all null", "all unknown", "empty sequences", "bucket edges 8"} <= set(golden.names)
    given = encoded_batch(model_spec(), 12)
    np.testing.assert_array_equal(golden.encoded["sequence_recent__length"][:12], given["sequence_recent__length"])
    expected = 1 / (1 + np.exp(-np.array(reference(parameters(model_spec()), golden.encoded))))
    np.testing.assert_allclose(golden.probability, expected, rtol=0, atol=1e-5)


def test_values_beyond_the_models_size_are_left_out_and_unknown(tmp_path: Path) -> None:
    longer = {name: [*values(name), "later"] for name in SIZES}
    save(f"{tmp_path}/c", vocabularies=longer)
    raw = raw_rows(1)
    raw["user_key"] = np.array(["later"], dtype=object)
    assert load_artifact(f"{tmp_path}/c").encode(raw)["user_key"].tolist() == [2]


def test_an_artifact_is_never_overwritten_but_leftovers_are(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/leftover.bin").write_bytes(b"of a killed attempt")
    save(f"{tmp_path}/c")
    assert not (tmp_path / "c/leftover.bin").exists()
    with pytest.raises(Refused, match="never changed; publish a higher version"):
        save(f"{tmp_path}/c")


def test_faults_in_parameters_and_vocabularies_come_at_once(tmp_path: Path) -> None:
    wrong = {
        **parameters(model_spec()),
        "strange": np.zeros(3, np.float32),
        "embedding/city": np.zeros((5, 9), np.float32),
    }
    del wrong["wide/bias"]
    with pytest.raises(DamagedData) as caught:
        save(
            f"{tmp_path}/c",
            parameters=wrong,
            vocabularies={"user_id": values("user_id")[:-1], "item_id": values("item_id")},
        )
    for fault in (
        "parameters ['wide/bias'] are missing",
        "parameters ['strange'] are not the model's",
        "embedding/city must be float32 [5, 4], got float32 [5, 9]",
        "vocabulary 'city' is missing",
        "vocabulary 'user_id' must give 12 ids, its values give 11",
    ):
        assert fault in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_a_form_that_disagrees_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(model: ModelGraph, front: FrontEnd, weights: Mapping[str, Place], version: str) -> bytes:
        return onnx_form(model, front, {**weights, "wide/bias": weights["deep/layer_0/bias"]}, version)

    monkeypatch.setattr(save_module, "onnx_form", spoilt)
    with pytest.raises(ParityFailure, match=r"model\.onnx does not score as the engine does"):
        save(f"{tmp_path}/c", model=model_spec(hidden=(1, 5)))
    assert not (tmp_path / "c").exists()


def test_bytes_that_read_back_as_another_model_publish_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(parameters: Mapping[str, np.ndarray]) -> bytes:
        return weights_bytes({**parameters, "wide/bias": parameters["wide/bias"] + np.float32(0.5)})

    monkeypatch.setattr(save_module, "weights_bytes", other)
    with pytest.raises(ParityFailure, match="the artifact read back does not score as the model does"):
        save(f"{tmp_path}/c")
    assert not (tmp_path / "c").exists()


def test_a_scratch_folder_is_emptied_before_and_gone_after(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    for poison in (0.0, np.nan):
        scratch.mkdir()
        (scratch / "killed.bin").write_bytes(b"what an attempt left")
        spoilt = {**parameters(model_spec()), "wide/bias": np.array([poison], np.float32)}
        with contextlib.suppress(ParityFailure):
            manifest = save(f"{tmp_path}/c", parameters=spoilt, scratch=str(scratch))
            assert "killed.bin" not in {entry.name for entry in manifest.files}
        assert not scratch.exists()
        shutil.rmtree(f"{tmp_path}/c", ignore_errors=True)


def test_without_onnx_the_other_files_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save_module, "has_onnx_runtime", lambda: False)
    names = {entry.name for entry in save(f"{tmp_path}/c").files}
    assert "weights.safetensors" in names
    assert not any(name.endswith(".onnx") for name in names)
    assert json.loads((tmp_path / "c/model.json").read_bytes())["forms"] == {}


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    poisoned = {**parameters(model_spec()), "wide/bias": np.array([np.nan], np.float32)}
    with pytest.raises(ParityFailure, match=r"row 0 \(evaluation 0\)"):
        save(f"{tmp_path}/c", parameters=poisoned)
    assert not (tmp_path / "c").exists()


def test_the_verdict_joins_the_manifest_and_changes_nothing_else(tmp_path: Path) -> None:
    before = save(f"{tmp_path}/c")
    after = record_verdict(f"{tmp_path}/c", {"verdict": "first"})
    assert {entry.name for entry in after.files} - {entry.name for entry in before.files} == {"gate.json"}
    assert after.content_digest == before.content_digest
    assert record_verdict(f"{tmp_path}/c", {"verdict": "blessed"}).files[:-1] == before.files
    assert has_manifest(f"{tmp_path}/c")
    load_artifact(f"{tmp_path}/c")


def test_an_untrained_model_can_be_saved_without_golden_rows_of_its_own(tmp_path: Path) -> None:
    spec = model_spec()
    model = build(spec)
    fresh = {name: model.graph.store.get(name) for name in model.graph.variables}
    rows = encoded_batch(spec, 0)
    save_candidate(f"{tmp_path}/c", spec, fresh, {name: values(name) for name in SIZES}, rows, {}, {}, "live", 1)
    np.testing.assert_allclose(load_golden(f"{tmp_path}/c").probability, 0.2, rtol=1e-5)
