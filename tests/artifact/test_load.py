"""Loading: the same scores as before saving, and no byte that is not the manifest's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.artifact import BadBatch, load_artifact, load_golden
from pipeline.errors import DamagedData, MissingInput
from pipeline.features import NULL_ID, UNKNOWN_ID
from pipeline.models import ModelFault
from pipeline.storage import MANIFEST
from tests.artifact.artifact_cases import parameters, raw_rows, republish, save
from tests.models.model_cases import encoded_batch, model_spec
from tests.models.wide_deep_reference import reference


def test_a_loaded_artifact_scores_as_the_formula_says(tmp_path: Path) -> None:
    manifest = save(f"{tmp_path}/c")
    artifact = load_artifact(f"{tmp_path}/c")
    batch = encoded_batch(model_spec(), 100, seed=8)
    expected = 1 / (1 + np.exp(-np.array(reference(parameters(model_spec()), batch))))
    found = artifact.score_ids({**batch, "label": np.ones(100, np.float32)})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert found.dtype == np.float32
    assert (artifact.version, artifact.spec, artifact.manifest) == ("2026010601", model_spec(), manifest)


def test_golden_rows_score_to_the_same_bits_from_both_doors(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    artifact, golden = load_artifact(f"{tmp_path}/c"), load_golden(f"{tmp_path}/c")
    np.testing.assert_array_equal(artifact.score(golden.raw), golden.probability)
    np.testing.assert_array_equal(artifact.score_ids(golden.encoded), golden.probability)
    for rows in (0, 1):
        assert artifact.score({name: value[:rows] for name, value in golden.raw.items()}).shape == (rows,)


def test_int64_ids_are_taken_too_and_a_wrong_batch_is_not(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    artifact, batch = load_artifact(f"{tmp_path}/c"), encoded_batch(model_spec(), 5)
    wide = {name: value.astype(np.int64) if value.dtype == np.int32 else value for name, value in batch.items()}
    np.testing.assert_array_equal(artifact.score_ids(wide), artifact.score_ids(batch))
    with pytest.raises(BadBatch, match="'user_key' must be an integer, got object"):
        artifact.score_ids(raw_rows(5))


def test_ids_beyond_every_range_are_null_or_unknown_and_never_another_value(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    artifact, batch = load_artifact(f"{tmp_path}/c"), encoded_batch(model_spec(), 4)
    null, unknown = ({**batch, "user_key": np.full(4, code, np.int32)} for code in (NULL_ID, UNKNOWN_ID))
    for code, same in ((-1, null), (np.iinfo(np.int64).min, null), (2**32 + 3, unknown), (2**31 - 1, unknown)):
        odd = {**batch, "user_key": np.full(4, code, np.int64)}
        np.testing.assert_array_equal(artifact.score_ids(odd), artifact.score_ids(same))


def test_text_that_is_none_is_refused_with_the_way_to_say_null(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    raw = raw_rows(3)
    raw["user_city"][1] = None
    with pytest.raises(BadBatch, match="'user_city' must hold str alone, got NoneType among them; null is \"\""):
        load_artifact(f"{tmp_path}/c").score(raw)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="nothing was published there"):
        load_artifact(f"{tmp_path}/c")


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "model.json", "model.onnx", "golden.json", "vocabulary/city.json"]
)
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    save(f"{tmp_path}/c")
    path = tmp_path / "c" / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedData, match=f"{name} was changed after it was published"):
        load_artifact(f"{tmp_path}/c")
    path.unlink()
    with pytest.raises(DamagedData, match=f"{name} is missing"):
        load_artifact(f"{tmp_path}/c")


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    path = tmp_path / "c" / MANIFEST
    path.write_text(path.read_text().replace('"vocabulary/city.json"', '"../city.json"'))
    with pytest.raises(DamagedData, match="lies outside of the folder"):
        load_artifact(f"{tmp_path}/c")


def test_a_model_json_of_something_else_is_refused(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    described = json.loads((tmp_path / "c/model.json").read_bytes())
    republish(tmp_path / "c", "model.json", json.dumps({**described, "model": {"kind": "x"}}).encode())
    with pytest.raises(ModelFault, match="not the JSON of a model spec"):
        load_artifact(f"{tmp_path}/c")
    republish(tmp_path / "c", "model.json", b"import os")
    with pytest.raises(DamagedData, match=r"model\.json is not JSON"):
        load_artifact(f"{tmp_path}/c")


def test_parts_of_two_models_do_not_load_together(tmp_path: Path) -> None:
    save(f"{tmp_path}/c")
    save(f"{tmp_path}/d", model=model_spec(hidden=(7, 5)))
    republish(tmp_path / "c", "weights.safetensors", (tmp_path / "d/weights.safetensors").read_bytes())
    with pytest.raises(DamagedData, match=r"deep/layer_0/weights must be float32 \[26, 6\], got float32 \[26, 7\]"):
        load_artifact(f"{tmp_path}/c")
