"""Target encodings: how often a label was 1 in the earlier examples with the same ids.

What may be looked at is decided by days: an exposure looks at the examples of the days up to that of the profile which
serves it. They are complete, and their labels final, by the end of that day, so none of it is later than the exposure,
nor is the exposure itself among it.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.features import target_features

PARTS = ("num", "den")


def with_targets(config: Config, points: DataFrame, earlier: DataFrame | None) -> DataFrame:
    """The points with float columns `<full name>__num` and `__den` for each target encoding: sums over `earlier`.

    `points`: their encoded ids and `_profile_day`. `earlier`: examples of earlier days with `dt`, of which the key and
    label columns are read; None before there are any. Examples of weight 0 do not count. Ids are appended only, so
    equal ids of two days mean the same value; null (1) is a value, and unknown (2) those without an id together.
    """
    for full, (feature, keys) in target_features(config).items():
        if earlier is None:
            points = points.withColumns({f"{full}__{part}": F.lit(0.0).cast("float") for part in PARTS})
            continue
        history = f"_{full}"
        joined = points.join(_days(earlier, f"label_{feature.target}", keys, history), on=list(keys), how="left")
        sums = {f"{full}__{part}": _sum(history, part, feature.window_days).cast("float") for part in PARTS}
        points = joined.withColumns(sums).drop(history)
    return points


def _days(earlier: DataFrame, label: str, keys: tuple[str, ...], name: str) -> DataFrame:
    """One row for each combination of ids, its days in the array `name`: dt, num and den, exact. A point meets one."""
    counted = earlier.where(F.col("weight") > 0)
    sums = {"num": F.sum(F.col(label).cast("bigint")), "den": F.count("*")}
    daily = counted.groupBy(*keys, "dt").agg(*[column.alias(part) for part, column in sums.items()])
    return daily.groupBy(*keys).agg(F.sort_array(F.collect_list(F.struct("dt", *PARTS))).alias(name))


def _sum(history: str, part: str, days: int) -> Column:
    """Over the days of the window, which ends with the day of the profile. 0 when there is nothing."""
    last = F.col("_profile_day")
    inside = F.filter(history, lambda day: (day["dt"] <= last) & (day["dt"] > F.date_sub(last, days)))
    total = F.aggregate(inside, F.lit(0).cast("bigint"), lambda sum_, day: sum_ + day[part])
    return F.coalesce(total, F.lit(0))
