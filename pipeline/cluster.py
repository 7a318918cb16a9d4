"""Whether the executors run what the driver runs: the same Spark, Java, Python, and packages that tasks import.

A difference shows itself late and far from its cause: a task that fails in the third step, a number that differs in its
last bit. One small job at the start shows it in one line.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from pyspark.sql import Row, SparkSession

from pipeline.errors import PipelineError
from pipeline.spark_errors import in_a_line

EXECUTOR_PACKAGES = ("numba", "numpy", "pyarrow", "pydantic", "safetensors", "xxhash")
"""What our code imports inside of tasks. Numba too: its kernels and their NumPy twins may differ in the last bit."""
WAY_OUT = "make dist packs the driver's packages and prints the line to submit with"
ABSENT = "absent"
OTHER_PYTHON = re.compile(r"different version: (\S+) than that in driver: (\d+\.\d+)")
NO_PYTHON = re.compile(r'Cannot run program "([^"]+)"')


def check_cluster(session: SparkSession) -> None:
    """Raise PipelineError naming each difference between the driver and the executors that are there by now."""
    try:
        found = _executors(session)
    except Exception as error:
        raise PipelineError(_why(error)) from None
    if faults := differences(_driver(session), found):
        raise PipelineError(f"the executors are not like the driver: {'; '.join(faults)}. {WAY_OUT}")


def differences(expected: Mapping[str, str], found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """`host has Java 21, expected 17`, sorted, for the versions by host."""
    return [
        f"{host} has {name} {versions.get(name, ABSENT)}, expected {wanted}"
        for host, versions in sorted(found.items())
        for name, wanted in expected.items()
        if versions.get(name, ABSENT) != wanted
    ]


def _driver(session: SparkSession) -> dict[str, str]:
    jvm = session.sparkContext._jvm
    assert jvm is not None
    java = str(jvm.java.lang.System.getProperty("java.specification.version"))
    python = ".".join(platform.python_version_tuple()[:2])
    ours = {name: version(name) for name in EXECUTOR_PACKAGES}
    return {"Spark": session.version, "Java": java, "Python": python, **ours}


def _executors(session: SparkSession) -> dict[str, dict[str, str]]:
    """Versions by host, from two short tasks a core. What Java knows is asked by SQL: a Python worker has no way to."""
    tasks = 2 * session.sparkContext.defaultParallelism
    asked = session.range(0, tasks, 1, tasks).selectExpr(
        "java_method('java.net.InetAddress', 'getLocalHost') AS host",
        "java_method('org.apache.spark.package', 'SPARK_VERSION') AS Spark",
        "java_method('java.lang.System', 'getProperty', 'java.specification.version') AS Java",
    )

    def look(rows: Iterable[Row]) -> list[dict[str, str]]:
        """Goes to the workers by value, not by name, so it needs none of our packages there."""
        import platform
        from importlib.metadata import PackageNotFoundError, version

        def found(name: str) -> str:
            try:
                return version(name)
            except PackageNotFoundError:
                return absent

        here = {"Python": ".".join(platform.python_version_tuple()[:2]), **{name: found(name) for name in packages}}
        return [{**row.asDict(), **here} for row in rows]

    absent, packages = ABSENT, EXECUTOR_PACKAGES
    return {row.pop("host"): row for row in asked.rdd.mapPartitions(look).collect()}


def _why(error: Exception) -> str:
    """Why no task could say anything: most often the executors' Python is not there, or another one."""
    text = str(error)
    if other := OTHER_PYTHON.search(text):
        return (
            f"the executors run Python {other[1]}, expected {other[2]} as on the driver: "
            f"name one with --conf spark.pyspark.python=python{other[2]}"
        )
    if none := NO_PYTHON.search(text):
        return f"the executors have no Python {none[1]}: name one that is there with --conf spark.pyspark.python=..."
    return f"the executors cannot run Python: {in_a_line(error)}. {WAY_OUT}"
