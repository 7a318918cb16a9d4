"""Every row once an epoch, in an order that neither the number of ranks nor an interruption changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DamagedData, MissingInput
from pipeline.loader import Loader, Step, windows
from tests.loader.published import SPECS, publish, publish_rows, rows

LAYOUTS = {
    "many groups": ([70, 33, 50], 16),
    "one group": ([97], 1000),
    "tiny files": ([1, 2, 1, 5, 3, 1], 2),
    "an empty file": ([20, 0, 11], 8),
    "fewer rows than a batch": ([5], 3),
    "whole batches": ([48], 24),
}
BATCH, SHARDS = 24, 4


def loader(folder: str, **more: object) -> Loader:
    settings: dict[str, object] = {"batch_size": BATCH, "shards": SHARDS, "seed": 7, "window_row_groups": 3, **more}
    return Loader([folder], SPECS, "label_enter", **settings)  # type: ignore[arg-type]


def assembled(ranks: list[Iterator[Step]]) -> list[tuple[float, list[int]]]:
    """(weight sum, users of the global batch in place order, -1 for padding) of every step, from all ranks together."""
    found = []
    for parts in zip(*ranks, strict=True):
        assert len({(part.index, part.weight_sum) for part in parts}) == 1
        shards = {k: batch for part in parts for k, batch in part.shards}
        assert sorted(shards) == list(range(SHARDS))
        users = [np.where(shards[k]["weight"] > 0, shards[k]["user_id"], -1) for k in range(SHARDS)]
        assert [len(part) for part in users] == [BATCH // SHARDS] * SHARDS
        found.append((parts[0].weight_sum, np.concatenate(users).tolist()))
    return found


def epoch(found: Loader, world: int, number: int = 0, start: int = 0) -> list[tuple[float, list[int]]]:
    return assembled([found.steps(number, rank, world, start) for rank in range(world)])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("world", [1, 2, 3, 4, 5, 6, 7])
def test_every_row_comes_once_in_the_same_order_for_any_world(tmp_path: Path, layout: str, world: int) -> None:
    sizes, row_group = LAYOUTS[layout]
    found = loader(publish_rows(tmp_path / "d", sizes, row_group))
    steps = epoch(found, world)
    seen = [user for _, users in steps for user in users if user >= 0]
    assert sorted(seen) == list(range(sum(sizes)))
    assert len(steps) == found.steps_per_epoch == -(-sum(sizes) // BATCH)
    assert steps == epoch(found, 1)


def test_the_weight_sum_is_that_of_the_rows_and_padding_weighs_nothing(tmp_path: Path) -> None:
    sizes, row_group = LAYOUTS["many groups"]
    for weight_sum, users in epoch(loader(publish_rows(tmp_path / "d", sizes, row_group)), 2):
        assert weight_sum == sum(1 + user % 3 for user in users if user >= 0)
    assert users[-1] == -1


def test_padding_rows_are_zero_in_every_input(tmp_path: Path) -> None:
    (step,) = loader(publish_rows(tmp_path / "d", [5], 3)).steps(0, 0, 1)
    last = step.shards[-1][1]
    assert set(last) == {"user_id", "amount", "ctr__num", "ctr__den", "recent", "recent__length", "label", "weight"}
    assert not any(values.any() for values in last.values())


@pytest.mark.parametrize("start", [1, 3, 6])
def test_an_interrupted_epoch_goes_on_with_another_world(tmp_path: Path, start: int) -> None:
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]))
    assert epoch(found, 2)[:start] + epoch(found, 3, start=start) == epoch(found, 1)


def test_the_order_depends_on_seed_and_epoch(tmp_path: Path) -> None:
    folder = publish_rows(tmp_path / "d", *LAYOUTS["many groups"])
    orders = [epoch(loader(folder, seed=seed), 1, number) for seed, number in [(7, 0), (7, 1), (8, 0)]]
    assert orders[0] == epoch(loader(folder), 1)
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    assert orders[0][0][1] != sorted(orders[0][0][1])


def test_what_a_row_says_comes_with_it(tmp_path: Path) -> None:
    """Every input of every row, computed again from the row's number."""
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]))
    batches = [batch for step in found.steps(0, 1, 2) for _, batch in step.shards]
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    whole = {name: values[whole["weight"] > 0] for name, values in whole.items()}
    n = whole["user_id"]
    assert len(n) > 50
    np.testing.assert_array_equal(whole["label"], n % 2)
    np.testing.assert_array_equal(whole["amount"], np.where(n % 4 == 0, np.nan, n * 0.5).astype(np.float32))
    np.testing.assert_array_equal(whole["ctr__num"], np.where(n % 5 == 0, 0, n))
    np.testing.assert_array_equal(whole["ctr__den"], 2 * n)
    lists = [list(range(i, i + i % 5))[-3:] for i in n.tolist()]
    assert whole["recent"].tolist() == [[*values, 0, 0, 0][:3] for values in lists]
    assert whole["recent__length"].tolist() == [len(values) for values in lists]
    dtypes = {name: values.dtype.name for name, values in whole.items()}
    assert {dtypes[name] for name in ("user_id", "recent", "recent__length")} == {"int32"}
    assert {dtypes[name] for name in ("amount", "ctr__num", "ctr__den", "label", "weight")} == {"float32"}


def test_in_order_gives_the_sequence(tmp_path: Path) -> None:
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]))
    parts = list(found.in_order(["example_id", "money", "event_time"], rows=10))
    assert max(len(batch["label"]) for batch, _ in parts) == 10
    assert np.concatenate([batch["user_id"] for batch, _ in parts]).tolist() == list(range(found.rows))
    assert [name for _, more in parts for name in more["example_id"]] == [f"e{n}" for n in range(found.rows)]
    money = [value for _, more in parts for value in more["money"].tolist()]
    assert money == [None if n % 7 == 0 else 2**53 + 1 + n for n in range(found.rows)]
    assert parts[-1][1]["event_time"][-1] == (found.rows - 1) * 1_000_000


def test_in_order_leaves_out_what_is_too_early(tmp_path: Path) -> None:
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]), from_us=100_000_000)
    assert np.concatenate([batch["user_id"] for batch, _ in found.in_order()]).tolist() == list(range(100, found.rows))


def test_nothing_before_the_start_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]))
    read = _watch(monkeypatch)
    list(found.steps(0, 0, 1, start=found.steps_per_epoch - 1))
    assert read == [len(found.order(0).windows) - 1]


@pytest.mark.parametrize(("ahead_bytes", "ahead"), [(1 << 20, [0, 1]), (0, [0])])
def test_the_next_window_is_read_ahead_only_where_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_bytes: int, ahead: list[int]
) -> None:
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]), ahead_bytes=ahead_bytes)
    asked: list[int] = []
    request = windows.Windows._request
    monkeypatch.setattr(windows.Windows, "_request", lambda self, w: asked.append(w.number) or request(self, w))  # type: ignore[func-returns-value]
    steps = found.steps(0, 0, 1)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert asked == ahead
    assert epoch(found, 1) == epoch(loader(str(tmp_path / "d")), 1)


def test_no_more_than_the_windows_in_use_and_the_next_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = loader(publish_rows(tmp_path / "d", [400], 8), window_row_groups=1, batch_size=8, shards=4)
    kept: list[int] = []
    covering = windows.Windows.covering

    def counted(self: windows.Windows, first: int, end: int) -> object:
        placed = covering(self, first, end)
        kept.append(len(self._found))
        return placed

    monkeypatch.setattr(windows.Windows, "covering", counted)
    assert len(list(found.steps(0, 0, 1))) == 50
    assert max(kept) == 2


def test_no_thread_stays_when_a_reader_stops_in_the_middle(tmp_path: Path) -> None:
    found = loader(publish_rows(tmp_path / "d", *LAYOUTS["many groups"]))
    for stop in (0, 2):
        steps = found.steps(0, 0, 1)
        for _ in range(stop + 1):
            next(steps)
        steps.close()  # type: ignore[attr-defined]
    assert [thread.name for thread in threading.enumerate() if "read-ahead" in thread.name] == []


def test_a_file_that_was_cut_is_named(tmp_path: Path) -> None:
    folder = publish_rows(tmp_path / "d", [30, 30], 16)
    path = tmp_path / "d/data-1/part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedData, match=r"part-00001\.parquet has \d+ bytes, its manifest says \d+"):
        loader(folder)


def test_pages_that_were_overwritten_are_named(tmp_path: Path) -> None:
    folder = publish_rows(tmp_path / "d", [30], 16)
    path = tmp_path / "d/data-1/part-00000.parquet"
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    assert column.path_in_schema == "user_id"
    content = bytearray(path.read_bytes())
    first = column.dictionary_page_offset
    content[first : first + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    found = loader(folder)
    with pytest.raises(DamagedData, match=r"part-00000\.parquet cannot be read"):
        list(found.steps(0, 0, 1))


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    folder = publish_rows(tmp_path / "d", [30], 16)
    path = tmp_path / "d/data-1/part-00000.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DamagedData, match=r"part-00000\.parquet cannot be read as Parquet"):
        loader(folder)


def test_a_folder_without_manifest_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no dataset at"):
        loader(str(tmp_path))


def test_a_row_group_that_is_too_large_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.loader.layout.ROW_GROUP_ROWS", 15)
    with pytest.raises(DamagedData, match=r"row group of 16 rows, at most 15 .*python -m jobs.compact"):
        loader(publish_rows(tmp_path / "d", [30], 16))


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("label_enter", [1.0, None], "column 'label_enter' has 1 nulls"),
        ("user_id", [1, 2**31], "column 'user_id' is int64, expected int32"),
        ("recent", [1, 2], "column 'recent' is int64, expected a list of int32"),
        ("amount", ["a", "b"], "column 'amount' is string, expected float"),
    ],
)
def test_a_column_of_another_kind_is_named(tmp_path: Path, column: str, values: list[object], reason: str) -> None:
    table = rows(0, 2)
    folder = publish(tmp_path / "d", [table.set_column(table.column_names.index(column), column, [values])], 16)
    with pytest.raises(DamagedData, match=rf"part-00000\.parquet: {reason}"):
        list(loader(folder).in_order())
    with pytest.raises(DamagedData, match=rf"part-00000\.parquet: {reason}"):
        list(loader(folder).steps(0, 0, 1))


def test_an_absent_column_is_named(tmp_path: Path) -> None:
    folder = publish(tmp_path / "d", [rows(0, 4).drop_columns(["amount"])], 16)
    with pytest.raises(DamagedData, match=r"part-00000\.parquet has no columns \['amount'\]"):
        list(loader(folder).in_order())


def test_a_batch_that_cannot_be_cut_into_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size \(10\) must be a positive multiple of shards \(4\)"):
        loader(publish_rows(tmp_path / "d", [3], 3), batch_size=10)


def _watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The windows that are read from now on."""
    read: list[int] = []
    place = windows.place

    def watched(order: object, window: windows.Window, *rest: object) -> object:
        read.append(window.number)
        return place(order, window, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(windows, "place", watched)
    return read
