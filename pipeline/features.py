"""The feature spec: what the model's inputs are, said once.

`feature_specs(config)` turns the [features] tables into an ordered list that the example builder (which columns to
write), the loader (which to read, with which type), the models (what to embed) and the artifact (what a client feeds)
share. A spec is plain data and travels as JSON inside `model.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pipeline.config import Config, Cross, Feature, Features, Sequence

Kind = Literal["id", "number", "rate", "sequence", "cross", "image"]

COUNTERPART = {"user": "item", "item": "user"}
"""Whose values the sums of an entity are split by."""
HASH = "xxh64, seed 42, of the UTF-8 bytes, as a signed int64"
"""What a hashed id is made from: FIRST_ID + (hash mod buckets), the remainder never negative; of null NULL_ID."""
PAD_ID, NULL_ID, UNKNOWN_ID, FIRST_ID = 0, 1, 2, 3
"""Encoded ids: padding, null, unknown to the vocabulary; its values begin at 3."""


@dataclass(frozen=True)
class FeatureSpec:
    """One input of the model.

    kind      columns of the examples                          what the graph does with it
    id        `name` int32                                     embedding of vocabulary `vocabulary`
              or, hashed: FIRST_ID + hash mod `buckets`        the same of `buckets` values (see HASH)
    number    `name` float32, null = unknown                   log1p if `log`, standardized; or embedded by `edges`
    rate      `name__num`, `name__den` float32, 0 when cold    (num + prior * smoothing) / (den + smoothing)
              grouped: also `name__prior_num`, `__prior_den`   with the same formula for the prior, from that of all
    sequence  `name` list<int32>, newest last (of `top`        mean of the embeddings of `vocabulary`
              the greatest first)
    cross     none; reads the id columns in `of`               (a * 1000003 + b) mod buckets, wide part only
    image     `name` binary, `shape` bytes, row after row      none yet; for a loader: uint8 [n, rows, columns], / 255

    An image stays bytes in the examples: a quarter of the size of float32, and exact.
    What is `scored_as` a value (a number; of an id its text; "" is null) is read in training and is that value when the
    model scores.
    """

    name: str
    kind: Kind
    vocabulary: str | None = None
    edges: tuple[float, ...] | None = None
    log: bool = False
    smoothing: float | None = None
    grouped: bool = False
    length: int | None = None
    of: tuple[str, str] | None = None
    buckets: int | None = None
    shape: tuple[int, int] | None = None
    scored_as: float | str | None = None

    @property
    def hashed(self) -> bool:
        """Whether its ids are hashes."""
        return self.kind == "id" and self.buckets is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `examples` that carry it."""
        if self.kind == "cross":
            return ()
        if self.kind == "rate":
            parts = ("num", "den", "prior_num", "prior_den") if self.grouped else ("num", "den")
            return tuple(f"{self.name}__{part}" for part in parts)
        return (self.name,)

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


def fed(specs: Iterable[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """The inputs of a model that scores: those that are not one value then."""
    return tuple(spec for spec in specs if spec.scored_as is None)


def target_features(config: Config) -> dict[str, tuple[Feature, tuple[str, ...]]]:
    """Full name of every target encoding -> its declaration, and the columns of the examples that must be equal."""
    aliases = _aliases(config.features)
    declared = {f"context_{name}": feature for name, feature in config.features.context.items()}
    return {
        full: (feature, tuple(aliases[name] for name in feature.of or ()))
        for full, feature in declared.items()
        if feature.target is not None
    }


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


def attribute_vocabularies(config: Config) -> dict[str, tuple[str, str]]:
    """Vocabulary -> (entity, attribute) whose statements fill it; events fill the others."""
    found = {}
    for group in COUNTERPART:
        for feature in getattr(config.features, group).values():
            if feature.attribute is not None:
                found[f"{group}_{feature.attribute}"] = (group, feature.attribute)
            if feature.by is not None and _is_attribute(config, COUNTERPART[group], feature.by):
                found[f"{COUNTERPART[group]}_{feature.by}"] = (COUNTERPART[group], feature.by)
    return found


def _split_vocabulary(config: Config, group: str, by: str) -> str:
    return f"{COUNTERPART[group]}_{by}" if _is_attribute(config, COUNTERPART[group], by) else by


def _is_attribute(config: Config, entity: str, name: str) -> bool:
    """Whether a source says that of an entity: its id and clocks, and what events say, are no attributes."""
    source = {str(known): source for known, source in config.datasets.attributes.items()}.get(entity)
    own = (f"{entity}_id", "event_id", "event_time", "available_at")
    return source in config.sources and name in config.sources[source].columns and name not in own


def _scalar(config: Config, group: str, name: str, feature: Feature) -> FeatureSpec:
    full = f"{group}_{name}"
    if feature.by is not None and feature.last is not None:
        return FeatureSpec(full, "id", vocabulary=_split_vocabulary(config, group, feature.by))
    if feature.by is not None and feature.top is not None:
        vocabulary = _split_vocabulary(config, group, feature.by)
        return FeatureSpec(full, "sequence", vocabulary=vocabulary, length=feature.k)
    if feature.hash_buckets is not None:
        return FeatureSpec(full, "id", buckets=feature.hash_buckets, scored_as=feature.scored_as)
    if feature.column is not None:
        return FeatureSpec(full, "id", vocabulary=feature.column, scored_as=feature.scored_as)
    if feature.attribute is not None and feature.edges is None:
        return FeatureSpec(full, "id", vocabulary=f"{group}_{feature.attribute}")
    if feature.image is not None:
        return FeatureSpec(full, "image", shape=None if config.table is None else config.table.shape)
    if feature.rate is not None or feature.share is not None or feature.target is not None:
        return FeatureSpec(full, "rate", smoothing=feature.smoothing, grouped=feature.prior_by is not None)
    heavy_tailed = feature.attribute is None and feature.sql is None
    log = heavy_tailed and feature.edges is None
    return FeatureSpec(full, "number", edges=feature.edges, log=log, scored_as=feature.scored_as)


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
            said = feature.attribute is not None and feature.edges is None
            if feature.column is not None or said or feature.last is not None:
                yield f"{group}_{name}", f"{group}_{name}"
