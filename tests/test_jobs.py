"""The jobs from a shell: bad input is one clear message and the right exit code, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py") if "__main__" in path.read_text())


def job(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"jobs.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def test_there_is_a_job_for_each_stop_of_the_road() -> None:
    named = {"simulate_logs", "clean_logs", "build_daily", "build_profiles", "build_vocab", "build_examples"}
    assert named | {"train", "recommend", "day", "run"} == set(JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_help_says_what_the_job_does_and_how_it_ends(name: str) -> None:
    shown = job(name, "--help")
    assert shown.returncode == 0
    assert "--conf TOML" in shown.stdout
    assert "exit codes: 0 done, 1 failed, 2 bad arguments or config, 3 refused" in shown.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--conf", "absent.toml", "--dt", "2026-01-08"], 2, "error: cannot read the config absent.toml"),
        (["--dt", "yesterday"], 2, "error: --dt takes a day such as 2026-01-07"),
        (
            ["--dt", "2026-01-08", "--set", "training.wrkers=2"],
            2,
            "$.training.wrkers: unknown key; did you mean 'workers'?",
        ),
        (["--dt", "2026-01-08", "--set", "product.warehouse=s3://bucket"], 2, "error: storage s3:// is not served"),
        (["--dt", "2026-01-08"], 1, "Build it first: make backfill FROM=2026-01-01 TO=2026-01-0"),
        (["--dt", "2026-01-01"], 1, "The first day with a model is 2026-01-03: make train DT=2026-01-03"),
    ],
)
def test_bad_input_is_one_message_and_no_stack(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    settings = [] if any("warehouse" in a for a in arguments) else ["--set", f"product.warehouse={tmp_path}"]
    ended = job("train", *arguments, *settings)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_stack_is_shown_when_asked_for(tmp_path: Path) -> None:
    ended = job("train", "--dt", "2026-01-08", "--set", f"product.warehouse={tmp_path}", "--traceback")
    assert "Traceback" in ended.stderr
    assert ended.returncode == 1


def test_a_missing_argument_is_named() -> None:
    ended = job("train")
    assert ended.returncode == 2
    assert "the following arguments are required: --dt" in ended.stderr
