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
from pipeline.steps.build_examples.negatives import Known, points_of
from pipeline.steps.check_features import check_features


def build_examples(
    config: Config,
    day: Day,
    events: DataFrame,
    profiles: Mapping[str, DataFrame],
    vocabularies: Mapping[str, DataFrame],
    history: DataFrame,
    earlier: DataFrame | None = None,
    points: DataFrame | None = None,
) -> DataFrame:
    """Columns of schemas.examples, key example_id.

    An exposure at t belongs to `day` when t plus the longest mature_after_s falls in it; those of bots are left out.
    `events` are the arrival days that reach from those exposures to the end of `day`. `profiles`: entity -> its
    profiles of the days that may serve, column profile_day. `vocabularies`: column -> the snapshot of the day before.
    `history`: events of the sequence windows. `earlier`: examples of the windows of target encodings, column dt.
    Profiles and vocabularies may be absent on the product's first day: then everybody is cold. `points` is what
    points_of() made of the events; where [negatives] are declared it must be given.
    Raises ConfigError when a feature or label names a column that is not there.
    """
    check_features(config)
    if points is None:
        if config.negatives is not None:
            raise ValueError("[negatives] are declared: points_of() must say what they are sampled from")
        points = points_of(config, day, events, Known()).table
    labelled = with_labels(config, points, events)
    featured = features_at(config, labelled, profiles, vocabularies, history, earlier)
    names = {f"label_{name}": f"_label_{name}" for name in config.labels}
    names |= {name: f"_{name}" for name in ("weight", *schemas.SAMPLED)}
    return featured.select(*[F.col(names.get(column, column)).alias(column) for column in schemas.examples(config)])
