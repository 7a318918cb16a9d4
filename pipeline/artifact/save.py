"""Write a candidate: all files into a scratch folder, checked there, then published with the manifest last."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.batches import checked
from pipeline.artifact.edge_rows import edge_rows, null_row
from pipeline.artifact.errors import ParityFailure
from pipeline.artifact.export import IDS_FORM, LOGIT, PROBABILITY, RAW_FORM, onnx_form
from pipeline.artifact.front_end import ids_front_end, raw_front_end
from pipeline.artifact.golden import Golden, as_rows, stack
from pipeline.artifact.load import GOLDEN, METRICS, MODEL, VERDICT, Artifact, vocabulary_file
from pipeline.artifact.parity import check_onnx_forms, has_onnx_runtime
from pipeline.artifact.vocabulary import NULL_HASH, Vocabulary, decode
from pipeline.artifact.weights import WEIGHTS, places, read_weights, weights_bytes
from pipeline.errors import Refused
from pipeline.features import FIRST_ID, HASH, NULL_ID, PAD_ID, UNKNOWN_ID
from pipeline.models import ModelSpec, encoded_inputs, raw_inputs
from pipeline.storage import Manifest, describe_file, digest_of, files_at, has_manifest, read_manifest, write_manifest

SCORING_FILES = (WEIGHTS, MODEL, "vocabulary/")
"""What decides a score; the content digest is over these."""


def save_candidate(
    folder: str,
    model: ModelSpec,
    parameters: Mapping[str, NDArray[Any]],
    vocabularies: Mapping[str, Sequence[str]],
    golden: Mapping[str, NDArray[Any]],
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
    product: str,
    version: str | int,
    scratch: str | None = None,
) -> Manifest:
    """Publish a candidate in a folder that holds none yet; returns its manifest.

    parameters    every variable of the graph, by name
    vocabularies  by name, values in id order from id 3 on; values beyond the model's size are left out
    golden        a few encoded rows as the loader gives them (a label or weight beside them does no harm); rows at
                  the edges of every input are added
    lineage       origin, run, dt, inputs, key, config_hash, code_version of the manifest; the rest goes to its `extra`
    scratch       a local folder in which the files are made and checked: one that the next attempt empties, so that
                  nothing stays behind a killed one (a temporary folder by default)
    Raises DamagedData when parameters or vocabularies do not fit the model, ParityFailure (and publishes nothing) when
    an exported form disagrees with the engine, Refused when the folder holds an artifact.
    """
    if has_manifest(folder):
        raise Refused(f"{folder} holds an artifact, and those are never changed; publish a higher version")
    artifact = Artifact(model, parameters, _frozen(model, vocabularies), str(version))
    with _emptied(scratch) as place:
        _write(place, artifact, parameters, golden, {**metrics}, product)
        return _publish(place, folder, _manifest(artifact, lineage, product))


@contextmanager
def _emptied(scratch: str | None) -> Iterator[str]:
    """An empty folder, gone afterwards."""
    if scratch is None:
        with tempfile.TemporaryDirectory(prefix="artifact-") as folder:
            yield folder
        return
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def record_verdict(folder: str, verdict: Mapping[str, Any]) -> Manifest:
    """Add `gate.json` to a published candidate and to its manifest; the files that score stay as they are."""
    manifest = read_manifest(folder)
    files_at(folder).write_atomic(f"{folder}/{VERDICT}", _json(verdict))
    others = tuple(entry for entry in manifest.files if entry.name != VERDICT)
    judged = replace(manifest, files=(*others, describe_file(folder, VERDICT, 0)))
    write_manifest(folder, judged)
    return judged


def _write(
    scratch: str, artifact: Artifact, parameters: Mapping[str, NDArray[Any]], rows: Mapping[str, NDArray[Any]],
    metrics: Mapping[str, Any], product: str,
) -> None:  # fmt: skip
    """All files of the artifact, checked."""
    content = weights_bytes(parameters)
    golden = golden_rows(artifact, rows)
    forms = has_onnx_runtime()
    files = {
        WEIGHTS: content,
        MODEL: _json(_description(artifact, product, forms)),
        METRICS: _json(metrics),
        GOLDEN: golden.to_json(artifact.spec.fed),
        **{vocabulary_file(name): _vocabulary(held) for name, held in artifact.vocabularies.items()},
        **(_forms(artifact, content) if forms else {}),
    }
    for name, body in files.items():
        Path(scratch, name).parent.mkdir(exist_ok=True)
        Path(scratch, name).write_bytes(body)
    _check_written(scratch, artifact)
    if forms:
        check_onnx_forms(scratch, artifact.spec.fed, golden, artifact.score)


def golden_rows(artifact: Artifact, rows: Mapping[str, NDArray[Any]]) -> Golden:
    """The given encoded rows, then the edges of every input, with ids and scores by the engine."""
    features = artifact.spec.fed
    inputs = encoded_inputs(features)
    given = decode(features, artifact.vocabularies, checked(inputs, rows))
    named = [(f"evaluation {position}", row) for position, row in enumerate(as_rows(features, given))]
    named += edge_rows(features, artifact.vocabularies, named[0][1] if named else null_row(features))
    raw = stack(features, raw_inputs(features), [row for _, row in named])
    encoded = artifact.encode(raw)
    return Golden(tuple(name for name, _ in named), raw, encoded, artifact.score_ids(encoded))


def _check_written(scratch: str, artifact: Artifact) -> None:
    """What a reader will load scores the golden rows to the same bits."""
    spec = ModelSpec.from_json(json.loads(Path(scratch, MODEL).read_bytes())["model"])
    loaded = Artifact(spec, read_weights(Path(scratch, WEIGHTS).read_bytes()), artifact.vocabularies, artifact.version)
    golden = Golden.from_json(spec.fed, Path(scratch, GOLDEN).read_bytes())
    found = loaded.score(golden.raw)
    for row in np.flatnonzero(~(found == golden.probability)):
        raise ParityFailure(
            f"the artifact read back does not score as the model does, so nothing was published: row {row} "
            f"({golden.names[row]}) must be {golden.probability[row]}, got {found[row]}"
        )


def _forms(artifact: Artifact, weights: bytes) -> dict[str, bytes]:
    features, fixed, shared = artifact.spec.fed, artifact.fixed, places(weights)
    fronts = {RAW_FORM: raw_front_end(features, artifact.vocabularies, fixed), IDS_FORM: ids_front_end(features, fixed)}
    return {name: onnx_form(artifact.model, front, shared, artifact.version) for name, front in fronts.items()}


def _description(artifact: Artifact, product: str, forms: bool) -> dict[str, Any]:
    """model.json."""
    features = artifact.spec.fed
    hashed = {feature.name: feature.buckets for feature in features if feature.hashed}
    return {
        "product": product,
        "version": artifact.version,
        "model": artifact.spec.to_json(),
        "parameters": {name: list(variable.static_shape) for name, variable in artifact.model.graph.variables.items()},
        "tables": sorted(artifact.model.tables),
        "reserved_ids": {"padding": PAD_ID, "null": NULL_ID, "unknown": UNKNOWN_ID, "first_value": FIRST_ID},
        **({"hashes": {"function": HASH, "null": NULL_HASH, "buckets": hashed}} if hashed else {}),
        "signatures": {
            "raw": [entry.to_json() for entry in raw_inputs(features)],
            "ids": [entry.to_json() for entry in ids_front_end(features).inputs],
            "outputs": [{"name": name, "dtype": "float32", "shape": [-1]} for name in (PROBABILITY, LOGIT)],
        },
        "forms": {RAW_FORM: "raw", IDS_FORM: "ids"} if forms else {},
    }


def _manifest(artifact: Artifact, lineage: Mapping[str, Any], product: str) -> Manifest:
    """The manifest without its files."""
    known = {name: str(lineage.get(name, "")) for name in ("origin", "run", "dt", "key", "config_hash", "code_version")}
    rest = {name: value for name, value in lineage.items() if name not in known and name != "inputs"}
    return Manifest(
        dataset="models",
        product=product,
        files=(),
        rows=0,
        schema={entry.name: entry.dtype for entry in raw_inputs(artifact.spec.fed)},
        content_digest="",
        inputs=tuple(lineage.get("inputs", ())),
        extra={"version": artifact.version, "lineage": rest},
        **known,
    )


def _publish(scratch: str, folder: str, manifest: Manifest) -> Manifest:
    """Copy the files through the storage's door, then commit. Leftovers of a killed attempt are removed first."""
    storage = files_at(folder)
    storage.remove(folder)
    names = sorted(str(path.relative_to(scratch)) for path in Path(scratch).rglob("*") if path.is_file())
    for name in names:
        storage.make_folder(os.path.dirname(f"{folder}/{name}"))
        storage.write_atomic(f"{folder}/{name}", Path(scratch, name).read_bytes())
    files = tuple(describe_file(folder, name, 0) for name in names)
    scoring = {entry.name: entry.sha256 for entry in files if entry.name.startswith(SCORING_FILES)}
    complete = replace(manifest, files=files, content_digest=digest_of(scoring))
    write_manifest(folder, complete)
    return complete


def _frozen(model: ModelSpec, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Vocabulary]:
    """The vocabularies that the model reads, up to its own sizes."""
    return {
        name: Vocabulary(name, vocabularies[name][: size - FIRST_ID])
        for name, size in model.vocabulary_sizes.items()
        if name in vocabularies
    }


def _vocabulary(vocabulary: Vocabulary) -> bytes:
    return _json({"name": vocabulary.name, "first_id": FIRST_ID, "values": vocabulary.values})


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
