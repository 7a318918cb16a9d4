"""The examples of a day: exposures whose last label matures on it, and what is sampled beside them."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day
from pipeline.steps.build_examples.features import features_at
from pipeline.steps.build_examples.labels import with_labels
from pipeline.steps.build_examples.moments import exposures_of
from pipeline.steps.build_examples.negatives import Known, with_negatives
from pipeline.steps.check_features import check_features


def build_examples(
    config: Config,
    day: Day,
    events: DataFrame,
    profiles: Mapping[str, DataFrame],
    vocabularies: Mapping[str, DataFrame],
    history: DataFrame,
    known: Known | None = None,
) -> DataFrame:
    """Columns of schemas.examples, key example_id.

    An exposure at t belongs to `day` when t plus the longest mature_after_s falls in it; those of bots are left out.
    `events` are the arrival days that reach from those exposures to the end of `day`. `profiles`: entity -> its
    profiles of the days that may serve, column profile_day. `vocabularies`: column -> the snapshot of the day before.
    `history`: events of the sequence windows. Profiles and vocabularies may be absent on the product's first day: then
    everybody is cold. `known` is what [negatives] are sampled from.
    Raises ConfigError when a feature or label names a column that is not there.
    """
    check_features(config)
    exposures = exposures_of(config, day, events)
    if config.negatives is None:
        points = exposures.withColumns({"_sampled": F.lit(False), "_weight": F.lit(1.0).cast("float")})
    else:
        points = with_negatives(config, config.negatives, day, exposures, known or Known())
    labelled = with_labels(config, points, events)
    featured = features_at(config, labelled, profiles, vocabularies, history)
    names = {f"label_{name}": f"_label_{name}" for name in config.labels}
    names |= {name: f"_{name}" for name in ("weight", *schemas.SAMPLED)}
    return featured.select(*[F.col(names.get(column, column)).alias(column) for column in schemas.examples(config)])
