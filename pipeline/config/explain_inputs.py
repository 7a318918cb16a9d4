"""The model's inputs in plain words: the columns that carry each, its width, and what it is computed from."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.features import KINDS, Feature, Vocabulary
from pipeline.config.product import Config
from pipeline.features import FIRST_ID, FeatureSpec, feature_specs, vocabulary_names
from pipeline.words import INDENT, days, table

COMPUTED_FROM = {
    "column": "the event's {value}",
    "attribute": "{whose} {value}, as last said before the profile's end",
    "sql": "sql {value}",
    "count": "{whose} events {value} {over}",
    "sum": "{whose} sum of {value} {over}",
    "rate": "{whose} {value[0]} per {value[1]} {over}, the prior{group} worth {smoothing:g}",
    "share": "share of this {by} in {whose} {value} {window}, the prior worth {smoothing:g}",
    "distinct": "how many {by} {whose} events {value} had {window}",
    "decay": "{whose} {value} {split}, halved every {half_life}",
    "top": "the {k} {by} with most of {whose} {value}, halved every {half_life}; the greatest first",
    "last": "the {by} of {whose} last {value}",
    "since": "hours since {whose} last {value}",
    "since_first": "hours since {whose} first {value}",
    "target": "{value} per example of the same {of} in the last {days} of examples, the prior worth {smoothing:g}",
    "image": "the row's image",
}
"""Kind of feature -> its words."""


def inputs(config: Config) -> Iterator[str]:
    """A line for each input, and when a value gets an id."""
    declared = _declared(config)
    specs = [(spec.name, _columns(spec), _width(config, spec), declared[spec.name]) for spec in feature_specs(config)]
    yield from table([("name", "columns of the examples", "enters the model as", "computed from"), *specs])
    yield ""
    yield f"Ids below {FIRST_ID} mean padding, null and unknown. A value gets an id once it was seen so often:"
    for name in vocabulary_names(config):
        yield f"{INDENT}{name} {config.base.vocabularies.get(name, Vocabulary()).min_count}"


def _columns(spec: FeatureSpec) -> str:
    numbers = f"{len(spec.columns)} x float32"
    types = {"id": "int32", "number": "float32", "rate": numbers, "sequence": f"up to {spec.length} int32",
             "image": "bytes"}  # fmt: skip
    return types.get(spec.kind, "none of its own")


def _width(config: Config, spec: FeatureSpec) -> str:
    wide = f"embedding of {config.model.embedding_dim}"
    if spec.kind == "id":
        return wide
    if spec.kind == "sequence":
        return f"mean {wide}"
    if spec.kind == "image":
        return "nothing yet"
    if spec.kind == "cross":
        return f"one of {spec.buckets:,} weights"
    return f"{wide} of {len(spec.edges) + 1} ranges" if spec.edges is not None else "2 numbers"


def _declared(config: Config) -> dict[str, str]:
    """Full name of every input -> what it is computed from."""
    features = config.features
    found = {}
    for group in ("user", "item", "context"):
        for name, feature in getattr(features, group).items():
            found[f"{group}_{name}"] = computed_from(group, feature)
    for name, sequence in features.sequence.items():
        events = " or ".join(sequence.events)
        found[f"sequence_{name}"] = (
            f"the user's last {sequence.last} {sequence.of} of {events}, {days(sequence.window_days)} back"
        )
    found |= {f"cross_{name}": " with ".join(cross.of) + ", hashed" for name, cross in features.cross.items()}
    return found


def computed_from(group: str, feature: Feature) -> str:
    """What a feature of a user, an item or the context is computed from."""
    kind = next(kind for kind in KINDS if getattr(feature, kind) is not None)
    window = f"in the last {days(feature.window_days)} of the profile"
    split = "" if feature.by is None else f"with this {feature.by}"
    words = COMPUTED_FROM[kind].format(
        value=getattr(feature, kind),
        whose=f"the {group}'s",
        over=f"{split} {window}".strip(),
        window=window,
        days=days(feature.window_days),
        of=" and ".join(feature.of or ()),
        split=split,
        by=feature.by,
        k=feature.k,
        half_life=days(feature.half_life_days),
        smoothing=feature.smoothing,
        group="" if feature.prior_by is None else f" of its {feature.prior_by}",
    )
    hashed = "" if feature.hash_buckets is None else f", hashed to one of {feature.hash_buckets:,} ids"
    return words.replace(" ,", ",") + hashed + _scored_as(feature)


def _scored_as(feature: Feature) -> str:
    if feature.scored_as is None:
        return ""
    value = f"{feature.scored_as:g}" if isinstance(feature.scored_as, float) else f"{feature.scored_as!r}"
    return f"; read in training alone, scored as {value if feature.scored_as != '' else 'null'}"
