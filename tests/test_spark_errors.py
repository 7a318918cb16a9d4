"""What Spark says, as one message; the texts are those that Spark 4.3 gave for real damage."""

from __future__ import annotations

import pytest

from pipeline.errors import DamagedData, Refused
from pipeline.spark_errors import in_a_line, known

PARQUET = "/w/live/events/dt=2026-01-01/data-495d308baa4d/part-00000-17f6d09f.zstd.parquet"
TRACE = "\n\tat org.apache.spark.util.collection.Iterator.next(Iterator.scala:1)\n\t... 1 more\n"
STAGE = (
    "An error occurred while calling o702.parquet.\n: org.apache.spark.SparkException: Job aborted due to stage failure"
)

PYTHON = "Traceback (most recent call last):\n"


def raised(text: str, module: str = "py4j.protocol", name: str = "Py4JJavaError") -> Exception:
    return type(name, (Exception,), {"__module__": module})(text)


def unreadable(path: str, cause: str) -> str:
    return (
        f"{STAGE}: Task 0 failed: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while "
        f"reading file file://{path}.  SQLSTATE: KD001{TRACE}Caused by: {cause}{TRACE}"
    )


def test_a_damaged_dataset_is_built_again() -> None:
    cause = f"org.apache.hadoop.fs.ChecksumException: Checksum error: file:{PARQUET} at 1536 exp: -3 got: 5"
    found = known(raised(unreadable(PARQUET, cause)))
    assert isinstance(found, DamagedData)
    assert str(found) == (
        f"{PARQUET} cannot be read (Checksum error: at 1536 exp: -3 got: 5); remove it and build this day again"
    )


def test_a_damaged_log_is_delivered_again() -> None:
    path = "/logs of today/raw/events/dt=2026-01-01/a.json.gz"
    found = known(raised(unreadable(path.replace(" ", "%20"), "java.io.IOException: invalid distance too far back")))
    assert str(found) == f"{path} cannot be read (invalid distance too far back); deliver it again"


def test_an_error_of_ours_comes_back_from_a_worker() -> None:
    text = f'{STAGE}{TRACE}{PYTHON}  File "w.py", line 1\npipeline.errors.Refused: no{TRACE}'
    found = known(raised(text))
    assert (type(found), str(found)) == (Refused, "no")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{STAGE}{TRACE}Caused by: a.b.C: x{TRACE}Caused by: java.io.IOException: disk full{TRACE}", "disk full"),
        (f"{STAGE}{TRACE}", "Job aborted due to stage failure"),
        (f"{STAGE}{TRACE}Caused by: java.lang.NullPointerException{TRACE}", "java.lang.NullPointerException"),
        (f'{STAGE}{TRACE}{PYTHON}  File "w.py", line 1\n    f()\nKeyError: 3\n', "KeyError: 3"),
        ("[UNRESOLVED_COLUMN] No column `x`.\n== SQL ==\nx", "[UNRESOLVED_COLUMN] No column `x`."),
    ],
)
def test_of_an_unknown_error_the_line_that_says_most_is_shown(text: str, said: str) -> None:
    assert known(raised(text)) is None
    assert in_a_line(raised(text)) == f"Py4JJavaError: {said}"


def test_the_stack_that_pyspark_keeps_apart_is_read_too() -> None:
    error = raised("Task failed", "pyspark.errors.exceptions.captured", "SparkException")
    trace = f"org.apache.spark.SparkException: Task failed{TRACE}Caused by: a.b.C: the disk is full"
    vars(error)["_stackTrace"] = trace
    assert in_a_line(error) == "SparkException: the disk is full"


def test_errors_of_python_are_none_of_its_business() -> None:
    text = "Encountered error while reading file x. "
    assert known(ValueError(text)) is None
    assert in_a_line(ValueError("one\ntwo")) == "ValueError: one"
    assert in_a_line(ValueError()) == "ValueError"
