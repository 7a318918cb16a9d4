"""Read an artifact: every byte checked against its manifest, then data alone (JSON and tensors) becomes a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tsengine as ts
from pipeline.artifact.batches import Batch, checked, row_count
from pipeline.artifact.golden import Golden
from pipeline.artifact.vocabulary import Vocabulary, encode, fixed_inputs
from pipeline.artifact.weights import WEIGHTS, read_weights
from pipeline.errors import DamagedData
from pipeline.models import ModelGraph, ModelSpec, build, encoded_inputs
from pipeline.storage import Manifest, files_at, read_manifest

MODEL, GOLDEN, METRICS, VERDICT = "model.json", "golden.json", "metrics.json", "gate.json"


class Artifact:
    """A model that scores.

    spec          what it is; `spec.fed` say what it is fed, the other features are `fixed`
    vocabularies  by name
    version       of its folder
    manifest      what it was made from; None while it is being made
    """

    def __init__(
        self,
        spec: ModelSpec,
        parameters: Mapping[str, NDArray[Any]],
        vocabularies: Mapping[str, Vocabulary],
        version: str,
        manifest: Manifest | None = None,
    ) -> None:
        """Raises DamagedData, with every fault, where parameters or vocabularies are not those of the spec."""
        self.spec, self.vocabularies, self.version, self.manifest = spec, dict(vocabularies), version, manifest
        self.model = build(spec)
        if faults := [*_parameter_faults(self.model, parameters), *_vocabulary_faults(spec, self.vocabularies)]:
            raise DamagedData(f"artifact {version} does not fit its model.json: " + "; ".join(faults))
        for name, value in parameters.items():
            self.model.graph.store.set(name, value)
        self.fixed = fixed_inputs(spec.features, self.vocabularies)
        self._inputs = encoded_inputs(spec.fed)
        placeholders = [self.model.inputs[name] for name in (*(entry.name for entry in self._inputs), *self.fixed)]
        self._score = ts.Session(graph=self.model.graph).make_callable(self.model.probability, placeholders)

    def encode(self, raw: Mapping[str, Any]) -> Batch:
        """Raw values (pipeline.models.raw_inputs) as the model's own inputs. BadBatch where they do not fit."""
        return encode(self.spec.fed, self.vocabularies, raw)

    def score_ids(self, batch: Mapping[str, Any]) -> NDArray[np.float32]:
        """Probabilities float32 [B] of encoded inputs; other keys (label, weight) are left out."""
        encoded = checked(self._inputs, batch)
        fixed = [np.full(row_count(encoded), value) for value in self.fixed.values()]
        return np.asarray(self._score(*[encoded[entry.name] for entry in self._inputs], *fixed))

    def score(self, raw: Mapping[str, Any]) -> NDArray[np.float32]:
        """Probabilities float32 [B] of raw values."""
        return self.score_ids(self.encode(raw))


def load_artifact(folder: str) -> Artifact:
    """The artifact published in a folder.

    MissingInput where nothing is published; DamagedData naming the file where bytes are not those of the manifest.
    """
    manifest = read_manifest(folder)
    contents = _verified(folder, manifest)
    described = _json(contents, MODEL)
    spec = ModelSpec.from_json(described["model"])
    return Artifact(spec, read_weights(contents[WEIGHTS]), _vocabularies(contents), str(described["version"]), manifest)


def load_golden(folder: str) -> Golden:
    """The golden rows of a published artifact."""
    contents = _verified(folder, read_manifest(folder))
    return Golden.from_json(ModelSpec.from_json(_json(contents, MODEL)["model"]).fed, contents[GOLDEN])


def vocabulary_file(name: str) -> str:
    """Where a vocabulary lies in an artifact."""
    return f"vocabulary/{name}.json"


def _verified(folder: str, manifest: Manifest) -> dict[str, bytes]:
    """The files that scoring needs, by name, once all files of the manifest have the bytes that it says."""
    contents = {}
    for entry in manifest.files:
        path = f"{folder}/{entry.name}"
        if entry.name.startswith("/") or ".." in entry.name.split("/"):
            raise DamagedData(f"{folder}: the manifest lists {entry.name!r}, which lies outside of the folder")
        if not files_at(folder).exists(path):
            raise DamagedData(f"{path} is missing, but the manifest lists it; publish this artifact again")
        content = files_at(folder).read(path)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise DamagedData(
                f"{path} was changed after it was published (SHA-256 is not the manifest's); publish it again"
            )
        if not entry.name.endswith(".onnx"):
            contents[entry.name] = content
    if missing := {MODEL, WEIGHTS, GOLDEN} - set(contents):
        raise DamagedData(f"{folder} is no artifact: its manifest lacks {sorted(missing)}")
    return contents


def _json(contents: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        value = json.loads(contents[name])
    except ValueError as error:
        raise DamagedData(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DamagedData(f"{name} must be a JSON object, got {type(value).__name__}")
    return value


def _vocabularies(contents: Mapping[str, bytes]) -> dict[str, Vocabulary]:
    found = [_json(contents, name) for name in contents if name.startswith("vocabulary/")]
    return {entry["name"]: Vocabulary(entry["name"], entry["values"]) for entry in found}


def _parameter_faults(model: ModelGraph, parameters: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    wanted = {name: variable.static_shape for name, variable in model.graph.variables.items()}
    if missing := sorted(set(wanted) - set(parameters)):
        yield f"parameters {missing} are missing"
    if strange := sorted(set(parameters) - set(wanted)):
        yield f"parameters {strange} are not the model's"
    for name in sorted(set(wanted) & set(parameters)):
        given = parameters[name]
        if given.shape != wanted[name] or given.dtype != np.float32:
            yield f"{name} must be float32 {list(wanted[name])}, got {given.dtype} {list(given.shape)}"


def _vocabulary_faults(spec: ModelSpec, vocabularies: Mapping[str, Vocabulary]) -> Iterator[str]:
    for name in sorted({feature.vocabulary for feature in spec.features if feature.vocabulary is not None}):
        if name not in vocabularies:
            yield f"vocabulary {name!r} is missing"
        elif (given := vocabularies[name].size) != spec.vocabulary_sizes[name]:
            yield f"vocabulary {name!r} must give {spec.vocabulary_sizes[name]} ids, its values give {given}"
