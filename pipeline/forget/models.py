"""Versions of models that know a user: his value is in a vocabulary, a row of its tables was learnt from him.

Of those of a cut day the highest may serve: it is published again under the next number, with a tombstone for his value
and, in every table over that vocabulary, the row of the unknown for his. Then all that know him are removed. What other
weights learnt from his rows among those of everybody is still in them; a new training ends that.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact, load_artifact, load_golden, record_verdict, save_candidate
from pipeline.artifact.load import GOLDEN, METRICS, VERDICT, vocabulary_file
from pipeline.errors import Refused
from pipeline.features import FIRST_ID, UNKNOWN_ID
from pipeline.forget.person import Person
from pipeline.schemas import TOMBSTONE
from pipeline.storage import MOST_VERSIONS, Warehouse, files_at, published_versions, read_manifest

MODELS, CANDIDATES = "models", "candidates"


def knowing(warehouse: Warehouse, person: Person) -> list[str]:
    """The folders (from the product's on) of all published versions that know him."""
    storage, found = files_at(warehouse.root), []
    for place in (MODELS, CANDIDATES):
        for kind in storage.names(warehouse.path(place)):
            versions = published_versions(warehouse.path(place, kind))
            found += [f"{place}/{kind}/{v}" for v in versions if _knows(warehouse.path(place, kind, v), person)]
    return found


def _knows(folder: str, person: Person) -> bool:
    storage = files_at(folder)
    for column in person.columns:
        path = f"{folder}/{vocabulary_file(column)}"
        if storage.exists(path) and person.value in json.loads(storage.read(path))["values"]:
            return True
    written = json.dumps(person.value, ensure_ascii=False).encode()
    return written in storage.read(f"{folder}/{GOLDEN}")


def replace(warehouse: Warehouse, person: Person) -> None:
    """Publish the highest version of each cut day again without him, then remove all that know him.

    Raises Refused where a cut day has no number left. Killed, it goes on where it stopped: a version goes when its
    successor is there.
    """
    storage, by_cut = files_at(warehouse.root), defaultdict[tuple[str, str], list[str]](list)
    known = knowing(warehouse, person)
    for folder in known:
        place, kind, version = folder.split("/")
        if place == MODELS:
            by_cut[kind, version[:-2]].append(version)
    for (kind, cut), versions in by_cut.items():
        highest = max((v for v in published_versions(warehouse.path(MODELS, kind)) if v.startswith(cut)), key=int)
        if highest in versions:
            _succeed(warehouse, person, kind, highest)
    for folder in known:
        storage.remove(warehouse.path(folder))


def _succeed(warehouse: Warehouse, person: Person, kind: str, version: str) -> None:
    """A version under the next number: the same, but for him."""
    if int(version[-2:]) >= MOST_VERSIONS:
        raise Refused(f"{MODELS}/{kind}/{version} has the last number of its day; train on a later day, then try again")
    after, folder = str(int(version) + 1), warehouse.path(MODELS, kind, version)
    made, storage = warehouse.path(CANDIDATES, kind, after), files_at(folder)
    storage.remove(made)  # what a killed attempt left, or a refused one that knows him anyway
    artifact, manifest = load_artifact(folder), read_manifest(folder)
    ids = _ids(artifact, person)
    lineage = {
        **manifest.extra["lineage"], "origin": manifest.origin, "run": manifest.run, "dt": manifest.dt,
        "inputs": manifest.inputs, "key": manifest.key, "config_hash": manifest.config_hash,
        "code_version": manifest.code_version, "instead_of": version, "reason": "a user was forgotten",
    }  # fmt: skip
    save_candidate(
        made, artifact.spec, _parameters(artifact, ids), _vocabularies(artifact, ids), _golden(artifact, folder, ids),
        json.loads(storage.read(f"{folder}/{METRICS}")), lineage, manifest.product, after,
    )  # fmt: skip
    if storage.exists(f"{folder}/{VERDICT}"):
        record_verdict(made, json.loads(storage.read(f"{folder}/{VERDICT}")))
    storage.rename_new(made, warehouse.path(MODELS, kind, after))


def _ids(artifact: Artifact, person: Person) -> dict[str, int]:
    """Vocabulary -> his id, of those that know him."""
    return {
        name: int(held.encode(np.array([person.value], dtype=object))[0])
        for name, held in artifact.vocabularies.items()
        if name in person.columns and person.value in held.values
    }


def _vocabularies(artifact: Artifact, ids: Mapping[str, int]) -> dict[str, list[str]]:
    return {
        name: [f"{TOMBSTONE}{FIRST_ID + k}" if ids.get(name) == FIRST_ID + k else v for k, v in enumerate(held.values)]
        for name, held in artifact.vocabularies.items()
    }


def _parameters(artifact: Artifact, ids: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """A table is called by its vocabulary or by the feature that looks up in it, behind the part that it belongs to."""
    values = {name: np.array(artifact.model.graph.store.get(name)) for name in artifact.model.graph.variables}
    for vocabulary, id_ in ids.items():
        uses = {vocabulary, *(spec.name for spec in artifact.spec.features if spec.vocabulary == vocabulary)}
        for table in artifact.model.tables:
            if table.rpartition("/")[2] in uses:
                values[table][id_] = values[table][UNKNOWN_ID]
    return values


def _golden(artifact: Artifact, folder: str, ids: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """The rows of the evaluation, without his."""
    golden = load_golden(folder)
    his = np.zeros(len(golden.names), dtype=np.bool_)
    for spec in artifact.spec.features:
        if spec.kind == "id" and spec.vocabulary in ids:
            his |= golden.encoded[spec.name] == ids[str(spec.vocabulary)]
    evaluated = np.array([name.startswith("evaluation ") for name in golden.names])
    return {name: column[evaluated & ~his] for name, column in golden.encoded.items()}
