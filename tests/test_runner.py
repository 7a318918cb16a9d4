"""A step runs when something it depends on changed, and never otherwise; nothing is skipped or missed in silence."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline.config import Config, parse_config
from pipeline.days import Day
from pipeline.errors import MissingInput, Refused
from pipeline.raw import Outside
from pipeline.runner import Dataset, Input, Output, Runner, Step, Tables
from pipeline.tables import Publication, publish

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
NUMBERS = Dataset("numbers", {"n": "bigint"}, ("n",))
SQUARES = Dataset("squares", {"n": "bigint", "square": "bigint"}, ("n",))


def config_in(folder: Path, **training: object) -> Config:
    tables = tomllib.loads((Path(__file__).parent.parent / "conf" / "live.toml").read_text())
    tables["product"]["warehouse"] = str(folder)
    tables["training"] |= training
    return parse_config(tables)


def square(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    return Output({"squares": tables.expect("numbers").select("n", (F.col("n") * F.col("n")).alias("square"))})


def reads(config: Config, day: Day) -> Mapping[str, Input]:
    return {"numbers": Input(NUMBERS, (day,))}


STEP = Step("square", ("training",), ("pipeline.days",), reads, lambda config: (SQUARES,), square)


def put(spark: SparkSession, runner: Runner, day: Day, *numbers: int) -> None:
    table = spark.createDataFrame([(n,) for n in numbers], "n bigint")
    publish(runner.warehouse, table, Publication("numbers", day, NUMBERS.columns, ("n",), origin="simulated"))


def test_a_step_is_skipped_until_its_input_changes(spark: SparkSession, tmp_path: Path) -> None:
    runner = Runner(config_in(tmp_path), spark)
    put(spark, runner, FIRST, 1, 2)
    made = runner.run(STEP, FIRST)
    assert (made.skipped, made.manifests["squares"].rows, made.manifests["squares"].origin) == (False, 2, "simulated")
    assert runner.run(STEP, FIRST).skipped
    put(spark, runner, FIRST, 2, 1)  # the same rows, published again
    assert runner.run(STEP, FIRST).skipped
    put(spark, runner, FIRST, 1, 3)
    assert not runner.run(STEP, FIRST).skipped


def test_the_config_that_a_step_reads_is_in_its_key(spark: SparkSession, tmp_path: Path) -> None:
    runner = Runner(config_in(tmp_path), spark)
    put(spark, runner, FIRST, 1)
    runner.run(STEP, FIRST)
    assert not Runner(config_in(tmp_path, seed=43), spark).run(STEP, FIRST).skipped
    other = dataclasses.replace(STEP, sections=("clean",))
    Runner(config_in(tmp_path), spark).run(other, FIRST)
    assert Runner(config_in(tmp_path, seed=44), spark).run(other, FIRST).skipped


def test_a_missing_day_stops_with_the_command_to_type(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"square needs numbers/dt=2026-01-02.*make day DT=2026-01-02"):
        Runner(config_in(tmp_path), spark).run(STEP, SECOND)


def test_an_older_vocabulary_is_not_built_again_under_a_newer_one(spark: SparkSession, tmp_path: Path) -> None:
    runner = Runner(config_in(tmp_path), spark)
    step = dataclasses.replace(STEP, append_only=True)
    for day in (FIRST, SECOND):
        put(spark, runner, day, 1)
        runner.run(step, day)
    assert runner.run(step, FIRST).skipped
    put(spark, runner, FIRST, 1, 2)
    with pytest.raises(Refused, match="--new-generation"):
        runner.run(step, FIRST)
    assert not Runner(runner.config, spark, new_generation=True).run(step, FIRST).skipped
