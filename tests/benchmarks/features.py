"""The data road: a line cleaned beside the bare path on the same lines, and what a line costs as there are more."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyspark.sql import DataFrame

from pipeline import road
from pipeline.config import Config, load_config
from pipeline.days import add_days
from pipeline.demonstration import simulate_logs
from pipeline.runner import Runner
from pipeline.session import build_session
from pipeline.step import Step
from pipeline.storage import Warehouse, data_files, read_manifest
from tests.benchmarks.measuring.alternate import ROOT, answer_of
from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import Measured, Row

LINES_A_USER, USERS_A_STREAMER = 43, 4
TIMES = (0.25, 1, 4)
"""How many lines there are of a day, as multiples of what is asked for."""
DAY_BEFORE = (road.CLEAN, road.DAILY, road.PROFILES, road.VOCAB)
"""What the measured day reads of the one before."""
BARE, RULES, WHOLE = "bare path", "clean: rules, quarantine, duplicates", "clean: with bots, layout and checksums"
STEPS = {WHOLE: (road.CLEAN,), "daily + profiles": (road.DAILY, road.PROFILES), "examples": (road.EXAMPLES,)}


def measure(settings: Settings) -> Measured:
    """A row a size and side: median seconds of `repeats` alternating turns in one warm session; microseconds a line,
    beside those of the smallest size; and the ratio to the bare path."""
    command = [sys.executable, "-m", "tests.benchmarks.features", "--lines", str(settings.lines)]
    seconds = answer_of([*command, "--repeats", str(settings.repeats)])["seconds"]
    medians = {lines: {side: statistics.median(turns) for side, turns in of.items()} for lines, of in seconds.items()}
    smallest = min(medians, key=int)
    rows: list[Row] = []
    for lines, sides in medians.items():
        for side, median in sides.items():
            first = medians[smallest][side] / int(smallest)
            rows.append(
                {
                    "lines": int(lines),
                    "side": side,
                    "median_s": median,
                    "us_a_line": 1e6 * median / int(lines),
                    "of_smallest": median / int(lines) / first,
                    "of_bare": median / sides[BARE],
                }
            )
    return Measured(rows, seconds)


class Size:
    """A product of two simulated days; the second is what is measured, as often as one likes."""

    def __init__(self, folder: Path, lines: int) -> None:
        users = max(240, round(lines / LINES_A_USER))
        settings = [
            f"product.warehouse={folder / str(lines)}", "simulate.days=2", f"simulate.users={users}",
            f"simulate.streamers={max(160, users // USERS_A_STREAMER)}",
        ]  # fmt: skip
        config = load_config(ROOT / "conf" / "live.toml", settings)
        self._spark = build_session("features")
        self._runner, self._plain = Runner(config, self._spark), Runner(_without_bots(config), self._spark)
        self._warehouse, self._scratch = Warehouse.of(config), folder / "scratch"
        self._day = add_days(config.product.first_day, 1)
        simulate_logs(config, self._warehouse, self._spark)
        for step in DAY_BEFORE:
            self._runner.run(step, config.product.first_day)
        self.lines = read_manifest(self._warehouse.folder("raw/events", self._day)).rows

    def sides(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is measured of this size, in the order in which one reads what the other wrote."""
        yield BARE, self._bare
        yield RULES, self._rules
        for side, steps in STEPS.items():
            yield side, lambda steps=steps: self._anew(steps)  # type: ignore[misc]

    def _bare(self) -> None:
        """What anybody would type: a schema, one row an id, Parquet."""
        columns = self._runner.config.sources["events"].columns
        types = {"int": "bigint", "long": "bigint"}
        schema = ", ".join(f"{column.source} {types.get(column.type, 'string')}" for column in columns.values())
        files = data_files(self._warehouse.folder("raw/events", self._day))
        lines = self._spark.read.schema(schema).json(files)
        _write(lines.dropDuplicates([str(columns["event_id"].source)]), self._scratch)

    def _rules(self) -> None:
        output = self._plain.plan(road.CLEAN, self._day).output
        output.accept()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: _write(output.tables[name], self._scratch / name), output.tables))
        output.release()

    def _anew(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            for dataset in step.writes(self._runner.config):
                shutil.rmtree(self._warehouse.folder(dataset.name, self._day), ignore_errors=True)
        for step in steps:
            self._runner.run(step, self._day)


def _write(table: DataFrame, folder: Path) -> None:
    table.write.mode("overwrite").parquet(str(folder))


def _without_bots(config: Config) -> Config:
    return config.model_copy(update={"clean": config.clean.model_copy(update={"bots": None})})


def main(arguments: list[str]) -> int:
    """Measure in this process and print one JSON line: seconds by lines and side."""
    parser = argparse.ArgumentParser(prog="features", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=Settings.lines, help="of the middle size, a day")
    parser.add_argument("--repeats", type=int, default=Settings.repeats)
    parser.add_argument("--times", type=float, nargs="+", default=TIMES, help="the sizes, as multiples of --lines")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="features-") as folder:
        sizes = [Size(Path(folder), round(asked.lines * times)) for times in asked.times]
        seconds = _in_turns(sizes, asked.repeats)
    print(json.dumps({"seconds": seconds}))
    return 0


def _in_turns(sizes: list[Size], repeats: int) -> dict[int, dict[str, list[float]]]:
    """The first turn, of the smallest size alone, only warms the session."""
    for _, work in sizes[0].sides():
        work()
    seconds: dict[int, dict[str, list[float]]] = {size.lines: {} for size in sizes}
    for turn in range(repeats):
        for size in sizes[:: -1 if turn % 2 else 1]:
            for side, work in size.sides():
                start = time.perf_counter()
                work()
                seconds[size.lines].setdefault(side, []).append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
