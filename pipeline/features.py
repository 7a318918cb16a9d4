"""The feature spec: what the model's inputs are, said once.

`feature_specs(config)` turns the [features] tables into an ordered list that the example builder (which columns to
write), the loader (which to read, with which type), the models (what to embed) and the artifact (what a client feeds)
share. A spec is plain data and travels as JSON inside `model.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pipeline.config import Config, Cross, Feature, Features, Sequence

Kind = Literal["id", "number", "rate", "sequence", "cross", "image"]

PAD_ID, NULL_ID, UNKNOWN_ID, FIRST_ID = 0, 1, 2, 3
"""Encoded ids: padding, null, unknown to the vocabulary; its values begin at 3."""


@dataclass(frozen=True)
class FeatureSpec:
    """One input of the model.

    kind      columns of the examples                          what the graph does with it
    id        `name` int32                                     embedding of vocabulary `vocabulary`
    number    `name` float32, null = unknown                   log1p if `log`, standardized; or embedded by `edges`
    rate      `name__num`, `name__den` float32, 0 when cold    (num + prior * smoothing) / (den + smoothing)
    sequence  `name` list<int32>, newest last                  mean of the embeddings of `vocabulary`
    cross     none; reads the id columns in `of`               (a * 1000003 + b) mod buckets, wide part only
    image     `name` binary, `shape` bytes, row after row      none yet; for a loader: uint8 [n, rows, columns], / 255

    An image stays bytes in the examples: a quarter of the size of float32, and exact.
    """

    name: str
    kind: Kind
    vocabulary: str | None = None
    edges: tuple[float, ...] | None = None
    log: bool = False
    smoothing: float | None = None
    length: int | None = None
    of: tuple[str, str] | None = None
    buckets: int | None = None
    shape: tuple[int, int] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `examples` that carry it."""
        if self.kind == "cross":
            return ()
        return (f"{self.name}__num", f"{self.name}__den") if self.kind == "rate" else (self.name,)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, absent fields left out."""
        return {key: value for key, value in asdict(self).items() if value is not None and value is not False}

    @staticmethod
    def from_json(fields: dict[str, Any]) -> FeatureSpec:
        """The inverse of to_json."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return FeatureSpec(**plain)


def feature_specs(config: Config) -> tuple[FeatureSpec, ...]:
    """All inputs in the order user, item, context, sequence, cross, as declared."""
    features = config.features
    specs: list[FeatureSpec] = []
    for group, declared in (("user", features.user), ("item", features.item), ("context", features.context)):
        specs += [_scalar(config, group, name, feature) for name, feature in declared.items()]
    specs += [_sequence(name, sequence) for name, sequence in features.sequence.items()]
    specs += [_cross(features, name, cross) for name, cross in features.cross.items()]
    return tuple(specs)


def features_digest(config: Config) -> str:
    """Of how every input is computed: a model serves only where this is what it was trained with."""
    declared = json.dumps(config.features.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(declared.encode()).hexdigest()


def id_feature_names(features: Features) -> set[str]:
    """Names that a cross may refer to: the full name (`item_category`), or the id column itself (`user_id`)."""
    return set(_aliases(features))


def vocabulary_names(config: Config) -> tuple[str, ...]:
    """The vocabularies that the features need, sorted."""
    return tuple(sorted({spec.vocabulary for spec in feature_specs(config) if spec.vocabulary is not None}))


def _scalar(config: Config, group: str, name: str, feature: Feature) -> FeatureSpec:
    full = f"{group}_{name}"
    if feature.column is not None:
        return FeatureSpec(full, "id", vocabulary=feature.column)
    if feature.attribute is not None and feature.edges is None:
        return FeatureSpec(full, "id", vocabulary=f"{group}_{feature.attribute}")
    if feature.image is not None:
        return FeatureSpec(full, "image", shape=None if config.table is None else config.table.shape)
    if feature.rate is not None:
        return FeatureSpec(full, "rate", smoothing=feature.smoothing)
    heavy_tailed = any(kind is not None for kind in (feature.count, feature.sum, feature.since))
    return FeatureSpec(full, "number", edges=feature.edges, log=heavy_tailed and feature.edges is None)


def _sequence(name: str, sequence: Sequence) -> FeatureSpec:
    return FeatureSpec(f"sequence_{name}", "sequence", vocabulary=sequence.of, length=sequence.last)


def _cross(features: Features, name: str, cross: Cross) -> FeatureSpec:
    aliases = _aliases(features)
    first, second = cross.of
    return FeatureSpec(f"cross_{name}", "cross", of=(aliases[first], aliases[second]), buckets=cross.buckets)


def _aliases(features: Features) -> dict[str, str]:
    return dict(_id_features(features))


def _id_features(features: Features) -> Iterator[tuple[str, str]]:
    for group, declared in (("user", features.user), ("item", features.item), ("context", features.context)):
        for name, feature in declared.items():
            if feature.column is not None:
                yield feature.column, f"{group}_{name}"
            if feature.column is not None or (feature.attribute is not None and feature.edges is None):
                yield f"{group}_{name}", f"{group}_{name}"
