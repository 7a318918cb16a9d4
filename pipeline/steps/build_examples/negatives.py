"""Sampled candidates: beside each logged example a few that the same user could have met at the same moment.

Draws are numbered; each is a ticket by hash of (seed, example, draw). A draw of what the user had seen, of the logged
item, of a room known to have ended, or of what an earlier draw gave does not count, and the first that are left are
kept. So the chance of a candidate is its tickets by all tickets that could have won then, which is counted exactly.
The logged item goes the same way, as draw 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import ChosenLabel, Config, Negatives
from pipeline.days import Day
from pipeline.steps.build_examples.encoding import table_or_empty
from pipeline.steps.build_examples.moments import exposures_of
from pipeline.steps.build_examples.pools import SLOTS_A_DAY, ended, pool_at, pools, slot_of, tickets_left, totals
from pipeline.steps.check_features import event_columns

MOMENT = ["user_id", "_slot"]
SPREAD = 1 << 16
"""Over so many keys lie the rows that draw nothing."""


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


@dataclass(frozen=True)
class Points:
    """What features and labels are computed for, and what it is read off.

    Columns: those of exposures_of(), `_sampled` (whether no event is behind it), `_sampling_probability`, `_weight`.
    """

    table: DataFrame
    persisted: tuple[DataFrame, ...] = ()

    def release(self) -> None:
        """Give back what is persisted, once the examples are published."""
        for table in self.persisted:
            table.unpersist()


def points_of(config: Config, day: Day, events: DataFrame, known: Known) -> Points:
    """The exposures whose last label matures on `day`, and with [negatives] what is sampled beside them.

    A sampled row has example_id <event_id>~<k> (k from 1), the user, the time and the `keep` columns of its example, an
    item and a room of its own, and null in every other column.
    Where the model learns what was chosen, an example whose own item could not have been drawn for that user (it is new
    since yesterday, or was seen) has weight 0 and nothing beside it: that alone would tell it from all candidates.
    """
    exposures, negatives = exposures_of(config, day, events), config.negatives
    if negatives is None:
        logged = (F.lit(False), F.lit(1.0).cast("float"), F.lit(1.0).cast("float"))
        return Points(exposures.select("*", *_of_a_point(*logged)))
    found = {name: table for name, table in vars(known).items() if table is not None}
    columns = {**schemas.events(config), "dt": "date"}
    popularity, met = (table_or_empty(exposures.sparkSession, found, name, columns) for name in ("popularity", "seen"))
    pool = pools(config, negatives, day, known.rooms, popularity).persist()
    moments = exposures.select(
        "example_id", "user_id", F.col("item_id").alias("_own"), "event_time",
        slot_of(F.col("event_time")).alias("_slot"), pool_at(config, negatives).alias("_pool"),
    )  # fmt: skip
    seen = _seen(negatives, moments, pool, met).persist()
    kept = _kept(negatives, _drawn(negatives, _counted(moments, pool, seen), pool), seen)
    if _learns_choice(config):
        kept = kept.where("_k = 0 or _own_left > 0").withColumn("_weight", (F.col("_own_left") > 0).cast("float"))
    kept = kept.persist()  # or a sequence, which asks for the moments first, would sample a second time
    return Points(_as_points(config, negatives, exposures, kept), (pool, seen, kept))


def _learns_choice(config: Config) -> bool:
    """Whether the training label is what was logged against what was sampled."""
    label = config.event_labels[config.training.label]
    return isinstance(label, ChosenLabel) and label.column is None


def _seen(negatives: Negatives, moments: DataFrame, pool: DataFrame, events: DataFrame) -> DataFrame:
    """MOMENT, and the rows of its pool whose item was in an event of the user that was known before its slot, at most
    unseen_days before. Runs of slots are made of the events first, for a user may have had many."""
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
    asked = moments.select(*MOMENT, "_pool").distinct().alias("moment")
    within = F.col("moment._slot").between(F.col("run._from"), F.col("run._to"))
    met_then = asked.join(runs, (F.col("moment.user_id") == F.col("run.user_id")) & within, how="inner")
    items = met_then.select("moment.*", "run.item_id")
    return items.join(pool, on=["_pool", "item_id"], how="inner").select(*MOMENT, "item_id", "_tickets", "_ended_us")


def _counted(moments: DataFrame, pool: DataFrame, seen: DataFrame) -> DataFrame:
    """The moments with `_total`, the tickets of their pool (null without one), `_unseen`, those of what is on air and
    was not seen, and `_own_tickets`, those of the logged item."""
    blocked = seen.groupBy(*MOMENT).agg(F.sum("_tickets").alias("_blocked"), ended().alias("_blocked_ended"))
    own = pool.select("_pool", F.col("item_id").alias("_own"), "_tickets", "_ended_us").groupBy("_pool", "_own")
    own_tickets = own.agg(F.sum("_tickets").alias("_theirs"), ended().alias("_theirs_ended"))
    in_pool = moments.join(F.broadcast(totals(pool)), on="_pool", how="left")  # a day has one pool, or 288
    joined = in_pool.join(blocked, on=MOMENT, how="left").join(own_tickets, on=["_pool", "_own"], how="left")
    unseen = _left("_total", "_ended") - _left("_blocked", "_blocked_ended")
    return joined.select(
        *moments.columns, "_total", unseen.alias("_unseen"), _left("_theirs", "_theirs_ended").alias("_own_tickets")
    )


def _left(total: str, ended_ones: str) -> Column:
    return F.coalesce(tickets_left(F.col(total), F.col(ended_ones)), F.lit(0))


def _drawn(negatives: Negatives, counted: DataFrame, pool: DataFrame) -> DataFrame:
    """A row for each draw that is no blank: item_id, room_id, `_tickets`; draw 0 is the logged item."""
    last = F.when(F.col("_total").isNull(), 0).otherwise(negatives.draws)
    numbered = counted.select("*", F.explode(F.sequence(F.lit(0), last)).alias("_draw"))
    none = -1 - F.pmod(F.xxhash64("example_id"), F.lit(SPREAD))  # no such ticket; one null would be one task's
    draws = numbered.withColumn("_ticket", F.when(F.col("_draw") > 0, _ticket(negatives)).otherwise(none))
    numbers = F.explode(F.sequence("_first", F.col("_first") + F.col("_tickets") - 1)).alias("_ticket")
    tickets = pool.select("_pool", "item_id", "room_id", "_tickets", "_ended_us", numbers)
    won = draws.join(tickets, on=["_pool", "_ticket"], how="left")
    is_other = (F.col("item_id") != F.col("_own")) & ~(F.coalesce("_ended_us", "_now") < F.col("_now"))
    won = won.withColumn("_now", F.unix_micros("event_time")).where((F.col("_draw") == 0) | is_other)
    return won.withColumn("item_id", F.coalesce("item_id", "_own"))


def _ticket(negatives: Negatives) -> Column:
    name = F.concat_ws("\n", F.lit(str(negatives.seed)), "example_id", F.col("_draw").cast("string"))
    return F.pmod(F.xxhash64(name), F.col("_total"))


def _kept(negatives: Negatives, drawn: DataFrame, seen: DataFrame) -> DataFrame:
    """example_id, `_k` (0 of the logged item), item_id, room_id, `_own_left` (the tickets with which the logged item
    would have been in the draw), _sampling_probability, _weight: of the first draws that count and give a new one."""
    items = seen.select(*MOMENT, "item_id").distinct().withColumn("_seen", F.lit(True))
    flagged = drawn.join(items, on=[*MOMENT, "item_id"], how="left")
    of_example = Window.partitionBy("example_id")
    own = F.when((F.col("_draw") == 0) & F.col("_seen").isNull(), F.col("_own_tickets"))
    known = flagged.withColumn("_own_left", F.coalesce(F.max(own).over(of_example), F.lit(0)))
    same = Window.partitionBy("example_id", "item_id", "room_id").orderBy("_draw")
    counting = known.where("_draw = 0 or _seen is null").withColumn("_times", F.row_number().over(same))
    place = (F.row_number().over(of_example.orderBy("_draw")) - 1).alias("_k")
    numbered = counting.where("_times = 1").select("*", place).where(F.col("_k") <= negatives.per_example)
    probability = F.when(F.col("_k") == 0, 1.0).otherwise(F.col("_tickets") / (F.col("_unseen") - F.col("_own_left")))
    said = [probability.cast("float").alias("_sampling_probability"), F.lit(1.0).cast("float").alias("_weight")]
    return numbered.select("example_id", "_k", "item_id", "room_id", "_own_left", *said)


def _as_points(config: Config, negatives: Negatives, exposures: DataFrame, kept: DataFrame) -> DataFrame:
    joined = exposures.alias("logged").join(kept.alias("drawn"), on="example_id", how="inner")
    is_sampled = F.col("drawn._k") > 0
    shared = {"user_id", "event_time", *negatives.keep}
    said = {
        "example_id": F.when(is_sampled, F.concat_ws("~", "example_id", F.col("drawn._k").cast("string"))).otherwise(
            F.col("example_id")
        )
    }
    for name in event_columns(config):
        own = F.col(f"drawn.{name}") if name in ("item_id", "room_id") else F.lit(None)
        logged = F.col(f"logged.{name}")
        said[name] = logged if name in shared else F.when(is_sampled, own).otherwise(logged)
    point = _of_a_point(is_sampled, F.col("drawn._sampling_probability"), F.col("drawn._weight"))
    return joined.select(*[column.alias(name) for name, column in said.items()], *point)


def _of_a_point(sampled: Column, probability: Column, weight: Column) -> list[Column]:
    return [sampled.alias("_sampled"), probability.alias("_sampling_probability"), weight.alias("_weight")]
