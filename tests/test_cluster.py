"""A cluster whose executors are not like the driver is refused at the start, in one line that says what differs."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline import cluster, distribution
from pipeline.cluster import EXECUTOR_PACKAGES, check_cluster, differences
from pipeline.errors import PipelineError
from tests import standalone

EXPECTED = {"Spark": "4.3.0", "Java": "17", "Python": "3.11", "numpy": "2.4.6"}


def test_a_difference_is_named_with_its_host() -> None:
    same, other = dict(EXPECTED), {**EXPECTED, "Java": "21", "numpy": "2.0.0"}
    assert differences(EXPECTED, {"a": same}) == []
    assert differences(EXPECTED, {"b": other, "a": same}) == [
        "b has Java 21, expected 17",
        "b has numpy 2.0.0, expected 2.4.6",
    ]
    assert differences({"numpy": "2.4.6"}, {"a": {}}) == ["a has numpy absent, expected 2.4.6"]


def test_executors_like_the_driver_pass_and_others_do_not(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    check_cluster(spark)
    monkeypatch.setattr(cluster, "version", lambda name: "0.1" if name == "numpy" else distribution_version(name))
    with pytest.raises(PipelineError, match=r"has numpy \S+, expected 0\.1\. make dist packs"):
        check_cluster(spark)


def distribution_version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9 than that in driver: 3.11, PySpark",
            "the executors run Python 3.9, expected 3.11 as on the driver: name one with --conf",
        ),
        ('java.io.IOException: Cannot run program "python3.11": error=2', "the executors have no Python python3.11:"),
        ("something else", "the executors cannot run Python: RuntimeError: something else"),
    ],
)
def test_why_no_executor_could_say_anything(error: str, told: str) -> None:
    assert cluster._why(RuntimeError(error)).startswith(told)


def test_a_bare_executor_is_refused_in_one_line(tmp_path: Path) -> None:
    """On a real standalone master and worker; `make prove PART=cluster` runs a job on them to its end."""
    with standalone.cluster(tmp_path) as url:
        bare = standalone.bare_python(tmp_path / "bare")
        arguments = ("jobs/clean_logs.py", "--conf=conf/live.toml", "--dt=2026-01-01")
        ended = standalone.submit(url, bare, *arguments, f"--set=product.warehouse={tmp_path}")
    assert ended.returncode == 1, ended.stderr
    (told,) = ended.stdout.splitlines()  # spark-submit sends both streams of a Python program there
    assert told.startswith("error: the executors are not like the driver: ")
    assert [name for name in EXECUTOR_PACKAGES if f"has {name} absent, expected " not in told] == []
    assert told.endswith(cluster.WAY_OUT)


# ---- what make dist packs -------------------------------------------------------------------------------------------


def test_packages_come_with_what_they_require() -> None:
    names = {one.metadata["Name"].replace("_", "-").lower() for one in distribution.required(["pydantic"])}
    assert {"pydantic", "pydantic-core", "typing-extensions", "annotated-types"} <= names
    assert not names & {"pyspark", "pytest", "email-validator"}
    with pytest.raises(PipelineError, match="no-such-package is not installed here"):
        distribution.required(["no_such_package"])


def test_the_archives_hold_what_is_imported_and_are_made_once(tmp_path: Path) -> None:
    packages = distribution.pack_packages(tmp_path, ["xxhash", "typing_extensions"])
    before = packages.stat()
    assert distribution.pack_packages(tmp_path, ["typing_extensions", "xxhash"]).stat() == before
    with tarfile.open(packages) as archive:
        names = set(archive.getnames())
    assert {"typing_extensions.py", "xxhash/__init__.py"} <= names
    assert not [name for name in names if name.startswith(("/", "..")) or "__pycache__" in name]
    other = distribution.pack_packages(tmp_path, ["xxhash"])
    assert sorted(tmp_path.iterdir()) == [other]
    code = distribution.pack_code(tmp_path)
    assert distribution.pack_code(tmp_path).read_bytes() == code.read_bytes()
    with tarfile.open(code) as archive:
        names = set(archive.getnames())
    assert {"pipeline/steps/clean_logs/rules.py", "pipeline/log4j2.properties", "conf/live.toml"} <= names


def test_an_environment_that_is_not_the_locked_one_is_not_packed(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("xxhash==0.0.1 \\\n    --hash=sha256:aa\n")
    with pytest.raises(PipelineError, match=r"xxhash \S+ is installed, locked is 0\.0\.1\. Type: make setup"):
        distribution.pack_packages(tmp_path / "dist", ["xxhash"], lock)
    assert not (tmp_path / "dist").exists()


def test_the_line_to_type_names_both_archives() -> None:
    line = distribution.submit_line("spark://h:7077", Path("dist/p.tar.gz"), Path("dist/c.tar.gz"), "day", "--dt=x")
    assert line.split(" \\\n    ")[1:4] == [
        "--archives dist/p.tar.gz#packages,dist/c.tar.gz#code",
        "--conf spark.executorEnv.PYTHONPATH=code:packages",
        "--conf spark.executor.extraJavaOptions=-XX:-DontCompileHugeMethods",
    ]
