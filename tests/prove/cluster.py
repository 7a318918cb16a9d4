"""Run jobs on a real standalone cluster whose executors have a bare Python and what `make dist` packed, nothing else.

The same simulated day goes through every Spark job of the data, once in a local session and once on the cluster: the
content digests must be the same. What the lists need besides (the model in NumPy) must be importable there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from pipeline.cluster import EXECUTOR_PACKAGES
from pipeline.distribution import pack_code, pack_packages
from tests import standalone
from tests.prove.kill_jobs import SMALL, run, visible

JOBS = ("clean_logs", "build_daily", "build_profiles", "build_vocab", "build_examples")
DAY = "2026-01-01"
EXECUTED = (
    "pipeline.tables",
    "pipeline.containers",
    "pipeline.demonstration",
    "pipeline.steps.recommend",
    "pipeline.artifact",
)
"""Modules that tasks import."""


def main() -> None:
    """Raise AssertionError where something does not hold."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        archives = (pack_packages(Path("dist").absolute(), EXECUTOR_PACKAGES), pack_code(folder))
        bare = standalone.bare_python(folder / "bare")
        _check_archives(bare, archives, folder / "unpacked")
        local, remote = folder / "local", folder / "remote"
        run("simulate_logs", local)
        shutil.copytree(local, remote)
        with standalone.cluster(folder) as url:
            for job in JOBS:
                _on_cluster(url, bare, archives, job, remote)
        run("day", local, "--dt", DAY)
        ours, theirs = visible(local / "live"), visible(remote / "live")
        differing = {name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)}
        assert not differing, differing
        built = [name for name in ours if not name.startswith(("raw/", "truth/"))]
        print(f"{len(built)} datasets of {DAY} have the same digests as those of a local session", flush=True)


def _check_archives(bare: Path, archives: tuple[Path, Path], folder: Path) -> None:
    """The executors' Python has no packages of its own, and with the archives all that tasks import."""
    for packed in archives:
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
    path = ":".join(map(str, (folder, *sorted(standalone.SPARK_HOME.glob("python/lib/*.zip")))))
    for name in EXECUTED:
        assert not _imports(bare, name)
        assert _imports(bare, name, PYTHONPATH=path), name
    shutil.rmtree(folder)


def _imports(python: Path, name: str, **more: str) -> bool:
    command = [str(python), "-c", f"import {name}"]
    environment = standalone.environment(**more)
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, check=False).returncode == 0


def _on_cluster(url: str, bare: Path, archives: tuple[Path, Path], job: str, warehouse: Path) -> None:
    packages, code = archives
    settings = [f"--set={setting}" for setting in (*SMALL, f"product.warehouse={warehouse}")]
    start = time.monotonic()
    ended = standalone.submit(
        url, bare, f"--archives={packages}#packages,{code}#code", "--conf=spark.executorEnv.PYTHONPATH=code:packages",
        f"jobs/{job}.py", "--conf=conf/live.toml", "--dt", DAY, *settings,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    print(json.dumps({"job": job, "on": url, "seconds": round(time.monotonic() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
