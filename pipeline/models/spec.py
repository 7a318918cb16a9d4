"""A model in numbers and names: what `build` needs, and what `model.json` holds. Plain data, no code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.features import FIRST_ID, FeatureSpec, fed
from pipeline.models.errors import ModelFault

LABEL = "label"
"""Key in `constants` of what was fitted on the label."""
FITTED = {"number": ("mean", "scale"), "rate": ("prior", "mean", "scale")}
"""The fitted constants that a feature of each kind needs; `scale` is a standard deviation. Buckets need none."""


@dataclass(frozen=True)
class ModelSpec:
    """One model: its family, its inputs, its sizes and the constants fitted on its training days.

    vocabulary_sizes  vocabulary name -> number of ids, the three reserved ones included; a higher id reads as unknown
    constants         feature name -> fitted numbers (see FITTED), after log1p where the feature has `log`;
                      `label` -> {"prior": share of positives} where fitted (0.5 otherwise)
    embedding_dim     columns of every embedding
    hidden            widths of the hidden layers, first to last
    seed              of the initial parameters
    Raises ModelFault with every fault.
    """

    kind: str
    features: tuple[FeatureSpec, ...]
    vocabulary_sizes: Mapping[str, int]
    constants: Mapping[str, Mapping[str, float]]
    embedding_dim: int = 16
    hidden: tuple[int, ...] = (128, 64)
    seed: int = 42

    def __post_init__(self) -> None:
        if faults := [*_feature_faults(self), *_vocabulary_faults(self), *_constant_faults(self), *_size_faults(self)]:
            raise ModelFault(f"a {self.kind} model cannot be built: " + "; ".join(faults))

    @property
    def label_prior(self) -> float:
        """Share of positives among the training rows, by weight."""
        return self.constants.get(LABEL, {}).get("prior", 0.5)

    @property
    def fed(self) -> tuple[FeatureSpec, ...]:
        """The features that are fed when the model scores."""
        return fed(self.features)

    def ids(self, feature: FeatureSpec) -> int:
        """How many ids an id or a sequence may have, the three reserved ones included."""
        return FIRST_ID + (feature.buckets or 0) if feature.hashed else self.vocabulary_sizes[feature.vocabulary or ""]

    def named(self, feature: str) -> FeatureSpec:
        """The feature of that name."""
        return next(spec for spec in self.features if spec.name == feature)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        features = [feature.to_json() for feature in self.features]
        return {**asdict(self), "features": features, "hidden": list(self.hidden)}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> ModelSpec:
        """The inverse of to_json; ModelFault when the object is not a spec."""
        try:
            features = tuple(FeatureSpec.from_json(feature) for feature in fields["features"])
            return ModelSpec(**{**fields, "features": features, "hidden": tuple(fields["hidden"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise ModelFault(f"this is not the JSON of a model spec: {error!r}") from None


def _feature_faults(spec: ModelSpec) -> Iterator[str]:
    names = [feature.name for feature in spec.features]
    if not names:
        yield "it has no features"
    elif not any(feature.columns for feature in spec.fed):
        yield "every feature is `scored_as` one value, so nothing is fed when it scores"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"feature {name!r} is declared {names.count(name)} times"
    ids = {feature.name for feature in spec.features if feature.kind == "id"}
    for feature in spec.features:
        for part in feature.of or ():
            if part not in ids:
                yield f"cross {feature.name!r} is of {part!r}; id features are {sorted(ids)}"
        if feature.kind == "sequence" and not feature.length:
            yield f"sequence {feature.name!r} needs a length"
        if feature.kind == "cross" and not feature.buckets:
            yield f"cross {feature.name!r} needs buckets"


def _vocabulary_faults(spec: ModelSpec) -> Iterator[str]:
    for feature in spec.features:
        if feature.kind not in ("id", "sequence") or feature.hashed:
            continue
        size = spec.vocabulary_sizes.get(feature.vocabulary or "")
        if size is None:
            yield f"vocabulary_sizes lacks {feature.vocabulary!r}, which feature {feature.name!r} reads"
        elif size < FIRST_ID:
            yield f"vocabulary_sizes[{feature.vocabulary!r}] must be at least {FIRST_ID}, got {size}"


def _constant_faults(spec: ModelSpec) -> Iterator[str]:
    for feature in spec.features:
        needed = () if feature.edges is not None else FITTED.get(feature.kind, ())
        fitted = spec.constants.get(feature.name, {})
        if missing := [name for name in needed if name not in fitted]:
            yield f"constants[{feature.name!r}] lacks {missing}"
    if not 0 < spec.label_prior < 1:
        yield f"constants['label']['prior'] must lie between 0 and 1, got {spec.label_prior}"


def _size_faults(spec: ModelSpec) -> Iterator[str]:
    if spec.embedding_dim < 1:
        yield f"embedding_dim must be at least 1, got {spec.embedding_dim}"
    if not spec.hidden or min(spec.hidden) < 1:
        yield f"hidden must be one or more positive widths, got {list(spec.hidden)}"
