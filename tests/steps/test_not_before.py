"""What happened before a source's `not_before` is counted, and otherwise not there."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from pathlib import Path

from pyspark.sql import SparkSession

from pipeline.config import load_config
from pipeline.config.explain import explain
from pipeline.days import add_days, day_start_us
from pipeline.steps.clean_logs import arrivals, clean_logs, raw_lines

CONF = Path(__file__).parents[2] / "conf" / "movielens.toml"


def test_older_lines_have_a_fate_of_their_own_and_every_line_has_one(spark: SparkSession, tmp_path: Path) -> None:
    """Ratings of all years, two of them on the last midnight before; on the days of the run all is as without it."""
    config = load_config(CONF, ["clean.budgets={}"])
    source, first = config.sources["ratings"], config.product.first_day
    assert source.not_before == add_days(first, -config.clean.lookback_days)
    begin = day_start_us(source.not_before, config.product.zone) // 1_000_000
    old, young = (
        [0, 851_527_569, begin - 86_400, begin - 1],
        [begin, begin + 86_400, begin + 2 * 86_400, begin + 3 * 86_400],
    )
    times = [*old, *young]
    lines = [f"{n},{n},4.0,{time}" for n, time in enumerate(times)]
    lines += [f"90,90,11.0,{old[1]}", f"91,91,11.0,{young[0]}", "92,92,4.0,soon", "no rating"]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines, "", ""]))
    raw = raw_lines(spark, [str(path)], source)
    arrived = {row["source_file"]: row["last"] for row in arrivals(config, source, raw).collect()}
    raw = dataclasses.replace(raw, arrived=arrived)

    def fates(day: datetime.date) -> Counter[str]:
        cleaned = clean_logs(config, day, {"ratings": raw}, {}, None)
        found = Counter({row["fate"]: row["lines"] for row in cleaned.accounting.collect()})
        quarantined = cleaned.quarantine.count()
        assert quarantined == sum(
            n for fate, n in found.items() if fate not in ("kept", "not_before", "blank", "header")
        )
        cleaned.release()
        return found

    days = [fates(add_days(first, n)) for n in range(2)]
    assert days[0] == {"not_before": len(old) + 1, "kept": 3, "missing_required": 1}, "no rule is asked of old lines"
    assert days[1] == {"kept": 1, "bad_type": 1, "malformed": 1, "header": 1, "blank": 1}
    assert sum((days[0] + days[1]).values()) == 1 + len(lines) + 1


def test_it_is_told() -> None:
    assert "What happened before 2017-06-19 is only counted." in explain(load_config(CONF))
