"""Kill every job with -9 at several instants, type the same command again: the same datasets, nothing half-written.

A small simulated product is built once in peace. Then each job runs again in a copy of the warehouse from which its own
outputs are gone, is killed after a share of its usual time, and is started again. After every kill each manifest that a
reader can see must list files that are there with the bytes and hashes it says; after the second start the content
digests must be those of the peaceful run.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.storage import MANIFEST, describe_file, read_manifest

PROJECT = Path(__file__).resolve().parents[2]
DAY = "2026-01-04"
JOBS = {
    "clean_logs": ("events", "quarantine", "attributes", "rooms"),
    "build_daily": ("daily",),
    "build_profiles": ("profiles",),
    "build_vocab": ("vocab",),
    "build_examples": ("examples",),
    "train": ("candidates", "models", "checkpoints"),
    "recommend": ("recommendations",),
}
SMALL = (
    "simulate.users=300", "simulate.streamers=200", "simulate.days=4", "training.days=2",
    "training.evaluation_days=1", "training.batch_size=512", "gate.auc.at_least=0.4",
    "vocabularies.user_id.min_count=1", "vocabularies.item_id.min_count=1",
)  # fmt: skip


SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.97)
"""Of a job's usual time: when it is killed. Others can be given as arguments."""


def command(job: str, warehouse: Path, *more: str) -> list[str]:
    """The command line of a job on the small product."""
    settings = [f"--set={setting}" for setting in (*SMALL, f"product.warehouse={warehouse}")]
    return [sys.executable, "-m", f"jobs.{job}", "--conf", str(PROJECT / "conf" / "live.toml"), *settings, *more]


def run(job: str, warehouse: Path, *more: str) -> float:
    """Run a job to its end; the seconds it took."""
    start = time.monotonic()
    subprocess.run(command(job, warehouse, *more), check=True, cwd=PROJECT, stdin=subprocess.DEVNULL)
    return time.monotonic() - start


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """A job that runs, silently."""
    return subprocess.Popen(
        arguments, cwd=PROJECT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def kill(process: subprocess.Popen[bytes]) -> bool:
    """kill -9 of the job alone (its children must end by themselves); whether it was still running."""
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def run_and_kill(job: str, warehouse: Path, after_s: float) -> bool:
    """Start a job and kill it after a while; whether it was still running."""
    process = start(command(job, warehouse, "--dt", DAY))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    return kill(process)


def visible(product: Path) -> dict[str, str]:
    """Every published dataset and its content digest; AssertionError when a manifest lists what is not there."""
    found = {}
    for path in sorted(product.rglob(MANIFEST)):
        manifest = read_manifest(str(path.parent))
        for entry in manifest.files:
            assert describe_file(str(path.parent), entry.name, entry.rows) == entry, (
                f"{path}: {entry.name} is not what it lists"
            )
        found[str(path.parent.relative_to(product))] = manifest.content_digest
    return found


def without(product: Path, names: Sequence[str]) -> None:
    """Take a job's outputs of the day away."""
    for name in names:
        for path in [
            *product.glob(f"{name}/**/dt={DAY}"),
            *(product.glob(f"{name}/*") if name in ("candidates", "models", "checkpoints") else []),
        ]:
            shutil.rmtree(path)


def killed_running(job: str, trial: Path, after_s: float) -> float:
    """Kill the job after a while, or as much earlier as it takes to find it at work; the seconds that it lived."""
    while True:
        without(trial / "live", JOBS[job])
        if run_and_kill(job, trial, after_s):
            return after_s
        after_s *= 0.8


def main(jobs: Sequence[str] = tuple(JOBS), shares: Sequence[float] = SHARES) -> None:
    """Kill each job at each share of its usual time."""
    with tempfile.TemporaryDirectory() as scratch:
        reference = Path(scratch) / "reference"
        run("simulate_logs", reference)
        run("day", reference, "--dt", f"2026-01-01..{DAY}")
        wanted = visible(reference / "live")
        for job in jobs:
            print(json.dumps({"job": job, **_kill(job, Path(scratch), reference, wanted, shares)}), flush=True)


def _kill(
    job: str, scratch: Path, reference: Path, wanted: dict[str, str], shares: Sequence[float]
) -> dict[str, object]:
    trial = scratch / "trial"
    shutil.copytree(reference, trial)
    without(trial / "live", JOBS[job])
    usual = run(job, trial, "--dt", DAY)
    lived = []
    for share in shares:
        lived.append(round(killed_running(job, trial, usual * share), 1))
        visible(trial / "live")
        run(job, trial, "--dt", DAY)
        came = visible(trial / "live")
        assert came == wanted, {
            name: (came.get(name), wanted.get(name)) for name in {*came, *wanted} if came.get(name) != wanted.get(name)
        }
    shutil.rmtree(trial)
    return {"usual_s": round(usual, 1), "killed_after_s": lived, "same_datasets": True}


if __name__ == "__main__":
    main(shares=tuple(map(float, sys.argv[1:])) or SHARES)
