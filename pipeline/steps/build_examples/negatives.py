"""Sampled candidates: beside each logged example a few that the same user could have met at the same moment.

Draws are numbered; each is a ticket by hash of (seed, example, draw). A draw of what the user had seen, of the logged
item, of a room known to have ended, or of what an earlier draw gave does not count, and the first that are left are
kept. So the chance of a candidate is its tickets by all tickets that could have won then, which is counted exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import ChosenLabel, Config, Negatives
from pipeline.days import Day
from pipeline.steps.build_examples.encoding import table_or_empty
from pipeline.steps.build_examples.pools import SLOTS_A_DAY, ended, pool_at, pools, slot_of, tickets_left, totals
from pipeline.steps.check_features import event_columns

MOMENT = ["user_id", "_slot"]
CANDIDATE = ["item_id", "room_id", "_tickets", "_ended_us"]
OF_A_POINT = ("_sampled", "_sampling_probability", "_weight")


@dataclass(frozen=True)
class Known:
    """What candidates are sampled from; absent on the product's first day, or where none of it is asked for.

    rooms        those of the days on which the examples happened, with `dt`
    popularity   the events that arrived on the days before these, with `dt`
    seen         events of `unseen_days` before the first example, up to the last one
    """

    rooms: DataFrame | None = None
    popularity: DataFrame | None = None
    seen: DataFrame | None = None


def with_negatives(config: Config, negatives: Negatives, day: Day, exposures: DataFrame, known: Known) -> DataFrame:
    """The exposures and what is sampled beside them, with the columns OF_A_POINT.

    A sampled row has example_id <event_id>~<k> (k from 1), the user, the time and the `keep` columns of its example, an
    item and a room of its own, and null in every other column.
    Where the model learns what was chosen, an example whose own item could not have been drawn for that user (it is new
    since yesterday, or was seen) has weight 0 and nothing beside it: that alone would tell it from all candidates.
    """
    found = {name: table for name, table in vars(known).items() if table is not None}
    columns = {**schemas.events(config), "dt": "date"}
    popularity, met = (table_or_empty(exposures.sparkSession, found, name, columns) for name in ("popularity", "seen"))
    pool = pools(config, negatives, day, known.rooms, popularity)
    points = exposures.select(
        "example_id", "user_id", F.col("item_id").alias("_own"), "event_time",
        slot_of(F.col("event_time")).alias("_slot"), pool_at(config, negatives).alias("_pool"),
    )  # fmt: skip
    seen = _seen(negatives, points, pool, met)
    counted = _counted(points, pool, seen)
    logged = exposures.withColumn("_counts", F.lit(True))
    if learns_choice(config):
        counted = counted.where("_is_candidate")
        logged = exposures.join(counted.select("example_id", F.lit(True).alias("_counts")), on="example_id", how="left")
    sampled = exposures.drop("item_id", "room_id").join(
        _drawn(negatives, counted, pool, seen), on="example_id", how="inner"
    )
    return logged.select(*exposures.columns, *_of_logged()).unionByName(sampled.select(*_of_sampled(config, negatives)))


def learns_choice(config: Config) -> bool:
    """Whether the training label is what was logged against what was sampled."""
    label = config.event_labels[config.training.label]
    return isinstance(label, ChosenLabel) and label.column is None


def _seen(negatives: Negatives, points: DataFrame, pool: DataFrame, events: DataFrame) -> DataFrame:
    """MOMENT and CANDIDATE: what is in the pool of a moment and was in an event of the user that was known before its
    slot, at most unseen_days before. Runs of slots are made of the events first, for a user may have had many."""
    span = negatives.unseen_days * SLOTS_A_DAY
    met = events.where("user_id is not null and item_id is not null").select(
        "user_id", "item_id", slot_of(F.col("available_at")).alias("_met")
    )
    in_order = Window.partitionBy("user_id", "item_id").orderBy("_met")
    starts = F.coalesce(F.col("_met") - F.lag("_met").over(in_order) > span, F.lit(True)).cast("int")
    marked = met.distinct().withColumn("_starts", starts)
    run = F.sum("_starts").over(in_order.rowsBetween(Window.unboundedPreceding, 0))
    by_run = marked.withColumn("_run", run).groupBy("user_id", "item_id", "_run")
    runs = by_run.agg((F.min("_met") + 1).alias("_from"), (F.max("_met") + span).alias("_to")).alias("run")
    moments = points.select(*MOMENT, "_pool").distinct().alias("moment")
    within = F.col("moment._slot").between(F.col("run._from"), F.col("run._to"))
    met_then = moments.join(runs, (F.col("moment.user_id") == F.col("run.user_id")) & within, how="inner")
    items = met_then.select("moment.*", "run.item_id")
    return items.join(pool, on=["_pool", "item_id"], how="inner").select(*MOMENT, *CANDIDATE)


def _counted(points: DataFrame, pool: DataFrame, seen: DataFrame) -> DataFrame:
    """The points with `_total`, the tickets of their pool, `_left`, those that may win, and `_is_candidate`: whether
    their own item could be drawn, were it not theirs. None without a pool."""
    in_pool = points.join(F.broadcast(totals(pool)), on="_pool", how="inner")  # a day has one pool, or 288
    blocked = seen.groupBy(*MOMENT).agg(F.sum("_tickets").alias("_blocked"), ended().alias("_blocked_ended"))
    own = pool.select("_pool", F.col("item_id").alias("_own"), "_tickets", "_ended_us").groupBy("_pool", "_own")
    own_tickets = own.agg(F.sum("_tickets").alias("_own_tickets"), ended().alias("_own_ended"))
    met = seen.select(*MOMENT, F.col("item_id").alias("_own")).distinct().withColumn("_met", F.lit(True))
    joined = in_pool.join(blocked, on=MOMENT, how="left").join(own_tickets, on=["_pool", "_own"], how="left")
    joined = joined.join(met, on=[*MOMENT, "_own"], how="left")
    theirs = F.when(F.col("_met").isNull(), _or_none("_own_tickets", "_own_ended")).otherwise(0)
    others = tickets_left(F.col("_total"), F.col("_ended")) - _or_none("_blocked", "_blocked_ended")
    return joined.select(
        *points.columns, "_total", (others - theirs).alias("_left"), (theirs > 0).alias("_is_candidate")
    )


def _or_none(total: str, ended_ones: str) -> Column:
    return F.coalesce(tickets_left(F.col(total), F.col(ended_ones)), F.lit(0))


def _drawn(negatives: Negatives, points: DataFrame, pool: DataFrame, seen: DataFrame) -> DataFrame:
    """example_id, `_k`, item_id, room_id, _sampling_probability of what is kept of the draws."""
    numbers = F.explode(F.sequence(F.lit(1), F.lit(negatives.draws))).alias("_draw")
    draws = points.select("*", numbers).withColumn("_ticket", _ticket(negatives))
    last = F.col("_first") + F.col("_tickets") - 1
    tickets = pool.select("_pool", *CANDIDATE, F.explode(F.sequence("_first", last)).alias("_ticket"))
    won = draws.join(tickets, on=["_pool", "_ticket"], how="inner").where(F.col("item_id") != F.col("_own"))
    over = F.col("_ended_us") < F.unix_micros("event_time")
    fresh = won.where(~F.coalesce(over, F.lit(False)))
    fresh = fresh.join(seen.select(*MOMENT, "item_id").distinct(), on=[*MOMENT, "item_id"], how="left_anti")
    once = fresh.groupBy("example_id", "item_id", "room_id", "_tickets", "_left").agg(F.min("_draw").alias("_draw"))
    number = F.row_number().over(Window.partitionBy("example_id").orderBy("_draw"))
    kept = once.withColumn("_k", number).where(F.col("_k") <= negatives.per_example)
    probability = (F.col("_tickets") / F.col("_left")).cast("float").alias("_sampling_probability")
    return kept.select("example_id", "_k", "item_id", "room_id", probability)


def _ticket(negatives: Negatives) -> Column:
    name = F.concat_ws("\n", F.lit(str(negatives.seed)), "example_id", F.col("_draw").cast("string"))
    return F.pmod(F.xxhash64(name), F.col("_total"))


def _of_logged() -> list[Column]:
    weight = F.when(F.col("_counts"), 1.0).otherwise(0.0)
    values = (F.lit(False), F.lit(1.0).cast("float"), weight.cast("float"))
    return [value.alias(name) for name, value in zip(OF_A_POINT, values, strict=True)]


def _of_sampled(config: Config, negatives: Negatives) -> list[Column]:
    """The columns of exposures_of() and OF_A_POINT."""
    kept = {"user_id", "event_time", "item_id", "room_id", *negatives.keep}
    said = {name: F.col(name) if name in kept else F.lit(None).cast(t) for name, t in event_columns(config).items()}
    said["example_id"] = F.concat_ws("~", "example_id", F.col("_k").cast("string"))
    values = (F.lit(True), F.col("_sampling_probability"), F.lit(1.0).cast("float"))
    said |= zip(OF_A_POINT, values, strict=True)
    return [value.alias(name) for name, value in said.items()]
