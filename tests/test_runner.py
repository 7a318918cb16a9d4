"""A step runs when something it depends on changed, and never otherwise; nothing is skipped or missed in silence."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline.config import Column, Config, parse_config
from pipeline.days import Day
from pipeline.errors import ConfigError, MissingInput, Refused
from pipeline.raw import Outside
from pipeline.runner import Runner
from pipeline.step import Dataset, Input, Output, Step, Tables
from pipeline.storage import Warehouse, data_files, read_manifest
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


def test_what_a_check_refuses_is_published_and_refused_again(spark: SparkSession, tmp_path: Path) -> None:
    runner, seen = Runner(config_in(tmp_path), spark), []

    def check(config: Config, warehouse: Warehouse, day: Day) -> str:
        seen.append(read_manifest(warehouse.folder("squares", day)).run)
        if len(seen) < 3:
            raise Refused("too square")
        return "looked at"

    step = dataclasses.replace(STEP, check=check)
    put(spark, runner, FIRST, 1, 2)
    for _ in range(2):
        with pytest.raises(Refused, match="too square"):
            runner.run(step, FIRST)
    outcome = runner.run(step, FIRST)
    assert (outcome.skipped, outcome.found) == (True, "looked at")
    assert len(set(seen)) == 1, "what was refused is not built again"


def test_a_missing_day_stops_with_the_command_to_type(spark: SparkSession, tmp_path: Path) -> None:
    told = (
        r"numbers/dt=2026-01-02, which is not there yet\. Build it first: make backfill FROM=2026-01-01 TO=2026-01-02"
    )
    with pytest.raises(MissingInput, match=told):
        Runner(config_in(tmp_path), spark).run(STEP, SECOND)
    with pytest.raises(ConfigError, match=r"2025-12-31 is before the product's first day, 2026-01-01"):
        Runner(config_in(tmp_path), spark).run(STEP, FIRST - timedelta(days=1))


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
    again = Runner(config_in(tmp_path, seed=43), spark)  # another key, and the same rows: no id changes
    assert not again.run(step, FIRST).skipped


def test_a_day_of_other_columns_is_no_input(spark: SparkSession, tmp_path: Path) -> None:
    """A sum that was not made is not a sum of nothing; a column that nobody had declared is null."""
    runner = Runner(config_in(tmp_path), spark)
    put(spark, runner, FIRST, 1, 2)
    put(spark, runner, SECOND, 3)

    def reading(columns: dict[str, str], grows: bool) -> Step:
        asked = Dataset("numbers", columns, ("n",), grows=grows)
        return dataclasses.replace(STEP, reads=lambda config, day: {"numbers": Input(asked, (day,))})

    more, retyped = {"n": "bigint", "m": "bigint"}, {"n": "string"}
    for columns, grows in ((more, False), (retyped, False)):
        with pytest.raises(MissingInput, match=r"numbers/dt=2026-01-01, which has other columns than the config asks"):
            runner.run(reading(columns, grows), FIRST)
    with pytest.raises(MissingInput, match=r"numbers/dt=2026-01-02, which has other.*FROM=2026-01-01 TO=2026-01-02"):
        runner.run(reading(more, False), SECOND)
    assert not runner.run(reading(more, True), FIRST).skipped


def test_a_day_that_has_more_columns_is_read_where_some_are_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    runner = Runner(config_in(tmp_path), spark)
    wide = spark.createDataFrame([(1, "a")], "n bigint, text string")
    publish(runner.warehouse, wide, Publication("numbers", FIRST, {"n": "bigint", "text": "string"}, ("n",)))

    def reading(name: str, type_: str) -> Step:
        asked = Dataset("numbers", {name: type_}, (), partial=True)
        return dataclasses.replace(STEP, reads=lambda config, day: {"numbers": Input(asked, (day,))})

    assert runner.run(reading("n", "bigint"), FIRST).manifests["squares"].rows == 1
    for name, type_ in (("n", "int"), ("m", "bigint")):
        with pytest.raises(MissingInput, match="numbers/dt=2026-01-01, which has other columns than the config"):
            runner.run(reading(name, type_), FIRST)


def grown(columns: dict[str, str], **declared: Column) -> Step:
    """Publishes a dataset of a source as it is read with these columns."""
    asked = Dataset("numbers", columns, ("n",), grows=True, declared=declared)
    return dataclasses.replace(
        STEP,
        reads=lambda config, day: {"numbers": Input(asked, (FIRST, SECOND))},
        writes=lambda config: (Dataset("squares", columns, ("n",)),),
        apply=lambda config, day, tables, outside: Output({"squares": tables.expect("numbers").select(*columns)}),
    )


def test_days_from_before_a_column_hold_its_default(spark: SparkSession, tmp_path: Path) -> None:
    runner = Runner(config_in(tmp_path), spark)
    put(spark, runner, FIRST, 1)
    columns = {"n": "bigint", "m": "bigint", "scene": "string", "kind": "string"}
    now = spark.createDataFrame([(2, None, None, "b")], "n bigint, m bigint, scene string, kind string")
    publish(runner.warehouse, now, Publication("numbers", SECOND, columns, ("n",)))

    def declared(default: str) -> dict[str, Column]:
        of: dict[str, dict[str, object]] = {
            "m": {"type": "long", "default": default},
            "kind": {"default": "x", "values": {"x": "a"}},
            "scene": {},
        }
        return {name: Column.model_validate({"from": name, **more}) for name, more in of.items()}

    def rows() -> list[tuple[object, ...]]:
        (path,) = data_files(runner.warehouse.folder("squares", SECOND))
        return sorted(map(tuple, spark.read.parquet(path).collect()))

    assert not runner.run(grown(columns, **declared("-7")), SECOND).skipped
    assert rows() == [(1, -7, None, "a"), (2, None, None, "b")]
    assert runner.run(grown(columns, **declared("-7")), SECOND).skipped
    assert not runner.run(grown(columns, **declared("8")), SECOND).skipped, "the default is in the key"
    assert rows() == [(1, 8, None, "a"), (2, None, None, "b")]


def test_a_column_that_is_gone_or_retyped_is_refused_with_the_difference(spark: SparkSession, tmp_path: Path) -> None:
    runner = Runner(config_in(tmp_path), spark)
    columns = {"n": "bigint", "m": "bigint", "scene": "string"}
    table = spark.createDataFrame([], "n bigint, m bigint, scene string")
    for day in (FIRST, SECOND):
        publish(runner.warehouse, table, Publication("numbers", day, columns, ("n",)))
    with pytest.raises(Refused) as error:
        runner.run(grown({"n": "string", "m": "bigint", "more": "int"}), SECOND)
    assert error.value.exit_code == 3
    *difference, way_out = str(error.value).splitlines()
    assert difference == [
        "numbers/dt=2026-01-01 .. dt=2026-01-02 has other columns than the config declares now:",
        "  column  published  declared",
        "  n       bigint     string",
        "  scene   string     gone",
    ]
    assert way_out.endswith("build those days again from their raw files: make backfill FROM=2026-01-01 TO=2026-01-02")


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_day_is_built_again_by_the_same_command(spark: SparkSession, tmp_path: Path, harm: str) -> None:
    runner = Runner(config_in(tmp_path), spark)
    put(spark, runner, FIRST, 1, 2)
    runner.run(STEP, FIRST)
    (path,) = map(Path, data_files(runner.warehouse.folder("squares", FIRST)))
    path.write_bytes(path.read_bytes()[:-5]) if harm == "cut" else path.unlink()
    assert not runner.run(STEP, FIRST).skipped
    assert runner.run(STEP, FIRST).skipped


def test_a_day_of_many_bytes_has_several_files(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(config_in(tmp_path), spark)
    put(spark, runner, FIRST, *range(300))
    (entry,) = read_manifest(runner.warehouse.folder("numbers", FIRST)).files
    monkeypatch.setattr("pipeline.runner.BYTES_PER_FILE", entry.bytes // 3 + 1)
    made = runner.run(STEP, FIRST).manifests["squares"]
    assert (len(made.files), made.rows) == (3, 300)
