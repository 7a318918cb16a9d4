"""The page: every number on it, nothing from outside, nothing unescaped, and a message where a package is absent."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.report import write_page
from pipeline.storage import Warehouse
from tests.report.report_cases import DAYS, fill, product

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(str(tmp_path), "live")


def written(warehouse: Warehouse, **extra: object) -> str:
    """The page of the second day."""
    return Path(write_page(product(), warehouse, DAYS[1], extra)).read_text("utf-8")


class Links(HTMLParser):
    """Everything that a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetching = ("src", "href", "xlink:href", "srcset", "data")
        fetched = [f"{name}={value}" for name, value in attrs if name in fetching]
        self.found += [entry for entry in fetched if not entry.split("=")[1].startswith("#")]
        self.found += [tag] if tag in ("script", "link", "iframe", "b") else []


def test_the_page_shows_accounting_labels_model_gate_and_seconds(warehouse: Warehouse) -> None:
    fill(warehouse)
    page = written(warehouse, baseline_auc=0.7012, seconds_by_step={"clean_logs": 12.5})
    assert "191 lines read = 170 kept" in page
    for cell in ("25.000%", "0.7123", "0.7012", "0.7800", "12.5", "at least"):
        assert f">{cell}<" in page
    assert "malformed</td><td>3</td><td>7</td><td>10" in page
    assert page.count("<svg") == 5
    assert ">75.8%<" in page


def test_the_numbers_beside_it_are_those_of_the_datasets(warehouse: Warehouse) -> None:
    fill(warehouse)
    written(warehouse)
    numbers = json.loads(Path(warehouse.folder("reports", DAYS[1]), "numbers.json").read_bytes())
    assert numbers["accounting"]["2026-01-02"]["events"]["malformed"] == 7
    assert numbers["label_rates"] == [{"day": str(day), "rows": 4, "rate": 0.25} for day in DAYS]
    assert numbers["model"]["curve"] == [{"step": 0, "loss": 0.7}, {"step": 1, "loss": 0.5}]
    assert numbers["model"]["artifact"] == "live/models/wide_deep/2026010101"


def test_nothing_is_fetched_and_nothing_is_run(warehouse: Warehouse) -> None:
    fill(warehouse)
    links = Links()
    links.feed(written(warehouse))
    assert links.found == []


def test_names_from_the_data_are_escaped(warehouse: Warehouse) -> None:
    fill(warehouse, extra={'<script>alert("$x$")</script>': 3})
    page = written(warehouse)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "nothing &lt;b&gt;in service&lt;/b&gt;" in page
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        xml.etree.ElementTree.fromstring(picture)


def test_no_path_of_this_machine_is_on_the_page(warehouse: Warehouse) -> None:
    fill(warehouse)
    assert warehouse.root not in written(warehouse)


def test_equal_numbers_give_equal_pages(warehouse: Warehouse) -> None:
    fill(warehouse)
    assert written(warehouse) == written(warehouse)


def test_an_empty_product_has_a_page(warehouse: Warehouse) -> None:
    page = written(warehouse)
    assert "No model was trained yet." in page
    assert "No examples were built." in page


def test_days_after_the_page_are_not_on_it(warehouse: Warehouse) -> None:
    fill(warehouse)
    page = Path(write_page(product(), warehouse, DAYS[0], {})).read_text("utf-8")
    assert "99 lines read = 90 kept" in page


@pytest.mark.parametrize("absent", ["jinja2", "matplotlib"])
def test_without_a_package_the_page_says_what_to_install(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    fill(warehouse)
    monkeypatch.setitem(sys.modules, absent, None)
    page = written(warehouse)
    assert absent in page and "pip install" in page and "tsrank[report]" in page
    assert Path(warehouse.folder("reports", DAYS[1]), "numbers.json").exists()
