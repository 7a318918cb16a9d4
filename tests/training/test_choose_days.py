"""Which days teach, which judge, and what is said where one of them is not there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.errors import MissingInput
from pipeline.storage import Warehouse
from pipeline.training.choose_days import example_folders, training_days, vocabulary_day, vocabulary_folders
from tests.training.published_days import DAYS, publish_vocabulary, small_config, small_product


def january(*days: int) -> list[date]:
    return [date(2026, 1, day) for day in days]


def test_the_last_days_judge_what_the_days_before_taught() -> None:
    config = small_config(days=6, evaluation_days=2)
    assert training_days(config, date(2026, 1, 8)) == (january(1, 2, 3, 4, 5, 6), january(7, 8))
    assert training_days(config, date(2026, 1, 20)) == (january(13, 14, 15, 16, 17, 18), january(19, 20))


def test_a_young_product_teaches_from_its_first_day_on() -> None:
    config = small_config(days=6, evaluation_days=2)
    assert training_days(config, date(2026, 1, 3)) == (january(1), january(2, 3))
    with pytest.raises(MissingInput, match=r"first day with a model is 2026-01-03: make train DT=2026-01-03"):
        training_days(config, date(2026, 1, 2))


def test_folders_are_in_the_order_of_the_days(tmp_path: Path) -> None:
    warehouse = small_product(tmp_path)
    found = example_folders(small_config(), warehouse, DAYS[1:3])
    assert [Path(folder).name for folder in found] == ["dt=2026-01-02", "dt=2026-01-03"]


def test_missing_days_are_named_with_the_command(tmp_path: Path) -> None:
    wanted = r"examples/enter/dt=2026-01-02, examples/enter/dt=2026-01-03.*make backfill FROM=2026-01-02 TO=2026-01-03"
    with pytest.raises(MissingInput, match=wanted):
        example_folders(small_config(), Warehouse(str(tmp_path), "live"), january(2, 3))


def test_the_vocabulary_is_that_of_the_day_before_the_newest_training_rows() -> None:
    assert vocabulary_day(small_config(), january(5, 6)) == date(2026, 1, 5)
    assert vocabulary_day(small_config(), january(1)) is None


def test_missing_vocabularies_are_named_with_the_command(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path), "live")
    publish_vocabulary(warehouse, "item_id", DAYS[0], ["a"])
    assert vocabulary_folders(small_config(), warehouse, ["item_id"], DAYS[0]) == {
        "item_id": warehouse.folder("vocab/item_id", DAYS[0])
    }
    with pytest.raises(MissingInput, match=r"needs vocab/user_id/dt=2026-01-01, which.*make day DT=2026-01-01"):
        vocabulary_folders(small_config(), warehouse, ["item_id", "user_id"], DAYS[0])
    assert vocabulary_folders(small_config(), warehouse, ["item_id", "user_id"], None) == {}
