"""Hashed ids, and inputs that are one value when the model scores: at both doors, and in both exported forms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray

import tsengine as ts
from pipeline.artifact import ParityFailure, front_end, load_artifact, load_golden
from pipeline.artifact.vocabulary import NULL_HASH, decode, encode, hash_of
from pipeline.features import FeatureSpec, fed
from pipeline.models import ModelFault, build, encoded_inputs
from pipeline.training.evaluation import _unknown
from tests.artifact.artifact_cases import VOCABULARIES, parameters, save, values
from tests.models.model_cases import FEATURES, encoded_batch, model_spec

VECTORS = {
    "a": -8582455328737087284,
    "item-17": -4198240256187745632,
    "Köln": -5521285505109816513,
    "主播🎉": 6578204571872198955,
    "x" * 100: 365730103971579591,
    "somebody": 547464368128821587,
}
SCORED_AS: dict[str, float | str] = {
    "context_position": 2.0,
    "user_city": values("city")[1],
    "item_score": "",
    "user_code": "somebody",
}
EXPECTED = {"context_position": 2.0, "user_city": 4, "item_score": np.nan, "user_code": 3 + VECTORS["somebody"] % 7}
HASHED = (FeatureSpec("item_code", "id", buckets=7), FeatureSpec("user_code", "id", buckets=7))
CROSS = FeatureSpec("cross_codes", "cross", of=("item_code", "user_code"), buckets=11)
SPEC = model_spec(
    features=tuple(replace(spec, scored_as=SCORED_AS.get(spec.name)) for spec in (*FEATURES, *HASHED, CROSS))
)


def hashes(*texts: str) -> NDArray[np.int64]:
    return np.array([hash_of(text) for text in texts], np.int64)


def test_the_hash_has_its_vectors_and_gives_the_bucket_that_whole_numbers_give() -> None:
    assert {text: hash_of(text) for text in VECTORS} == VECTORS
    features = (FeatureSpec("code", "id", buckets=1000),)
    made = encode(features, {}, {"code": hashes(*VECTORS, "")})["code"]
    assert made.dtype == np.int32
    assert made.tolist() == [*(3 + value % 1000 for value in VECTORS.values()), 1]
    unsigned = np.array([xxhash.xxh64_intdigest(text.encode(), 42) for text in VECTORS], np.uint64)
    assert encode(features, {}, {"code": unsigned})["code"].tolist() == made.tolist()[:-1]


def test_a_hash_that_gives_an_id_is_found_again() -> None:
    ids = {"item_code": np.array([1, 3, 9, 2, 0], np.int32)}
    raw = decode(HASHED[:1], {}, ids)
    assert raw["item_code"].tolist() == [NULL_HASH, 0, 6, NULL_HASH, NULL_HASH]
    assert encode(HASHED[:1], {}, raw)["item_code"].tolist() == [1, 3, 9, 1, 1]


def test_a_saved_model_is_fed_with_what_varies_and_scores_by_the_fixed_values(tmp_path: Path) -> None:
    """Saving checks both ONNX forms in their runtime, golden rows and edges of every input among them."""
    folder = str(tmp_path / "model")
    save(folder, model=SPEC, golden=encoded_batch(SPEC, 12))
    artifact = load_artifact(folder)
    rows = encoded_batch(SPEC, 40, seed=9)
    model = build(SPEC)
    for name, value in parameters(SPEC).items():
        model.graph.store.set(name, value)
    feeds = {model.inputs[entry.name]: rows[entry.name] for entry in encoded_inputs(SPEC.features)}
    feeds |= {model.inputs[name]: np.full(40, value, rows[name].dtype) for name, value in EXPECTED.items()}
    expected = ts.Session(graph=model.graph).run(model.probability, feeds)
    np.testing.assert_array_equal(artifact.score_ids(rows), expected)
    others = {name: value for name, value in rows.items() if name not in EXPECTED}
    np.testing.assert_array_equal(artifact.score_ids(others), expected)
    raw = decode(artifact.spec.fed, artifact.vocabularies, others)
    assert EXPECTED.keys().isdisjoint(raw)
    np.testing.assert_array_equal(artifact.score(raw), expected)


def test_the_files_say_what_is_fed(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = str(tmp_path / "model")
    save(folder, model=SPEC, golden=encoded_batch(SPEC, 12))
    described = json.loads(Path(folder, "model.json").read_bytes())
    fed_names = {entry.name for entry in encoded_inputs(fed(SPEC.features))}
    assert EXPECTED.keys().isdisjoint(fed_names)
    for form, door in (("model.onnx", "raw"), ("model_ids.onnx", "ids")):
        inputs = onnx.load(f"{folder}/{form}", load_external_data=False).graph.input
        assert {entry.name for entry in inputs} == fed_names
        assert {entry["name"] for entry in described["signatures"][door]} == fed_names
    assert {"name": "item_code", "dtype": "int64", "shape": [-1]} in described["signatures"]["raw"]
    assert described["hashes"] == {
        "function": "xxh64, seed 42, of the UTF-8 bytes, as a signed int64", "null": NULL_HASH,
        "buckets": {"item_code": 7},
    }  # fmt: skip
    golden = load_golden(folder)
    assert {"hash -1", "item_code null", f"hash {2**63 - 1}"} <= {*golden.names}
    assert golden.raw["item_code"][golden.names.index("item_code null")] == NULL_HASH
    assert set(golden.raw) == fed_names


@pytest.mark.parametrize("broken", ["bucket", "fixed"])
def test_a_form_that_disagrees_is_not_published(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    bucket, fix = front_end._bucket, front_end._fix
    if broken == "bucket":
        monkeypatch.setattr(front_end, "_bucket", lambda front, name, buckets: bucket(front, name, buckets - 1))
    else:
        fixed = {name: np.array([4], value.dtype) for name, value in _fixed().items()}
        monkeypatch.setattr(front_end, "_fix", lambda front, _: fix(front, fixed))
    with pytest.raises(ParityFailure):
        save(str(tmp_path / "model"), model=SPEC, golden=encoded_batch(SPEC, 12))


def _fixed() -> dict[str, NDArray[np.generic]]:
    from pipeline.artifact.vocabulary import fixed_inputs

    return fixed_inputs(SPEC.features, VOCABULARIES)


def test_unknown_ids_are_counted_among_those_that_are_fed_by_a_vocabulary() -> None:
    batch = {"user_key": np.array([2, 3, 12], np.int32), "item_key": np.array([1, 3, 4], np.int32)}
    assert _unknown(batch, SPEC) == (2, 6)


def test_a_model_of_fixed_inputs_alone_cannot_be_built() -> None:
    with pytest.raises(ModelFault, match="every feature is `scored_as` one value"):
        model_spec(features=(replace(FEATURES[4], scored_as=1.0),))
