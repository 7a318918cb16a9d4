"""The day's page says how its data looks: the verdict first, and the numbers that the statistics hold."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.report import write_page
from pipeline.storage import Warehouse
from tests.statistics.published_statistics import FIRST, Row, product, publish, row

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
DAY = FIRST + timedelta(3)
EXAMPLES = "examples/enter"


def rows_of(scenes: str, delays: list[float], unknown: int = 10) -> list[Row]:
    """A day of two thousand events and examples."""
    return [
        row("events", "event_id", "key", list(range(2000))),
        row("events", "scene", "category", list(scenes) * 500),
        row("events", "duration_ms", "number", [float(n) for n in range(2000)]),
        row(EXAMPLES, "example_id", "key", list(range(2000))),
        row(EXAMPLES, "user_city", "id", [2] * unknown + [None] * 100 + [3] * (1900 - unknown)),
        row(EXAMPLES, "known_after_s_enter", "number", delays),
    ]


@pytest.fixture
def written(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """Page and numbers of a day whose scenes changed, after three ordinary ones."""
    config = product(tmp_path)
    warehouse = Warehouse.of(config)
    for number in range(3):
        publish(warehouse, FIRST + timedelta(number), rows_of("aab<", [1.5] * 40 + [100.0] * 60))
    publish(warehouse, DAY, rows_of("abb<", [1.5] * 10 + [20.0] * 10 + [3000.0] * 60, unknown=50))
    page = Path(write_page(config, warehouse, DAY, {}))
    return page.read_text("utf-8"), json.loads((page.parent / "numbers.json").read_bytes())["quality"]


class Cells(HTMLParser):
    """Texts of table cells, row by row, and every element that was not closed."""

    VOID = ("meta", "br", "use", "path")

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.rows[-1][-1] += data


def test_the_verdict_stands_first_and_every_number_on_the_page(written: tuple[str, dict[str, Any]]) -> None:
    page, _ = written
    cells = Cells()
    cells.feed(page)
    assert (cells.faults, cells.open) == ([], [])
    assert page.index("Verdict") < page.index("Rows of the day") < page.index("Drift") < page.index("What became of")
    assert 'Verdict: <span class="refused">refused</span>' in page
    assert ["events", "1", "1", "+0.0%"] in cells.rows, "rows of a dataset are those of its manifest"
    drift = [row for row in cells.rows if len(row) == 9 and row[0] in ("fail", "warn", "same")]
    assert drift[0][:4] == ["fail", EXAMPLES, "known_after_s_enter", "psi"] or drift[0][2] == "scene"
    assert [row[0] for row in drift] == sorted((row[0] for row in drift), key=["fail", "warn", "same"].index)
    (city,) = [row for row in cells.rows if row[1:2] == ["user_city"] and row[2:3] == ["id"]]
    assert city[3:8] == ["5.00%", "+0.00%", "2.50%", "+2.00%", "2"]


def test_the_numbers_beside_the_page(written: tuple[str, dict[str, Any]]) -> None:
    _, found = written
    verdict = found["verdict"]
    assert (verdict["outcome"], verdict["reference_days"]) == (
        "refused", [str(FIRST + timedelta(n)) for n in range(3)],
    )  # fmt: skip
    (label,) = found["labels"]
    after, known, before = (dict(zip(label["after_s"], label[key], strict=True)) for key in
                            ("after_s", "known", "known_before"))  # fmt: skip
    assert list(after)[:6] == [1, 1.25, 1.5, 1.75, 2, 2.5] and list(after)[-1] == 600, "up to when the label is final"
    assert (known[1.5], known[1.75], known[20], known[24], known[600]) == (0, 0.125, 0.125, 0.25, 1)
    assert (before[96], before[112]) == (0.4, 1.0)
    drawn = {one["name"]: one["groups"] for one in found["histograms"]}
    assert drawn["events.scene"] == [
        {"name": "'a'", "reference": 0.5, "day": 0.25}, {"name": "'<'", "reference": 0.25, "day": 0.25},
        {"name": "'b'", "reference": 0.25, "day": 0.5},
    ]  # fmt: skip


def test_pictures_are_whole_and_take_the_page_s_colours(written: tuple[str, dict[str, Any]]) -> None:
    page, found = written
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == len(found["histograms"]) + len(found["labels"]) + 1, "and the label by day"
    for picture in pictures:
        xml.etree.ElementTree.fromstring(picture)
        assert "currentColor" in picture and "var(--line)" in picture
        assert "#000000" not in picture, "black would not be seen in the dark"


def test_a_day_without_statistics_says_so(tmp_path: Path) -> None:
    page = Path(write_page(product(tmp_path), Warehouse(str(tmp_path), "live"), DAY, {})).read_text("utf-8")
    assert "not judged</span>" in page and "the day has no statistics" in page
