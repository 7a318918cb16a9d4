"""The best items for each active user: candidates, their features, their scores, the top of each list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.errors import ConfigError
from pipeline.features import FeatureSpec, feature_specs, fed
from pipeline.steps.build_examples import features_at
from pipeline.steps.check_features import event_columns
from pipeline.steps.instants import SECOND_US, day_start, shifted

if TYPE_CHECKING:
    from pipeline.artifact import Artifact

SCORE: schemas.Columns = {"score": "float", "model_version": "string"}
SCORED: schemas.Columns = {"user_id": "string", "item_id": "string", "room_id": "string", **SCORE}


def candidates(
    config: Config, day: Day, rooms: DataFrame | None, events: DataFrame, profiles: Mapping[str, DataFrame]
) -> DataFrame:
    """A point (see features_at) for each active user and each room on air at the end of `day`, or each recent item.

    `events` are those of the active days: whoever is in them, and is no bot, is active. A room is on air when it has
    begun and no end of it is available; recent items are the `recommend.pool` with most events on `day`. The instant t
    is when the profile of `day` becomes ready. example_id is the xxh64 of user and room (or item).
    `profiles` are not needed by these two kinds. Raises ConfigError where rooms are asked for and the product has none.
    """
    zone = config.product.zone
    end = day_start(add_days(day, 1), zone)
    users = events.where("user_id is not null and bot_rule is null").select("user_id").distinct()
    if config.recommend.candidates == "recent":
        items = _recent(events, day_start(day, zone), end, config.recommend.pool)
    else:
        items = _on_air(rooms, end)
    pairs = users.crossJoin(items).withColumn("event_time", shifted(end, config.profiles.ready_after_s * SECOND_US))
    name = F.concat_ws("\n", "user_id", F.coalesce("room_id", "item_id"))
    return pairs.select(
        F.lpad(F.lower(F.hex(F.xxhash64(name))), 16, "0").alias("example_id"),
        *[_known(column, type_, pairs.columns).alias(column) for column, type_ in event_columns(config).items()],
    )


def score(
    config: Config,
    points: DataFrame,
    artifact_folder: str,
    profiles: Mapping[str, DataFrame],
    vocabularies: Mapping[str, DataFrame],
    history: DataFrame,
    earlier: DataFrame | None = None,
) -> DataFrame:
    """The points with the model's probability: columns SCORED. Each Python worker loads the artifact once."""
    specs = fed(feature_specs(config))
    inputs = [column for spec in specs for column in spec.columns]
    featured = features_at(config, points, profiles, vocabularies, history, earlier)

    @F.arrow_udf(schemas.ddl(SCORE))  # type: ignore[call-overload]  # mapInArrow would do, but here it asks for pandas
    def score_rows(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return _score_batches(artifact_folder, specs, batches)

    scored = featured.withColumn("_scored", score_rows(F.struct(*inputs)))
    return scored.select("user_id", "item_id", "room_id", *[F.col(f"_scored.{name}").alias(name) for name in SCORE])


def top(config: Config, scored: DataFrame) -> DataFrame:
    """The best `recommend.top` of each user, columns of schemas.RECOMMENDATIONS; ties by xxh64 of user and room."""
    tie = F.xxhash64(F.concat_ws("\n", "user_id", F.coalesce("room_id", "item_id")))
    order = Window.partitionBy("user_id").orderBy(F.desc("score"), tie, "item_id", "room_id")
    ranked = scored.withColumn("rank", F.row_number().over(order))
    return ranked.where(F.col("rank") <= config.recommend.top).select(*schemas.RECOMMENDATIONS)


def model_batch(specs: tuple[FeatureSpec, ...], rows: pa.RecordBatch) -> dict[str, NDArray[Any]]:
    """Rows of features as the model's encoded inputs: ids int32 [B], numbers float32 [B] (null = NaN), sequences
    int32 [B, L] padded with 0 behind their values and `__length` int32 [B]."""
    batch: dict[str, NDArray[Any]] = {}
    for spec in specs:
        if spec.kind == "sequence":
            batch[spec.name], batch[f"{spec.name}__length"] = _padded(rows.column(spec.name), spec.length or 0)
            continue
        for column in spec.columns:
            dtype = np.int32 if spec.kind == "id" else np.float32
            batch[column] = rows.column(column).to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return batch


def _on_air(rooms: DataFrame | None, end: Column) -> DataFrame:
    if rooms is None:
        raise ConfigError('$.recommend.candidates is "on_air", but $.datasets.rooms names no source; choose "recent"')
    begun = F.col("started_at").isNotNull() & (F.col("started_at") < end)
    return rooms.where(begun & F.col("ended_at").isNull()).select("item_id", "room_id").distinct()


def _recent(events: DataFrame, begin: Column, end: Column, pool: int) -> DataFrame:
    """The `pool` items with most events on the day; ties by id."""
    today = (F.col("event_time") >= begin) & (F.col("event_time") < end)
    counted = events.where(today & F.col("item_id").isNotNull()).groupBy("item_id").agg(F.count("*").alias("_count"))
    frequent = counted.orderBy(F.desc("_count"), "item_id").limit(pool)
    return frequent.select("item_id", F.lit(None).cast("string").alias("room_id"))


def _known(column: str, type_: str, present: list[str]) -> Column:
    """Of the exposure that a candidate may become nothing else is known; see `scored_as`."""
    if column in present:
        return F.col(column)
    return F.lit(None).cast(type_)


def _padded(lists: pa.Array, length: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    lengths = np.asarray(lists.value_lengths(), dtype=np.int32)
    padded = np.zeros((len(lists), length), dtype=np.int32)
    padded[np.arange(length) < lengths[:, None]] = np.asarray(lists.flatten(), dtype=np.int32)
    return padded, lengths


@cache
def _artifact(folder: str) -> Artifact:
    from pipeline.artifact import load_artifact

    return load_artifact(folder)


def _score_batches(folder: str, specs: tuple[FeatureSpec, ...], batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
    """Structs of features to structs of SCORE."""
    artifact = _artifact(folder)
    for rows in batches:
        scores = artifact.score_ids(model_batch(specs, pa.RecordBatch.from_struct_array(rows)))
        versions = pa.array([artifact.version] * len(rows), pa.string())
        yield pa.StructArray.from_arrays([pa.array(scores, pa.float32()), versions], list(SCORE))
