"""A real Spark cluster on 127.0.0.1: a standalone master and a worker, in Java processes that end with this one."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

SPARK_HOME = Path(pyspark.__file__).parent
ROOT = Path(__file__).parent.parent
MASTER = re.compile(r"Starting Spark master at (spark://\S+)")
PATIENCE_S = 60
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl."""


def environment(**more: str) -> dict[str, str]:
    """What a process of the cluster sees: no path of this environment's packages."""
    java = os.environ.get("JAVA_HOME")
    spark = {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_SCALA_VERSION": "2.13"}
    kept = {"PATH": "/usr/bin:/bin", **spark}
    return {**kept, **({"JAVA_HOME": java} if java else {}), **more}


def bare_python(folder: Path) -> Path:
    """A Python of this version without any package, not even pip."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


@contextmanager
def cluster(folder: Path, memory: str = "2g") -> Iterator[str]:
    """The URL of the master; the worker has two cores and so much memory, and lays what it is sent under `folder`."""
    with _java(folder, "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0") as log:
        url = _awaited(log, MASTER)
        worker = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--cores", "2", "--memory", memory)
        with _java(folder, "worker.Worker", *worker, "--work-dir", str(folder / "work"), url) as log:
            _awaited(log, re.compile("(Successfully registered with master)"))
            yield url


def submit(url: str, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`spark-submit` with this environment and tree as the driver, and `python` as the executors'."""
    settings = {
        "spark.pyspark.driver.python": sys.executable, "spark.pyspark.python": str(python),
        "spark.driver.host": "127.0.0.1", "spark.executor.memory": "1g", "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
    }  # fmt: skip
    options = [f"--conf={name}={value}" for name, value in settings.items()]
    return subprocess.run(
        [str(SPARK_HOME / "bin" / "spark-submit"), "--master", url, *options, *arguments],
        cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@contextmanager
def _java(folder: Path, name: str, *arguments: str) -> Iterator[Path]:
    """Run a class of org.apache.spark.deploy; what it logs is in the file."""
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if "JAVA_HOME" in os.environ else Path("java")
    log = folder / f"{name}.log"
    command = [str(java), "-Xmx512m", "-cp", f"{SPARK_HOME}/jars/*", f"org.apache.spark.deploy.{name}", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment(), stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=_die_too
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait()


def _die_too() -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _awaited(log: Path, said: re.Pattern[str]) -> str:
    """What a process says of itself, once it says it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := said.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"{log} does not say {said.pattern}:\n{log.read_text(errors='replace')}")
