"""A small artifact to save, spoil and load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Vocabulary, save_candidate
from pipeline.features import FIRST_ID
from pipeline.models import ModelSpec, build
from pipeline.storage import Manifest, describe_file, read_manifest, write_manifest
from tests.models.model_cases import SIZES, encoded_batch, model_spec, random_parameters

INPUT = {"path": "examples", "digest": "d"}
STRANGE = ("Ωmega", "a\nb", 'quote"', "  ", "0")
"""Values that a careless format would break."""


def values(name: str) -> list[str]:
    """As many values as the model's vocabulary has, in id order, strange ones first."""
    return [*STRANGE, *(f"{name}-{number}" for number in range(20))][: SIZES[name] - FIRST_ID]


VOCABULARIES = {name: Vocabulary(name, values(name)) for name in SIZES}


def parameters(spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """Random values for every variable of the model."""
    return dict(random_parameters(build(spec).graph.variables))


def save(folder: str, **changes: Any) -> Manifest:
    """Save a small candidate; any argument of save_candidate can be replaced."""
    spec = changes.pop("model", model_spec())
    given: dict[str, Any] = {
        "model": spec,
        "parameters": parameters(spec),
        "vocabularies": {name: values(name) for name in SIZES},
        "golden": encoded_batch(spec, 12),
        "metrics": {"auc": 0.75},
        "lineage": {"dt": "2026-01-06", "origin": "simulated", "run": "r1", "inputs": [INPUT], "days": 6},
        "product": "live",
        "version": 2026010601,
    }  # fmt: skip
    return save_candidate(folder, **{**given, **changes})


def republish(folder: Path, name: str, content: bytes) -> None:
    """Put other bytes in, with a manifest that agrees."""
    (folder / name).write_bytes(content)
    manifest = read_manifest(str(folder))
    files = tuple(describe_file(str(folder), entry.name, 0) for entry in manifest.files)
    write_manifest(str(folder), type(manifest)(**{**vars(manifest), "files": files}))


def raw_rows(rows: int, seed: int = 5) -> dict[str, NDArray[Any]]:
    """Random raw batches: known, unknown and null values, lists of any length."""
    rng = np.random.default_rng(seed)

    def draw(vocabulary: str, shape: tuple[int, ...]) -> NDArray[Any]:
        pool = np.array([*values(vocabulary), "", "nobody", "⁇"], dtype=object)
        return np.asarray(pool[rng.integers(0, len(pool), shape)])

    def number() -> NDArray[np.float32]:
        return np.where(rng.random(rows) < 0.2, np.nan, rng.normal(2, 3, rows)).astype(np.float32)

    return {
        "user_key": draw("user_id", (rows,)),
        "user_city": draw("city", (rows,)),
        "user_spend": number(),
        "item_key": draw("item_id", (rows,)),
        "item_score": number(),
        "item_rate__num": rng.integers(0, 5, rows).astype(np.float32),
        "item_rate__den": rng.integers(0, 50, rows).astype(np.float32),
        "context_position": rng.choice(
            np.array([0.1, 2, 5, np.nextafter(np.float32(5), np.float32(0)), np.nan], np.float32), rows
        ),
        "sequence_recent": draw("item_id", (rows, 3)),
        "sequence_recent__length": rng.integers(0, 4, rows),
    }
