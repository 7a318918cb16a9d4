"""Every line of a table becomes a row of one split, a duplicate or a quarantined row, as a plain reference says."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import xxhash
from pyspark.sql import SparkSession

from pipeline.config import Config, RandomSplit
from pipeline.steps.clean_logs import raw_lines
from pipeline.steps.clean_table import CleanTable, clean_table, in_two_splits
from pipeline.steps.clean_table.images import image_rows
from pipeline.steps.clean_table.splits import thresholds, unlisted
from tests.steps.spark_settings import shuffles
from tests.steps.tables import anywhere, table_config
from tests.test_idx import idx, images, write

HEADER = "label,user,city,age,fold,at"
RANDOM = {"by": "random", "train": 0.6, "validation": 0.3, "test": 0.1, "seed": 7}
FOLDS = {"by": "column", "column": "fold", "train": ["a", "b"], "test": ["c"]}
LAST = {"by": "leave_one_out", "of": "user", "order": "at"}
KEY = {"key": "id"}


def table_lines(seed: int, rows: int = 300) -> list[str]:
    """Rows, some of them equal, some dirty."""
    rng = random.Random(seed)
    dirt = ["", "   ", "1,u1,x,3", "1,u1,x,3,a,5,7", "2,u1,x,3,a,1", ",u1,x,3,a,1", "1,,x,3,a,1", "0,u1,x,old,a,1",
            "0,u1,x,121,a,1", "0,u1,x,-1,a,1", '0,u1,"x', "1,u1,x,3,,4", "1,u1,x,3,a,soon",
            " 1 , u1 , x , 3 , a , 9"]  # fmt: skip
    lines = [
        f"{rng.randrange(2)},u{rng.randrange(40)},{rng.choice('xyz')},{rng.choice([30, 40, ''])},"
        f"{rng.choice('abc')},{rng.randrange(30)}"
        for _ in range(rows)
    ]
    return rng.sample(lines + lines[: rows // 10] + dirt, k=rows + rows // 10 + len(dirt))


def written(folder: Path, lines: Sequence[str], cuts: int = 1, header: str = HEADER) -> list[str]:
    """The lines in so many files, each with the header."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"part-{k}.csv" for k in range(cuts)]
    for k, path in enumerate(paths):
        path.write_text("\n".join([header, *lines[k::cuts]]) + "\n")
    return [str(path) for path in paths]


def cleaned(spark: SparkSession, config: Config, paths: dict[str, list[str]]) -> CleanTable:
    assert config.table is not None
    return clean_table(config, {split: raw_lines(spark, files, config.table) for split, files in paths.items()})


def rows_of(table: CleanTable) -> dict[str, list[tuple[Any, ...]]]:
    return {split: sorted(map(tuple, rows.collect())) for split, rows in table.rows.items()}


def row_id(line: str, split: str, n: int) -> str:
    """Of the n-th line of these bytes in a split."""
    content = f"{line}\n{split}\n{n}".encode()
    return f"{xxhash.xxh64_intdigest(content, 42):016x}"


class Reference:
    """The same in plain Python, over the lines in any order."""

    def __init__(self, lines: Sequence[str], split: dict[str, Any]) -> None:
        self.fates = Counter({"header": 1})
        self.rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in ("train", "validation", "test")}
        good, self.split = list[tuple[str, int, list[str]]](), split
        seen = Counter[str]()
        for line in lines:
            fate, fields = self.judge(line)
            self.fates[fate] += 1
            if fate == "kept":
                seen[line] += 1
                good.append((line, seen[line], fields))
        for line, n, fields in good:
            age = int(fields[3]) if fields[3] else None
            row = (row_id(line, "", n), *fields[:3], age, fields[4], int(fields[5]))
            self.rows[self.place(line, n, fields, good)].append(row)

    def judge(self, line: str) -> tuple[str, list[str]]:
        if not line.strip():
            return "blank", []
        if line.count('"') % 2 or line.count(",") != 5:
            return "malformed", []
        fields = [field.strip() for field in next(csv.reader([line]))]
        label, user, _, age, fold, at = fields
        if not (label and user and fold and at):
            return "missing_required", fields
        if (age and not age.lstrip("-").isdigit()) or not at.isdigit():
            return "bad_type", fields
        if age and not 0 <= int(age) <= 120:
            return "out_of_range", fields
        return ("kept" if label in "01" else "unknown_value"), fields

    def place(self, line: str, n: int, fields: list[str], good: list[tuple[str, int, list[str]]]) -> str:
        if self.split is FOLDS:
            return "test" if fields[4] == "c" else "train"
        if self.split is RANDOM:
            share = (xxhash.xxh64_intdigest(f"{line}\n7".encode(), 42) >> 11) / 2**53
            return "train" if share < 0.6 else "validation" if share < 0.9 else "test"

        def order(row: tuple[str, int, list[str]]) -> tuple[int, int, str, int]:
            hashed = xxhash.xxh64_intdigest(row[0].encode(), 42)
            return int(row[2][5]), hashed - 2**64 * (hashed >= 2**63), row[0], row[1]  # Spark's are signed

        own = sorted((row for row in good if row[2][1] == fields[1]), key=order)
        at = own.index((line, n, fields))
        return "train" if at == 0 else {1: "test", 2: "validation"}.get(len(own) - at, "train")


@pytest.mark.parametrize("split", [RANDOM, FOLDS, LAST], ids=["random", "column", "leave_one_out"])
def test_every_line_has_the_fate_the_row_and_the_split_of_the_reference(
    spark: SparkSession, tmp_path: Path, split: dict[str, Any]
) -> None:
    lines = table_lines(3)
    expected = Reference(lines, split)
    found = cleaned(spark, table_config(anywhere(split)), {"": written(tmp_path, lines)})
    rows = rows_of(found)
    assert rows == {name: sorted(expected.rows[name]) for name in rows}
    fates = Counter[str]()
    for row in found.accounting.collect():
        fates[row["fate"]] += row["lines"]
    assert fates == expected.fates
    rejected = Counter(row["rule"] for row in found.quarantine.collect())
    assert rejected == {fate: n for fate, n in fates.items() if fate not in ("kept", "blank", "header")}
    found.release()


@pytest.mark.parametrize("split", [RANDOM, LAST], ids=["random", "leave_one_out"])
def test_ids_and_splits_stay_however_files_are_cut_and_work_is_spread(
    spark: SparkSession, tmp_path: Path, split: dict[str, Any]
) -> None:
    lines, config = table_lines(4, 120), table_config(anywhere(split))
    whole = rows_of(cleaned(spark, config, {"": written(tmp_path / "one", lines)}))
    with shuffles(spark, 3):
        cut = rows_of(cleaned(spark, config, {"": written(tmp_path / "cut", lines[::-1], 3)}))
    assert cut == whole
    assert sum(map(len, whole.values())) == len({row[0] for rows in whole.values() for row in rows})


def test_equal_lines_in_two_files_of_two_splits_are_two_rows(spark: SparkSession, tmp_path: Path) -> None:
    header, line = "label,user,city,age", "1,u1,x,3"
    paths = {name: written(tmp_path / name, [line] * 2, 1, header) for name in ("train", "validation", "test")}
    rows = rows_of(cleaned(spark, table_config(), paths))
    assert {split: [row[0] for row in found] for split, found in rows.items()} == {
        split: sorted(row_id(line, split, n) for n in (1, 2)) for split in paths
    }


def test_a_key_names_the_row_and_its_second_row_is_a_duplicate(spark: SparkSession, tmp_path: Path) -> None:
    source = anywhere(FOLDS, **KEY)
    source["columns"] = source["columns"] | {"id": {"from": "id", "required": True}}
    lines = ["k1,1,u1,x,3,a,1", "k1,0,u1,x,3,b,2", "k2,1,u1,x,3,a,1", "k2,1,u1,x,3,c,1", "k3,1,u1,x,,c,1"]
    found = cleaned(spark, table_config(source), {"": written(tmp_path, lines, 1, f"id,{HEADER}")})
    first = min(lines[:2], key=lambda line: (h := xxhash.xxh64_intdigest(line.encode(), 42)) - 2**64 * (h >= 2**63))
    rows = rows_of(found)
    assert [(row[0], row[1]) for row in rows["train"]] == [("k1", first[3]), ("k2", "1")]
    assert {row["fate"] for row in found.accounting.collect()} == {"header", "kept", "duplicate"}
    assert [tuple(row) for row in in_two_splits(found.judged, "id").collect()] == [("k2", ["test", "train"])]


def test_texts_that_no_split_lists_are_found(spark: SparkSession, tmp_path: Path) -> None:
    source = anywhere({**FOLDS, "train": ["a"]})
    config = table_config(source)
    found = cleaned(spark, config, {"": written(tmp_path, ["1,u,x,3,b,1", "1,u,x,4,b,1", "1,u,x,3,a,1", "1,u,x,3,,1"])})
    assert config.table is not None
    assert [tuple(row) for row in unlisted(found.judged, config.table.split).collect()] == [("b", 2)]  # type: ignore[arg-type]


def test_dirt_of_the_census_is_no_value(spark: SparkSession, tmp_path: Path) -> None:
    """Blanks after commas, `?` for null, a line of comment, labels with a dot."""
    config = table_config(
        {"fields": ["label", "user", "city", "age"], "comment": "|", "null_values": ["?"]},
        labels={"click": {"column": "label", "positive": [">50K", ">50K."], "negative": ["<=50K", "<=50K."]}},
    )
    for name in ("train", "validation", "test"):
        lines = [">50K, u1, ?, 39", "<=50K., u2, Rome, ?", ">50K , ?, Rome, 1", "50K, u1, Rome, 3"]
        written(tmp_path / name, lines, header="|1x3 Cross validator")
    paths = {name: [str(tmp_path / name / "part-0.csv")] for name in ("train", "validation", "test")}
    found = cleaned(spark, config, paths)
    assert [row[1:] for row in rows_of(found)["test"]] in (
        [(">50K", "u1", None, 39), ("<=50K.", "u2", "Rome", None)],
        [("<=50K.", "u2", "Rome", None), (">50K", "u1", None, 39)],
    )
    told = {row["rule"]: row["detail"] for row in found.quarantine.collect()}
    assert told == {
        "missing_required": "user is missing",
        "unknown_value": "label click: label = 50K is not one of ['>50K', '>50K.', '<=50K', '<=50K.']",
    }
    assert {row["fate"]: row["lines"] for row in found.accounting.where("split = 'test'").collect()} == {
        "comment": 1, "kept": 2, "missing_required": 1, "unknown_value": 1,
    }  # fmt: skip


def test_images_are_rows_with_their_bytes_and_their_label(spark: SparkSession, tmp_path: Path) -> None:
    digit = {"label": {"from": "label", "type": "int", "required": True}}
    split = {"by": "file", "train": {"images": "a", "labels": "b"}, "test": {"images": "c", "labels": "d"}}
    config = table_config(
        {"format": "idx", "shape": [2, 3], "columns": digit, "split": split},
        datasets={"rows": "clicks"}, vocabularies={}, labels={"click": {"column": "label", "classes": 10}},
        features={"context": {"x": {"image": "image"}}},
    )  # fmt: skip
    pair = write(
        tmp_path, idx(300, 2, 3, content=images(300)), idx(300, content=bytes(k % 11 for k in range(300))), ".gz"
    )
    from pipeline.steps.clean_logs.lines import RawLines

    found = clean_table(config, {name: RawLines(image_rows(spark, [pair], (2, 3))) for name in ("train", "test")})
    kept = [(images(300)[6 * k : 6 * k + 6], k % 11) for k in range(300) if k % 11 < 10]
    for rows in rows_of(found).values():
        assert sorted((bytes(image), label) for _, image, label in rows) == sorted(kept)
    assert {row["rule"] for row in found.quarantine.collect()} == {"unknown_value"}
    assert sorted(bytes(row["line"]) for row in found.quarantine.where("detail is not null").collect()) == sorted(
        2 * [images(300)[6 * k : 6 * k + 6] for k in range(10, 300, 11)]
    )


def test_shares_are_whole_numbers_of_a_lot() -> None:
    split = RandomSplit(by="random", train=0.8, test=0.2)
    assert thresholds(split) == {"train": round(0.8 * 2**53), "test": 2**53}
