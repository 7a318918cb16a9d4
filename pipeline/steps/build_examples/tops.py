"""The keys with the greatest weight of a profile, as ids."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.features import UNKNOWN_ID, feature_specs
from pipeline.steps.build_examples.encoding import table_or_empty, with_code
from pipeline.steps.measures import features_of
from pipeline.steps.sums import decay_of


def with_tops(config: Config, profile: DataFrame, entity: str, vocabularies: Mapping[str, DataFrame]) -> DataFrame:
    """The profiles with `_top_<feature>` for each `top` feature: its keys' id and first_dt, greatest weight first.

    They are looked up here, once for every profile, and not for each of the many points that a profile serves.
    """
    names = {spec.name: spec.vocabulary for spec in feature_specs(config)}
    for name, feature in features_of(config, entity).items():
        decay = decay_of(feature)
        if feature.top is None or decay is None:
            continue
        full = f"{entity}_{name}"
        vocabulary = table_or_empty(profile.sparkSession, vocabularies, names[full] or "", schemas.VOCABULARY)
        liked = F.slice(F.filter(decay.name, lambda entry: entry["weight"] > 0), 1, feature.k)
        placed = profile.select("id", "profile_day", F.posexplode(liked).alias("_place", "_entry")).alias("_placed")
        coded = with_code(placed, F.col("_entry.key"), vocabulary, "_code")
        row = F.struct("_place", F.col("_code.id").alias("id"), F.col("_code.first_dt").alias("first_dt"))
        listed = coded.groupBy("_placed.id", "_placed.profile_day").agg(
            F.sort_array(F.collect_list(row)).alias(f"_top_{full}")
        )
        profile = profile.join(listed, on=["id", "profile_day"], how="left")
    return profile


def top_ids(rows: Column, day: Column) -> Column:
    """What with_tops() found, as ids by the vocabulary that was known before `day`; empty where there is nothing."""
    ids = F.transform(rows, lambda row: F.when(row["first_dt"] < day, row["id"]).otherwise(F.lit(UNKNOWN_ID)))
    return F.coalesce(ids, F.array().cast("array<int>"))
