"""One user owns a fifth of all events: no task of any step gets over four times as many rows as the median task.

Rows are counted as tasks read them from shuffles, not seconds. So that a small table behaves as a large one, nothing is
broadcast that the code does not ask for, partitions are not merged, and what Spark calls skewed has no least size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config
from pipeline.steps.build_daily import build_daily
from pipeline.steps.build_examples import build_examples
from pipeline.steps.build_profiles import attribute_snapshot, build_profiles
from pipeline.steps.build_sessions import build_sessions
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from pipeline.steps.clean_logs import RawLines, clean_logs
from tests.steps.rows import FIRST, at, toy_config
from tests.steps.session_reference import session_config
from tests.steps.spark_settings import spark_settings

EVENTS, TASKS = 24_000, 32
DAY = FIRST.replace(day=2)
MOST, LEAST_ROWS = 4.0, 400
"""How uneven a stage may be, and how many rows its largest task must have to matter."""
BOTS = {"rate": {"per_hour": 100_000}, "regularity": {"at_least": 100_000}, "speed": {"times": 100_000}}
"""All rules look; nobody is one."""
AS_IF_LARGE = {
    "spark.sql.shuffle.partitions": str(TASKS),
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes": "1",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "4096",
}


@dataclass
class Busy:
    """A session that counts the rows that tasks read, and the events of two days."""

    spark: SparkSession
    config: Config
    folder: Path

    def keep(self, name: str, table: DataFrame) -> DataFrame:
        """The table as it lies on disk, in several files."""
        table.repartition(8).write.parquet(str(self.folder / name))
        return self.spark.read.parquet(str(self.folder / name))

    def uneven(self, name: str, make: Callable[[], None]) -> dict[str, str]:
        """The stages of what is made in which a task has too many rows: the largest and the median."""
        context = self.spark.sparkContext
        context.setJobGroup(name, name)
        make()
        context._jsc.sc().listenerBus().waitUntilEmpty()
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        read = self._read(name)
        assert read, f"{name} reads nothing from shuffles"
        return {
            f"{name}, stage {stage}": f"{max(rows)} rows, median {median(rows)} of {len(rows)} tasks"
            for stage, rows in read.items()
            if max(rows) >= LEAST_ROWS and max(rows) > MOST * median(rows)
        }

    def _read(self, group: str) -> dict[int, list[int]]:
        """Rows that each task of a stage read from shuffles, for the stages that read any."""
        tracker, store = self.spark.sparkContext.statusTracker(), self.spark.sparkContext._jsc.sc().statusStore()
        found = {}
        for job in tracker.getJobIdsForGroup(group):
            info = tracker.getJobInfo(job)
            for stage in info.stageIds if info is not None else ():
                tasks = store.taskList(int(stage), 0, 10_000)
                metrics = [tasks.apply(i).taskMetrics().get() for i in range(tasks.size())]
                rows = [int(metric.shuffleReadMetrics().recordsRead()) for metric in metrics]
                if any(rows):
                    found[int(stage)] = rows
        return found


@pytest.fixture
def busy(spark: SparkSession, tmp_path: Path) -> Iterator[Busy]:
    with spark_settings(spark, AS_IF_LARGE):
        yield Busy(spark, toy_config(clean={"bots": BOTS}), tmp_path)


def pick(salt: str, count: int) -> str:
    """SQL: a number below `count` that a row's id decides."""
    return f"pmod(xxhash64(id, '{salt}'), {count})"


def events(busy: Busy) -> DataFrame:
    """Of two days, a fifth of them the busy user's; every user is shown most of the items."""
    begin = int(at(FIRST, 0).timestamp())
    made = busy.spark.range(EVENTS).selectExpr(
        "concat('e', id) AS event_id",
        f"if(id % 5 = 0, 'busy', concat('u', {pick('user', 700)})) AS user_id",
        f"concat('i', {pick('item', 300)}) AS item_id",
        f"concat('r', {pick('item', 300)}) AS room_id",
        f"element_at(array('exposure', 'exposure', 'enter', 'watch'), int({pick('type', 4)}) + 1) AS event_type",
        f"timestamp_seconds({begin} + {pick('time', 2 * 86_400)}) AS event_time",
        "'hot' AS scene",
        "1 AS position",
        f"{pick('duration', 1000)} AS duration_ms",
        "cast(NULL AS string) AS bot_rule",
        "cast(NULL AS timestamp) AS bot_available_at",
        "'f' AS source_file",
    )
    made = made.withColumn("available_at", F.expr("event_time + interval 1 second"))
    return busy.keep("events", made.select(*schemas.events(busy.config)))


def said(busy: Busy, entity: str, count: int) -> DataFrame:
    """What every user or item said once."""
    name = schemas.ENTITY_ID[entity]
    ids = busy.spark.range(count).selectExpr(f"concat('{entity[0]}', id) AS {name}", "concat('s', id) AS event_id")
    clock = F.lit(at(FIRST, 1))
    columns = {
        name: type_ for name, type_ in schemas.attributes(busy.config, entity).items() if name not in ids.columns
    }
    own = {"event_time": clock, "available_at": clock, "city": F.lit("Köln"), "category": F.lit("game")}
    return ids.select("*", *[own.get(c, F.lit(None)).cast(type_).alias(c) for c, type_ in columns.items()])


def run(table: DataFrame) -> None:
    table.write.format("noop").mode("overwrite").save()


def test_no_task_gets_four_times_the_median(busy: Busy) -> None:
    config, rows = busy.config, events(busy)
    people = {entity: said(busy, entity, count) for entity, count in (("user", 700), ("item", 300))}
    snapshots = {
        entity: busy.keep(f"said_{entity}", attribute_snapshot(config, entity, None, table))
        for entity, table in people.items()
    }
    kept: dict[str, DataFrame] = {}

    def keep(name: str, table: DataFrame) -> None:
        kept[name] = busy.keep(name, table)

    found: dict[str, str] = {}
    for entity in ("user", "item"):
        daily = build_daily(config, DAY, entity, rows, snapshots["item"], snapshots["user"])
        found |= busy.uneven(f"daily {entity}", lambda made=daily: run(made))  # type: ignore[misc]
        keep(f"daily_{entity}", daily)
        profile = build_profiles(config, FIRST, entity, None, snapshots[entity], kept[f"daily_{entity}"])
        found |= busy.uneven(f"profiles {entity}", lambda made=profile: run(made))  # type: ignore[misc]
        keep(f"profile_{entity}", profile)
    vocabularies = build_vocab(config, FIRST, vocabulary_values(config, rows, people), {})
    for column in ("user_id", "item_id"):
        found |= busy.uneven(f"vocabulary {column}", lambda made=vocabularies.tables[column]: run(made))  # type: ignore[misc]
        keep(f"vocab_{column}", vocabularies.tables[column])
    vocabularies.release()
    profiles = {entity: kept[f"profile_{entity}"].withColumn("profile_day", F.lit(FIRST)) for entity in people}
    known = {column: kept[f"vocab_{column}"] for column in ("user_id", "item_id")}
    made = build_examples(config, DAY, rows, profiles, known, rows)
    found |= busy.uneven("examples", lambda: run(made))
    assert found == {}


def test_cleaning_a_fifth_of_one_user_and_a_fifth_without_an_id(busy: Busy) -> None:
    fields = ["event_id", "user_id", "item_id", "room_id", "event_type", "scene"]
    numbers = [
        F.unix_millis("event_time").alias("ts"),
        F.col("position").alias("pos"),
        F.col("duration_ms").alias("dur"),
    ]
    text = F.to_json(F.struct(*fields, *numbers))
    broken = F.when(F.col("event_id").endswith("7"), F.concat(F.lit("no record "), "event_id")).otherwise(text)
    lines = events(busy).select(broken.cast("binary").alias("line"), "source_file")
    nothing = RawLines(lines.limit(0))
    raw = {"events": RawLines(busy.keep("lines", lines)), "users": nothing, "streamers": nothing}
    cleaned = clean_logs(busy.config, DAY, raw, {"events": events_before(busy)}, None)

    def clean() -> None:
        cleaned.accounting.collect()  # every task judges its lines now; what follows reads them from memory
        run(cleaned.events)

    assert busy.uneven("clean", clean) == {}
    cleaned.release()


def events_before(busy: Busy) -> DataFrame:
    """Ids of earlier days: a few."""
    return busy.spark.range(100).selectExpr("concat('before', id) AS event_id")


def test_sessions_of_a_fifth_of_one_user(busy: Busy) -> None:
    rows, config = events(busy), session_config()
    earlier = busy.keep("sessions", build_sessions(config, FIRST, rows, None))
    made = build_sessions(config, DAY, rows, earlier)
    assert busy.uneven("sessions", lambda: run(made)) == {}


def test_what_is_brought_together_by_user_alone_is_found(busy: Busy) -> None:
    together = events(busy).repartition("user_id")
    assert list(busy.uneven("by user", lambda: run(together))) != []
