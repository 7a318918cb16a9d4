"""Every feature of a (user, item) pair as known at an instant; the examples and the recommendations share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config, Feature
from pipeline.features import FeatureSpec, feature_specs, target_features
from pipeline.steps.build_examples.encoding import code, hashed_id, table_or_empty, text_of, with_code
from pipeline.steps.build_examples.sequences import sequences_at
from pipeline.steps.build_examples.targets import PARTS, with_targets
from pipeline.steps.build_examples.tops import top_ids, with_tops
from pipeline.steps.instants import HOUR_US, SECOND_US, local_day, shifted
from pipeline.steps.measures import COUNTERPART, attribute_columns, profile_columns
from pipeline.steps.splits import event_value
from pipeline.steps.sums import Decay, Measure, decay_of, distinct_of, latest_of, measures_of, priors_of

ENTITIES = ("item", "user")  # the item's row is short, the user's carries long arrays


def features_at(
    config: Config,
    points: DataFrame,
    profiles: Mapping[str, DataFrame],
    vocabularies: Mapping[str, DataFrame],
    history: DataFrame,
    earlier: DataFrame | None = None,
) -> DataFrame:
    """The points with a column for each of the feature specs' columns, in their order.

    `points`: example_id, user_id, item_id, room_id, event_time = t, and the columns of events that features name. A
    profile serves from ready_after_s after the end of its day; an entity that is not in it is cold: null attributes,
    sums of 0. Ids are those of the vocabulary of the day before t. `earlier`: what with_targets() asks for. Inputs may
    hold more than was known at t (later profile days, later ids, later events, later examples); it is not used.
    """
    dated = _dated(config, points)
    joined = _with_sequences(config, dated, vocabularies, history).alias("point")
    for entity in ENTITIES:
        joined = _with_profile(config, joined, entity, profiles, vocabularies)
    encoded = joined.select("point.*", *_numbers(config), *_values(config))
    for full in _looked_up(config):
        vocabulary = table_or_empty(points.sparkSession, vocabularies, _vocabulary(config, full), schemas.VOCABULARY)
        encoded = with_code(encoded, F.col(f"_value_{full}"), vocabulary, f"_code_{full}")
    columns = [column for spec in feature_specs(config) for column in spec.columns]
    known = encoded.select(*points.columns, "_profile_day", *_ids(config), *_named(config, columns))
    return with_targets(config, known, earlier).select(*points.columns, *columns)


def _dated(config: Config, points: DataFrame) -> DataFrame:
    """Points with `_day` (of t), `_profile_day` (the newest profile that is ready) and the `sql` features."""
    zone = config.product.zone
    ready = local_day(shifted(F.col("event_time"), -config.profiles.ready_after_s * SECOND_US), zone)
    days = [local_day(F.col("event_time"), zone).alias("_day"), F.date_sub(ready, 1).alias("_profile_day")]
    written = [(full, feature.sql) for full, _, feature in _declared(config) if feature.sql is not None]
    return points.select("*", *days, *[F.expr(sql).try_cast("float").alias(f"_sql_{full}") for full, sql in written])


def _with_sequences(
    config: Config, dated: DataFrame, vocabularies: Mapping[str, DataFrame], history: DataFrame
) -> DataFrame:
    """Before the profiles: what is shuffled here should not carry their arrays."""
    if not config.features.sequence:
        return dated
    moments = dated.select("user_id", "event_time", "_day").distinct()
    return dated.join(sequences_at(config, moments, vocabularies, history), on=["user_id", "event_time"], how="left")


def _with_profile(
    config: Config,
    joined: DataFrame,
    entity: str,
    profiles: Mapping[str, DataFrame],
    vocabularies: Mapping[str, DataFrame],
) -> DataFrame:
    columns = {**profile_columns(config, entity), "profile_day": "date"}
    table = table_or_empty(joined.sparkSession, profiles, entity, columns).select(*columns)
    profile = with_tops(config, table, entity, vocabularies).alias(entity)
    served = F.col(f"{entity}.profile_day") == F.col("point._profile_day")
    same = F.col(f"{entity}.id") == F.col(f"point.{schemas.ENTITY_ID[entity]}")
    return joined.join(profile, same & served, how="left")


def _declared(config: Config) -> Iterator[tuple[str, str, Feature]]:
    """Full name, group and declaration of every feature that is not a sequence or a cross."""
    for group in ("user", "item", "context"):
        for name, feature in getattr(config.features, group).items():
            yield f"{group}_{name}", group, feature


def _id_values(config: Config) -> dict[str, Column]:
    """Full name of every feature that is encoded -> the value to encode."""
    columns = {full: F.col(f"point.{f.column}") for full, _, f in _declared(config) if f.column is not None}
    attributes = {
        full: F.col(f"{group}.{feature.attribute}")
        for full, group, feature in _declared(config)
        if feature.attribute is not None and feature.edges is None
    }
    latest = {
        full: F.col(f"{group}.{found.name}.key")
        for full, group, feature in _declared(config)
        if (found := latest_of(feature)) is not None
    }
    return {**columns, **attributes, **latest}


def _values(config: Config) -> list[Column]:
    return [text_of(value).alias(f"_value_{full}") for full, value in _id_values(config).items()]


def _looked_up(config: Config) -> list[str]:
    """Full name of every feature whose id comes from a vocabulary."""
    hashed = {spec.name for spec in feature_specs(config) if spec.hashed}
    return [full for full in _id_values(config) if full not in hashed]


def _vocabulary(config: Config, full: str) -> str:
    return next(spec.vocabulary for spec in feature_specs(config) if spec.name == full and spec.vocabulary is not None)


def _ids(config: Config) -> list[Column]:
    """Every column that is one id, from what was joined."""
    named = {spec.name: spec for spec in feature_specs(config)}
    return [_id(named[full]).alias(full) for full in _id_values(config)]


def _id(spec: FeatureSpec) -> Column:
    value = f"_value_{spec.name}"
    return hashed_id(F.col(value), spec.buckets or 1) if spec.hashed else code(value, f"_code_{spec.name}", "_day")


def _named(config: Config, columns: list[str]) -> list[str]:
    """The columns that are there already: neither ids nor what with_targets() adds."""
    later = {*_id_values(config), *(f"{full}__{part}" for full in target_features(config) for part in PARTS)}
    return [column for column in columns if column not in later]


def _numbers(config: Config) -> list[Column]:
    """Every column that is not one id, from the point and the two profiles."""
    ids = _id_values(config)
    others = ((f, g, feature) for f, g, feature in _declared(config) if f not in ids and feature.target is None)
    numbers = [_number(config, full, group, feature) for full, group, feature in others]
    return [column.alias(name) for found in numbers for name, column in found.items()]


def _number(config: Config, full: str, group: str, feature: Feature) -> dict[str, Column]:
    """Column name -> float expression; integers become float by one cast at the end."""
    if feature.sql is not None:
        return {full: F.col(f"point._sql_{full}")}
    if feature.attribute is not None:
        return {full: F.col(f"{group}.{feature.attribute}").try_cast("float")}
    if feature.since is not None:
        return {full: _hours_since(F.col(f"{group}.last_{feature.since}"))}
    if feature.since_first is not None:
        return {full: _hours_since(F.col(f"{group}.first_{feature.since_first}"))}
    if feature.top is not None:
        return {full: top_ids(F.col(f"{group}._top_{full}"), F.col("point._day"))}
    if (distinct := distinct_of(feature)) is not None:
        return {full: F.coalesce(F.col(f"{group}.{distinct.name}"), F.lit(0)).cast("float")}
    if (decay := decay_of(feature)) is not None:
        return {full: _weight(config, group, decay).cast("float")}
    if feature.share is not None:
        measure, whole = measures_of(feature)[0], feature.model_copy(update={"by": None})
        parts = {"num": _sum(config, group, feature, measure), "den": _sum(config, group, whole, measure)}
        return {f"{full}__{name}": part.cast("float") for name, part in parts.items()}
    sums = [_sum(config, group, feature, measure).cast("float") for measure in measures_of(feature)]
    sums += [F.coalesce(F.col(f"{group}.{prior.name}"), F.lit(0)).cast("float") for prior in priors_of(feature)]
    names = ("__num", "__den", "__prior_num", "__prior_den") if feature.rate else ("",)
    return {f"{full}{name}": column for name, column in zip(names, sums, strict=False)}


def _hours_since(last: Column) -> Column:
    """Hours from the event to t; null when there was none. Its clock may run ahead of ours: never below 0."""
    micros = F.unix_micros(F.col("point.event_time")) - F.unix_micros(last)
    return F.when(last.isNotNull(), F.greatest(micros, F.lit(0)) / F.lit(float(HOUR_US))).cast("float")


def _sum(config: Config, group: str, feature: Feature, measure: Measure) -> Column:
    """A sum of the profile; with `by`, the one for the counterpart's own value. 0 when there is none."""
    days = feature.window_days
    if feature.by is None:
        return F.coalesce(F.col(f"{group}.{measure.name}_{days}d"), F.lit(0))
    entry = _entry(config, group, F.col(f"{group}.by_{feature.by}_{days}d"), feature.by)
    return F.coalesce(entry[measure.name], F.lit(0))


def _weight(config: Config, group: str, decay: Decay) -> Column:
    """What is left of a sum by decay; when split, of the counterpart's own value. 0 when there is none."""
    found = F.col(f"{group}.{decay.name}")
    return F.coalesce(_entry(config, group, found, decay.by)["weight"] if decay.by else found, F.lit(0.0))


def _entry(config: Config, group: str, entries: Column, by: str) -> Column:
    """The entry of an array of a split whose key is the counterpart's, or the exposure's, own value."""
    place = F.array_position(entries["key"], _split_value(config, group, by))  # from 1; 0 where it is not there
    return F.get(entries, (place - 1).cast("int"))


def _split_value(config: Config, group: str, by: str) -> Column:
    other = COUNTERPART[group]
    said = by in attribute_columns(config, other)
    return (F.col(f"{other}.{by}") if said else event_value(config, by, "point")).cast("string")
