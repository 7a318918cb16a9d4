"""A user is gone from everything, everybody else is as before, and the road goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline.compaction import compact
from pipeline.config import Config
from pipeline.days import add_days
from pipeline.errors import ConfigError, Refused
from pipeline.forget.forgetting import LOG, Forgetting, Forgotten
from pipeline.forget.journal import JOURNAL
from pipeline.pii import keyed_hash
from pipeline.road import CLEAN, VOCAB
from pipeline.runner import Runner
from pipeline.schemas import TOMBSTONE
from pipeline.storage import LocalFiles, Warehouse, read_manifest
from pipeline.tables import content_digest
from tests.forget.product import HIM, KEY, build, config_in, datasets, deliver, places, tasks, texts
from tests.steps.rows import FIRST

VALUE = keyed_hash(KEY.encode(), HIM)
SECOND = add_days(FIRST, 1)
Rows = dict[Any, list[dict[str, Any]]]


@dataclasses.dataclass
class Case:
    """The product before (its files) and after."""

    config: Config
    before: Rows
    raw: dict[str, bytes]
    kept: Path
    dry: Forgotten
    done: Forgotten


@pytest.fixture(scope="module")
def case(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("forget")
    config = config_in(folder)
    build(config, spark)
    kept = tmp_path_factory.mktemp("kept") / "w"
    shutil.copytree(folder / "w", kept)
    before, raw = datasets(config), raw_files(config)
    dry = Forgetting(config, spark, HIM).dry_run()
    assert raw_files(config) == raw and datasets(config) == before
    done = Forgetting(config, spark, HIM).run()
    yield Case(config, before, raw, kept, dry, done)


def raw_files(config: Config) -> dict[str, bytes]:
    root = Path(Warehouse.of(config).path("raw"))
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def lines(content: bytes, name: str) -> list[bytes]:
    return (gzip.decompress(content) if name.endswith(".gz") else content).split(b"\n")


def his(row: dict[str, Any]) -> bool:
    return any(text in (VALUE, f"user_id={VALUE}") or HIM in text.replace("u30", "") for text in texts(row))


def test_no_byte_says_anything_of_him(case: Case) -> None:
    root = Path(Warehouse.of(case.config).path())
    assert len(places(case.kept, HIM, VALUE)) > 20
    assert places(root, HIM, VALUE) == []
    assert not (root / JOURNAL).exists()


def test_lines_of_others_stay_byte_for_byte(case: Case) -> None:
    after = raw_files(case.config)
    assert after.keys() == case.raw.keys()
    removed = 0
    for name, content in case.raw.items():
        kept = [line for line in lines(content, name) if b'"u3"' not in line]
        assert lines(after[name], name) == kept
        removed += len(lines(content, name)) - len(kept)
        assert (after[name] == content) == (b'"u3"' not in b"".join(lines(content, name))), "others are not touched"
    told = sum(int(rows) for what, _, rows in case.done.table if what.startswith("raw/"))
    assert removed == told > 50


def test_rows_of_others_stay(case: Case) -> None:
    after = datasets(case.config)
    assert after.keys() == case.before.keys()
    whole = ("events", "attributes", "quarantine", "examples", "daily", "rooms")
    for (name, day), rows in case.before.items():
        kept = [row for row in rows if not his(row)]
        if name.startswith(whole) or name in ("profiles/user", "vocab/item_id"):
            assert Counter(map(str, after[name, day])) == Counter(map(str, kept)), name
        if name != "statistics":
            assert not Counter(map(str, kept)) - Counter(map(str, after[name, day])), name
    assert any(len(after[place]) < len(rows) for place, rows in case.before.items() if place[0] == "daily/item")


def test_statistics_keep_counts_and_lose_what_names_him(case: Case) -> None:
    """The ends of a column of keys go where they are an event of his: its id may be made of who he is."""
    after, blanked = datasets(case.config), 0
    own = {row["event_id"] for (name, _), rows in case.before.items() if name == "events" for row in rows if his(row)}
    for old, new in zip(case.before["statistics", FIRST], after["statistics", FIRST], strict=True):
        ends = {end: None if old[end] == VALUE or (old["kind"] == "key" and old[end] in own) else old[end]
                for end in ("min", "max")}  # fmt: skip
        assert new == {**old, **ends, "top": [one for one in old["top"] if one["value"] != VALUE]}
        blanked += new != old
    assert blanked >= 2


def test_the_table_counts_what_was_his(case: Case) -> None:
    assert case.dry == case.done
    told = {(what, where): int(rows) for what, where, rows in case.done.table if not what.startswith(("raw", "rep"))}
    found = {
        (name, str(day)): count
        for (name, day), rows in case.before.items()
        if (count := sum(map(his, rows))) and name != "statistics"
    }
    assert {place: rows for place, rows in told.items() if place[0] != "statistics"} == found


def test_sums_of_items_keep_his_counts_and_their_arrays_lose_him(case: Case) -> None:
    after, seen = datasets(case.config), 0
    for day in (FIRST, SECOND):
        for old, new in zip(*(sorted(one["profiles/item", day], key=str) for one in (case.before, after)), strict=True):
            assert old["distinct_user_id_count_enter_7d"] == new["distinct_user_id_count_enter_7d"]
            for name, value in old.items():
                if isinstance(value, list):
                    assert new[name] == [entry for entry in value if entry["key"] != VALUE]
                    seen += len(value) - len(new[name])
                elif isinstance(value, dict):
                    assert new[name] == (None if value["key"] == VALUE else value)
    assert seen > 0


def test_a_tombstone_keeps_his_id(case: Case) -> None:
    after = datasets(case.config)
    for day in (FIRST, SECOND):
        old, new = ({row["id"]: row for row in one["vocab/user_id", day]} for one in (case.before, after))
        assert old.keys() == new.keys()
        (taken,) = [id_ for id_ in old if old[id_]["value"] == VALUE]
        assert new[taken] == {**old[taken], "value": f"{TOMBSTONE}{taken}", "count": 0}
        assert all(new[id_] == old[id_] for id_ in old if id_ != taken)


def test_every_step_is_skipped_and_its_day_is_not_refused(case: Case, spark: SparkSession) -> None:
    runner = Runner(case.config, spark)
    assert all(runner.run(step, day).skipped for step, day in tasks())
    manifest = read_manifest(runner.warehouse.folder("events", SECOND))
    kept = manifest.extra["accounting"]["events"]["kept"]
    assert kept == manifest.rows + manifest.extra["forgotten_rows"]


def test_nothing_is_left_to_do(case: Case, spark: SparkSession) -> None:
    before = datasets(case.config)
    assert Forgetting(case.config, spark, HIM).run() == Forgotten([], [])
    assert datasets(case.config) == before
    (line,) = Path(Warehouse.of(case.config).path(LOG)).read_text().splitlines()
    assert json.loads(line)["taken_out"]["events"] > 50


def test_the_next_day_runs_and_gives_his_id_to_nobody(case: Case, spark: SparkSession) -> None:
    """The users of a day would be numbered alike if it were built again; he is somebody new when he comes back."""
    runner, third = Runner(case.config, spark), add_days(FIRST, 2)
    for day in (FIRST, SECOND):
        again = runner.plan(VOCAB, day).output.tables["vocab/user_id"]
        published = read_manifest(runner.warehouse.folder("vocab/user_id", day))
        assert content_digest(again) == (published.rows, published.content_digest)
    deliver(case.config, third)
    for step in (CLEAN, VOCAB):
        runner.run(step, third)
    known = {row["value"]: row["id"] for row in datasets(case.config)["vocab/user_id", third]}
    (stone,) = [value for value in known if value.startswith(TOMBSTONE)]
    assert known[VALUE] == max(known.values()) > known[stone]
    assert sorted(known.values()) == list(range(3, 3 + len(known)))


def copied(case: Case, folder: Path) -> Config:
    shutil.copytree(case.kept, folder / "w")
    return case.config.model_copy(
        update={"product": case.config.product.model_copy(update={"warehouse": str(folder / "w")})}
    )


def told(done: Forgotten) -> list[list[str]]:
    return [[what, where.rpartition("/raw/")[2], rows] for what, where, rows in done.table]


class Killed(BaseException):
    """Nobody catches it."""


def test_killed_anywhere_it_goes_on(
    case: Case, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write, removal and renaming is the last one of a process, a few later each time, until all is done."""
    config, left = copied(case, tmp_path), 0
    for name in ("write_atomic", "remove", "rename_new"):
        original = getattr(LocalFiles, name)

        def dying(self: LocalFiles, *arguments: Any, _original: Any = original) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return _original(self, *arguments)

        monkeypatch.setattr(LocalFiles, name, dying)
    allowed, killed, done = [4, 30, 25, 10**6], 0, None
    for budget in allowed:
        left = budget
        try:
            done = Forgetting(config, spark, HIM).run()
        except Killed:
            killed += 1
            with pytest.raises(Refused, match="a user is being forgotten"):
                Runner(config, spark).run(VOCAB, FIRST)
    assert killed == len(allowed) - 1 and done is not None and told(done) == told(case.done)
    as_before = datasets(case.config)
    for place, rows in datasets(config).items():
        assert sorted(map(str, rows)) == sorted(map(str, as_before[place])), place
    assert places(tmp_path, HIM, VALUE) == []
    runner = Runner(config, spark)
    assert all(runner.run(step, day).skipped for step, day in tasks())


def test_an_unfinished_forgetting_stops_other_jobs(case: Case, spark: SparkSession, tmp_path: Path) -> None:
    config = copied(case, tmp_path)
    begun = Forgetting(config, spark, HIM)
    begun._begin(begun._find())
    with pytest.raises(Refused, match="another user's forgetting was interrupted"):
        Forgetting(config, spark, "u1")
    with pytest.raises(Refused, match="type the same command again"):
        compact(config, spark, "events", FIRST)


def test_what_cannot_be_found_is_told(case: Case, spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--user needs an id"):
        Forgetting(case.config, spark, "  ")
    other = tmp_path / "key"
    other.write_text("another secret of the tests")
    changed = case.config.clean.model_copy(update={"pii_key_file": str(other)})
    with pytest.raises(Refused, match="was hashed with another key"):
        Forgetting(case.config.model_copy(update={"clean": changed}), spark, HIM)
