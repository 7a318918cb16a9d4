"""The runners of `make prove` and `make bench`: what a part printed is kept, an unknown part is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks.measuring.table import Row, markdown
from tests.prove import __main__ as prove


def test_a_table_reads_as_markdown() -> None:
    rows: list[Row] = [{"what": "numpy", "median_s": 0.123456, "runs": 15}]
    assert markdown(rows) == "| what | median_s | runs |\n| --- | --- | --- |\n| numpy | 0.1235 | 15 |"


def test_a_part_that_cannot_run_fails_and_its_printout_is_kept(tmp_path: Path) -> None:
    assert prove.run_part("no_such_part", tmp_path) != 0
    kept = (tmp_path / "no_such_part.txt").read_text(encoding="utf-8").splitlines()
    assert "No module named tests.prove.no_such_part" in kept[-2]
    assert kept[-1].startswith("exit code 1 after")


def test_an_unknown_part_is_refused_with_the_names_of_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["nothing"]) == 2
    assert benchmarks.main(["nothing"]) == 2
    said = capsys.readouterr().err
    assert "no part nothing; the parts are: " in said
    assert "set_up" in said
    assert "python_start" in said
