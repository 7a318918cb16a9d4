"""A vocabulary of 20 million values on a real standalone cluster: a driver of 1 GB, one executor of 4 GB.

Two days of events are published there and their vocabulary is built by the step that every product has. Then each
snapshot is looked at as a whole: ids without a gap, in the order of (count descending, UTF-8 bytes) among those of one
day, and on the second day the old ones as they were.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config
from pipeline.datasets import events
from pipeline.days import add_days
from pipeline.features import FIRST_ID
from pipeline.road import VOCAB
from pipeline.runner import Runner
from pipeline.schemas import VOCABULARY
from pipeline.session import build_session
from pipeline.storage import Warehouse
from pipeline.tables import Publication, publish, read_table
from tests import standalone
from tests.steps.rows import FIRST, TABLES, toy_config

VALUES, FILES = 20_000_000, 16
MEMORY = ("--driver-memory=1g", "--conf=spark.executor.memory=4g", "--conf=spark.sql.shuffle.partitions=32")


def build(spark: SparkSession, folder: str, values: int) -> None:
    """Both days, from events to a snapshot that is checked; AssertionError where something does not hold."""
    config = toy_config(
        product={**TABLES["product"], "warehouse": folder}, sources={"events": TABLES["sources"]["events"]},
        datasets={"events": "events"}, features={"user": {"key": {"column": "user_id"}}},
        vocabularies={"user_id": {"min_count": 1}},
    )  # fmt: skip
    runner = Runner(config, spark)
    second = add_days(FIRST, 1)
    _publish(spark, config, FIRST, spark.range(values + values // 4).select((F.col("id") % values).alias("id")))
    _build(runner, FIRST)
    before = _snapshot(runner, FIRST)
    _check(before, 0, values)
    fresh = values // 10
    _publish(spark, config, second, spark.range(values // 2, values + fresh))
    _build(runner, second)
    after = _snapshot(runner, second)
    _check(after.where(F.col("first_dt") == second), values, fresh)
    moved = before.select("value", F.col("id").alias("_id")).join(after, on="value", how="left").where("not id <=> _id")
    assert moved.isEmpty(), "an id is another one than on the day before"
    assert after.count() == values + fresh


def _publish(spark: SparkSession, config: Config, day: datetime.date, ids: DataFrame) -> None:
    """An event for each id: its user is the id behind a hash, so that values come in no order."""
    said = {
        "event_id": F.monotonically_increasing_id().cast("string"),
        "user_id": F.concat_ws("-", F.hex(F.xxhash64("id")), F.col("id").cast("string")),
    }
    dataset = events(config)
    columns = [said.get(name, F.lit(None)).cast(type_).alias(name) for name, type_ in dataset.columns.items()]
    publication = Publication(dataset.name, day, dataset.columns, dataset.key, FILES)
    publish(Warehouse.of(config), ids.select(*columns), publication)


def _build(runner: Runner, day: datetime.date) -> None:
    start = time.monotonic()
    manifest = runner.run(VOCAB, day).manifests["vocab/user_id"]
    told = {"day": str(day), "values": manifest.rows, "seconds": round(time.monotonic() - start, 1)}
    print(json.dumps({**told, **_peaks(runner.spark)}), flush=True)


def _snapshot(runner: Runner, day: datetime.date) -> DataFrame:
    return read_table(runner.spark, runner.warehouse.folder("vocab/user_id", day), VOCABULARY)


def _check(fresh: DataFrame, old: int, count: int) -> None:
    """The ids that a day gave: as many as values, without a gap, in order."""
    found = fresh.agg(F.count("*"), F.countDistinct("value"), F.countDistinct("id"), F.min("id"), F.max("id")).first()
    assert found is not None
    assert tuple(found) == (count, count, count, FIRST_ID + old, FIRST_ID + old + count - 1), found
    following = fresh.select((F.col("id") - 1).alias("id"), F.struct(-F.col("count"), "value").alias("_next"))
    wrong = fresh.join(following, on="id").where(F.struct(-F.col("count"), "value") >= F.col("_next"))
    assert wrong.isEmpty(), wrong.take(3)


def _peaks(spark: SparkSession) -> dict[str, float]:
    """Resident gigabytes at the worst of the driver's Java, which started this process, and of the executor's."""
    application = spark.sparkContext.applicationId
    executors = [path for path in Path("/proc").glob("[0-9]*") if application in _command(path)]
    found = {"driver_gb": [Path(f"/proc/{os.getppid()}")], "executor_gb": executors}
    return {name: round(max(map(_peak_gb, paths), default=0.0), 2) for name, paths in found.items()}


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def _peak_gb(process: Path) -> float:
    (line,) = [line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM")] or ["x 0 kB"]
    return int(line.split()[1]) / 1e6


def main(arguments: list[str]) -> int:
    """Start a cluster and submit this file to it; with a folder and a number of values, be the driver there."""
    if arguments:
        folder, values = arguments
        build(build_session("large_vocabulary"), folder, int(values))
        return 0
    with tempfile.TemporaryDirectory(prefix="vocabulary-") as scratch, standalone.cluster(Path(scratch), "4g") as url:
        ended = standalone.submit(url, Path(sys.executable), *MEMORY, __file__, f"{scratch}/warehouse", str(VALUES))
        print(ended.stdout + ended.stderr if ended.returncode else ended.stdout, flush=True)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
