"""Summaries: nodes under tags, and event files as TensorBoard's own reader finds them, also after a kill."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsengine as ts
from tsengine.errors import SummaryError
from tsengine.specs import Array
from tsengine.summary import FileWriter, Summaries
from tsengine.summary.buckets import LIMITS, buckets_of
from tsengine.summary.events import file_version, histogram_value, scalar_value, summary_event
from tsengine.summary.records import crc32c

HERE = Path(__file__).name


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[FileWriter]:
    """A writer whose clock stands still."""
    with FileWriter(str(tmp_path / "logs"), clock=lambda: 1_500_000_000.25) as writer:
        yield writer


def read(path: str) -> Any:
    """A file, or a folder's files, as TensorBoard's reader has them, every event kept."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    return accumulators.EventAccumulator(path, size_guidance={"scalars": 0, "histograms": 0}).Reload()


def scalars(path: str, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(path).Scalars(tag)]


def test_what_a_training_shows_is_what_tensorboard_reads(writer: FileWriter) -> None:
    """The one element of w goes 1, 3, 7, 15, the other -1, -2, -4, -8."""
    w = ts.Variable(np.array([1.0, -1.0], np.float32), name="w")
    ts.summary.scalar("double", ts.reduce_max(2.0 * w))
    ts.summary.histogram("weights", w)
    merged, step = ts.summary.merge_all(), ts.assign(w, 2.0 * w + ts.constant([1.0, 0.0]))
    session = ts.Session()
    for number in range(4):
        _, fetched = session.run([step, merged])
        writer.add_summary(fetched, number)
    found = read(writer.path)
    assert [(event.step, event.value) for event in found.Scalars("double")] == [(0, 2), (1, 6), (2, 14), (3, 30)]
    assert {event.wall_time for event in found.Scalars("double")} == {1_500_000_000.25}
    histograms = [event.histogram_value for event in found.Histograms("weights")]
    assert [(item.min, item.max, item.num, item.sum) for item in histograms] == [
        (-1, 1, 2, 0), (-2, 3, 2, 1), (-4, 7, 2, 3), (-8, 15, 2, 7),
    ]  # fmt: skip
    assert [item.sum_squares for item in histograms] == [2, 13, 65, 289]
    assert session.stats.plans == 1


def test_values_from_outside_a_graph_stand_beside_it(writer: FileWriter) -> None:
    for step, value in ((5, 0.5), (np.int64(6), np.float64(0.1)), (np.array(7), 3), (8, True), (2**40, np.array(-2))):
        writer.scalar("auc, on day 1", value, step)
    expected = [(5, 0.5), (6, float(np.float32(0.1))), (7, 3), (8, 1), (2**40, -2)]
    assert scalars(writer.path, "auc, on day 1") == expected
    writer.histogram("ages", [[1, 2], [3, 300]], 5)
    (event,) = read(writer.path).Histograms("ages")
    assert (event.histogram_value.min, event.histogram_value.max, event.histogram_value.num) == (1, 300, 4)


def test_a_scalar_that_is_no_number_is_shown_as_such(writer: FileWriter) -> None:
    for step, value in enumerate([math.nan, math.inf, -math.inf, 1e300]):
        writer.scalar("loss", value, step)
    got = [value for _, value in scalars(writer.path, "loss")]
    np.testing.assert_array_equal(got, [math.nan, math.inf, -math.inf, math.inf])


def test_what_is_not_asked_for_is_not_computed_and_may_be_fetched_alone() -> None:
    x = ts.placeholder("float32", ())
    loss, other = ts.summary.scalar("loss", 2.0 * x), ts.summary.histogram("x", x)
    assert ts.Session().run([loss, other], {x: 3.0}) == [Summaries({"loss": 6.0}, {}), Summaries({}, {"x": 3.0})]
    assert ts.Session().run(ts.constant(1.0)) == 1.0, "x need not be fed"


def test_a_graph_has_its_own_summaries_and_scopes_are_part_of_the_tag(writer: FileWriter) -> None:
    with ts.Graph().as_default() as other:
        w = ts.Variable(1.0)
        for name in ("tower", "tower"):
            with ts.name_scope(name):
                ts.summary.scalar("loss", w)
    assert list(ts.summary.merge_all(other).scalars) == ["tower/loss", "tower_1/loss"]
    nothing = ts.Session().run(ts.summary.merge_all())
    assert nothing == Summaries({}, {})
    writer.add_summary(nothing, 1)
    assert read(writer.path).Tags()["scalars"] == []


def test_a_node_that_cannot_be_a_summary_is_named_with_its_place() -> None:
    w = ts.Variable(np.zeros((2, 3), np.float32), name="w")
    ts.summary.histogram("taken", w)
    with pytest.raises(
        SummaryError,
        match=rf"scalar 'loss' at .*{HERE}:\d+ must be one number, got float32\[2,3\]: 'w' \(op .*{HERE}:\d+\)",
    ):
        ts.summary.scalar("loss", w)
    with pytest.raises(
        SummaryError, match=rf"scalar 'taken' at .*{HERE}:\d+: the tag is that of the histogram of 'w' \(op .*{HERE}:"
    ):
        ts.summary.scalar("taken", ts.reduce_sum(w))
    with pytest.raises(
        SummaryError, match=rf"scalar 'lr' at .*{HERE}:\d+ must be a node, got float; FileWriter.scalar"
    ):
        ts.summary.scalar("lr", 0.1)  # type: ignore[arg-type]
    with pytest.raises(SummaryError, match=rf"histogram 'step' at .*{HERE}:\d+: 'no_op' .* has no value"):
        ts.summary.histogram("step", ts.no_op())
    assert ts.summary.merge_all() == Summaries({}, {"taken": w}), "none of them was noted"


WRONG: list[tuple[Callable[[FileWriter], None], str]] = [
    (lambda writer: writer.scalar("a", [1.0, 2.0], 1), r"scalar 'a' must be one number, got float64\[2\]"),
    (lambda writer: writer.scalar("a", "high", 1), "scalar 'a' must be one number, got 'high'"),
    (lambda writer: writer.scalar("a", ts.constant(1.0), 1), r"one number, got <constant 'constant' float32\[\]>"),
    (lambda writer: writer.histogram("a", [1j], 1), r"histogram 'a' must be of numbers, got \[1j\]"),
    (
        lambda writer: writer.histogram("a", [np.nan, np.inf, -np.inf, 1.0], 1),
        r"histogram 'a' must be of finite numbers, got 1 NaN and 2 infinite ones in float64\[4\]",
    ),
    (lambda writer: writer.scalar("a", 1.0, -1), "step must be an integer >= 0, got -1"),
    (lambda writer: writer.scalar("a", 1.0, 2**63), "step must be an integer >= 0"),
    (lambda writer: writer.scalar("a", 1.0, 1.0), "step must be an integer >= 0, got 1.0"),  # type: ignore[arg-type]
    (lambda writer: writer.add_summary({"a": 1.0}, 1), r"merge_all\(\), got dict"),  # type: ignore[arg-type]
    (lambda writer: writer.add_summary(Summaries({"b": 1.0}, {"a": np.nan}), 1), "got 1 NaN"),
]


@pytest.mark.parametrize(("write", "message"), WRONG)
def test_what_cannot_be_written_leaves_the_file_as_it_was(
    writer: FileWriter, write: Callable[[FileWriter], None], message: str
) -> None:
    before = Path(writer.path).read_bytes()
    with pytest.raises(SummaryError, match=message):
        write(writer)
    assert Path(writer.path).read_bytes() == before


def test_a_closed_writer_says_so(writer: FileWriter) -> None:
    writer.scalar("a", 1.0, 1)
    writer.flush()
    writer.close()
    writer.close()
    for use in (lambda: writer.scalar("a", 1.0, 2), writer.flush):
        with pytest.raises(SummaryError, match=rf"the writer of {writer.path} is closed"):
            use()
    assert scalars(writer.path, "a") == [(1, 1.0)]


def test_writers_of_one_folder_and_second_have_files_of_their_own(tmp_path: Path) -> None:
    for tag in ("first", "second"):
        with FileWriter(str(tmp_path), clock=lambda: 7.5) as writer:
            writer.scalar(tag, 1.0, 1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert all(name.startswith("events.out.tfevents.0000000007.") for name in names)
    assert read(str(tmp_path)).Tags()["scalars"] == ["first", "second"]


def test_threads_may_share_a_writer(writer: FileWriter, eager_threads: None) -> None:
    def write(thread: int) -> None:
        for step in range(200):
            writer.scalar(f"{thread}", 1000.0 * thread + step, step)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert scalars(writer.path, f"{number}") == [(step, 1000.0 * number + step) for step in range(200)]


KILLED = """
import os, signal, sys
import tsengine as ts

writer = ts.summary.FileWriter(sys.argv[1])
for step in range(100):
    writer.scalar("loss", step, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_all_that_it_wrote(tmp_path: Path) -> None:
    root = Path(ts.__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root)
    assert ended.returncode == -signal.SIGKILL
    assert scalars(str(tmp_path), "loss") == [(step, step) for step in range(100)]


def test_of_a_file_cut_anywhere_the_whole_events_are_read(writer: FileWriter, tmp_path: Path) -> None:
    ends = []
    for step in range(3):
        writer.scalar("loss", 1.0, step)
        ends.append(Path(writer.path).stat().st_size)
    data, cut = Path(writer.path).read_bytes(), tmp_path / "events.out.tfevents.cut"
    for size in range(ends[0], len(data) + 1, 3):
        cut.write_bytes(data[:size])
        assert scalars(str(cut), "loss") == [(step, 1.0) for step, end in enumerate(ends) if end <= size]


@pytest.mark.parametrize(
    ("data", "published"),
    [
        (b"123456789", 0xE3069283),  # the check value of CRC-32C in the catalogue of parametrised CRC algorithms
        (bytes(32), 0x8A9136AA),  # the others: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_the_published_ones(data: bytes, published: int) -> None:
    assert crc32c(data) == published


def test_messages_by_the_letter() -> None:
    """Written out by hand from protobuf's encoding rules."""
    assert file_version(1.0) == bytes.fromhex("09 000000000000f03f 1a 0d") + b"brain.Event:2"
    scalar = bytes.fromhex("0a 01 61 15 0000803f")
    assert scalar_value("a", 1.0) == scalar
    event = summary_event(1.0, 300, [scalar, scalar])
    assert event == bytes.fromhex("09 000000000000f03f 10 ac02 2a 14 0a08") + scalar + b"\x0a\x08" + scalar
    lowest, limit, value, square, one = (
        np.float64(number).tobytes().hex() for number in (-sys.float_info.max, LIMITS[1], -(2.0**100), 2.0**200, 1.0)
    )
    facts = f"09{value} 11{value} 19{one} 21{value} 29{square} 32 10{lowest}{limit} 3a 10{'00' * 8}{one}"
    assert histogram_value("a", buckets_of(np.array([-(2.0**100)]))) == bytes.fromhex(f"0a 01 61 2a 51 {facts}")


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(1.0, 3.0, (50, 40)),
        np.random.default_rng(2).normal(size=300).astype(np.float32) * 1e-9,
        np.array([-1e300, -1e20, -1e-13, 0.0, 1e-12, 1.1e-12, 5.0, 5.0, 1e20, 1e308]),
        np.arange(-5, 6),
        np.array([True, False, True]),
    ],
)
def test_buckets_are_those_that_numpy_counts(values: Array) -> None:
    got = buckets_of(values)
    counts, _ = np.histogram(values.astype(np.float64), LIMITS)
    expected = {limit: count for limit, count in zip(LIMITS[1:], counts, strict=True) if count}
    assert {limit: count for limit, count in zip(got.limits, got.counts, strict=True) if count} == expected
    assert got.counts.sum() == got.num == values.size
    edges = dict(zip(got.limits[1:], got.limits, strict=False))
    lower = dict(zip(LIMITS[1:], LIMITS, strict=False))
    assert all(edges[limit] == lower[limit] for limit in expected if limit in edges), "a bucket has its lower limit too"


def test_the_limits_grow_by_a_tenth_and_hold_every_float() -> None:
    assert (LIMITS[0], LIMITS[775], LIMITS[-1], len(LIMITS)) == (-sys.float_info.max, 0.0, sys.float_info.max, 1551)
    np.testing.assert_allclose(LIMITS[776:-1], 1e-12 * 1.1 ** np.arange(774), rtol=1e-12)
    np.testing.assert_array_equal(LIMITS, -LIMITS[::-1])
    extreme = buckets_of(np.array([-sys.float_info.max, sys.float_info.max]))
    assert (extreme.num, extreme.counts.sum(), extreme.sum_squares) == (2, 2, math.inf)


def test_tensorboard_draws_histograms_between_their_least_and_greatest_value(writer: FileWriter) -> None:
    """As its page does: old histograms become tensors of (left, right, count)."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    from tensorboard.util.tensor_util import make_ndarray

    writer.histogram("some", [-3.0, 0.0, 0.0, 1e25], 1)
    writer.histogram("none", np.zeros((0, 4)), 1)
    _, some, none = loader.EventFileLoader(writer.path).Load()
    drawn = make_ndarray(some.summary.value[0].tensor)
    assert [drawn[0, 0], drawn[-1, 1], drawn[:, 2].sum()] == [-3.0, 1e25, 4]
    assert make_ndarray(none.summary.value[0].tensor).shape == (0, 3)
