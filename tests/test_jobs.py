"""The jobs from a shell: bad input is one clear message and the right exit code, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import csv
import gzip
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schemas
from pipeline.config import load_config
from pipeline.demonstration import simulate_logs
from pipeline.storage import Manifest, Warehouse, describe_file, write_manifest
from tests.prove import globo, kill_jobs, second_run

ROOT = Path(__file__).parent.parent
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py") if "__main__" in path.read_text())


def job(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"jobs.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def test_there_is_a_job_for_each_stop_of_the_road() -> None:
    named = {"simulate_logs", "clean_logs", "build_daily", "build_profiles", "build_vocab", "build_examples"}
    named |= {
        "build_sessions",
        "build_statistics",
        "train",
        "recommend",
        "day",
        "run",
        "check_config",
        "show",
        "report",
    }
    assert named | {"compact", "dist", "explain", "forget", "vocab_diff"} == set(JOBS)


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


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("day", ["--step", "build_labels"], "argument --step: invalid choice: 'build_labels' (choose from"),
        ("build_daily", ["--at-once", "0"], "argument --at-once: must be a whole number from 1 on, got '0'"),
        ("compact", ["--dataset", "x", "--file-mb", "1.5"], "argument --file-mb: must be a whole number from 1 on"),
        ("compact", [], "the following arguments are required: --dataset"),
        ("build_daily", ["--quarantine-files"], "unrecognized arguments: --quarantine-files"),
    ],
)
def test_a_bad_argument_is_told_before_spark_starts(name: str, arguments: list[str], told: str) -> None:
    ended = job(name, "--dt", "2026-01-01", *arguments)
    assert ended.returncode == 2
    assert told in ended.stderr


# ---- jobs on Spark: a start costs some 8 s, so there are few ---------------------------------------------------------

GLOBO = ROOT / "conf" / "globo.toml"
DAY = "2017-10-01"
CLICKS = 3000


def options(warehouse: Path, *settings: str) -> list[str]:
    """Of a job of the click log's product, for its first day."""
    chosen = [f"--set={setting}" for setting in (f"product.warehouse={warehouse}", *settings)]
    return ["--conf", str(GLOBO), "--dt", DAY, *chosen]


def assert_one_message(ended: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert (ended.returncode, ended.stdout) == (code, "")
    (message,) = [line for line in ended.stderr.splitlines() if "incubator modules" not in line]  # Java says that
    assert message.startswith("error: ")
    assert [part for part in parts if part not in message] == []


def clicks(path: Path, rows: int) -> bytes:
    """A gzip file in the form of the click log."""
    names = "user_id session_id click_article_id click_timestamp click_environment click_deviceGroup click_os"
    header = [*names.split(), "click_country", "click_region", "click_referrer_type"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([n % 7, n, n % 11, 1_506_900_000_000 + 1000 * n, 4, 1, 17, 1, 21, 2] for n in range(rows))
    return path.read_bytes()


def test_a_cut_raw_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw" / "clicks_hour_000.csv.gz"
    path.write_bytes(clicks(path, 500)[:-100])
    ended = job("clean_logs", *options(tmp_path / "w", f"sources.clicks.path={tmp_path}/raw/*.csv.gz"))
    assert_one_message(ended, 1, f"{path} is damaged (", "deliver it again", "or leave it out by --quarantine-files")
    assert not (tmp_path / "w").exists()
    ended = job(
        "clean_logs", *options(tmp_path / "w", f"sources.clicks.path={tmp_path}/raw/*.gz"), "--quarantine-files"
    )
    assert ended.returncode == 0
    assert f"1 damaged file(s) left out, their lines are not known: {path} (" in ended.stderr


def test_a_raw_folder_without_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    ended = job("clean_logs", *options(tmp_path / "w", f"sources.clicks.path={tmp_path}/raw/*.csv.gz"))
    assert_one_message(ended, 1, f"nothing matches {tmp_path}/raw/*.csv.gz", "$.sources.clicks.path")
    assert not (tmp_path / "w").exists()


def publish_events(product: Path) -> Path:
    """A day of clicks as cleaning would publish them; the path of the only file."""
    columns = schemas.events(load_config(GLOBO, []))
    types = {"string": pa.string(), "timestamp": pa.timestamp("us", tz="UTC")}
    clicks = {
        name: [f"{name}-{n % 997}" for n in range(CLICKS)] for name, type_ in columns.items() if type_ == "string"
    }
    clock = [1_506_870_000_000_000 + 1_000_000 * n for n in range(CLICKS)]
    nothing = {name: [None] * CLICKS for name in schemas.EVENTS_VERDICTS}
    rows = clicks | nothing | {"event_time": clock, "available_at": clock, "event_type": ["click"] * CLICKS}
    folder, name = product / "events" / f"dt={DAY}", "data-0/part-00000.parquet"
    (folder / name).parent.mkdir(parents=True)
    schema = pa.schema([(column, types[type_]) for column, type_ in columns.items()])
    pq.write_table(pa.table(rows, schema=schema), folder / name)
    manifest = Manifest(
        dataset="events", product="globo", dt=DAY, origin="collected", run="0",
        files=(describe_file(str(folder), name, CLICKS),), rows=CLICKS, schema=columns, content_digest="0" * 16,
        inputs=(), key="k", config_hash="", code_version="",
    )  # fmt: skip
    write_manifest(str(folder), manifest)
    return folder / name


def test_a_published_file_with_other_bytes_in_its_middle_is_named(tmp_path: Path) -> None:
    path = publish_events(tmp_path / "globo")
    content = bytearray(path.read_bytes())
    content[4:-2000] = b"\xff" * len(content[4:-2000])
    path.write_bytes(content)
    ended = job("build_daily", *options(tmp_path))
    assert_one_message(ended, 1, f"{path} cannot be read (", "remove it and build this day again")
    assert {folder.parent.parent.name for folder in tmp_path.rglob("_MANIFEST.json")} == {"events"}


def test_a_job_killed_while_it_publishes_leaves_what_the_next_start_makes_whole(tmp_path: Path) -> None:
    peace, war = tmp_path / "peace", tmp_path / "war"
    for warehouse in (peace, war):
        publish_events(warehouse / "globo")
    process = kill_jobs.start([sys.executable, "-m", "jobs.build_daily", *options(war)])
    while process.poll() is None and not any((war / "globo").glob("daily/*/dt=*/data-*")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    assert kill_jobs.kill(process)
    assert set(kill_jobs.visible(war / "globo")) == {f"events/dt={DAY}"}
    for warehouse in (peace, war):
        assert job("build_daily", *options(warehouse)).returncode == 0
    datasets = kill_jobs.visible(war / "globo")
    assert datasets == kill_jobs.visible(peace / "globo")
    assert {name for name, digest in datasets.items() if int(digest, 16)} == {
        f"daily/{entity}/dt={DAY}" for entity in ("user", "item")
    }


# ---- what `make prove` says of longer runs --------------------------------------------------------------------------


def test_two_run_files_are_the_same_but_for_the_seconds() -> None:
    first, other, slower = (
        f'{{\n "auc": {auc},\n "seconds_by_step": {{\n  "train": {seconds}\n }}\n}}\n'
        for auc, seconds in ((0.7, 1.5), (0.8, 1.5), (0.7, 9.0))
    )
    assert second_run.without_seconds(first) == second_run.without_seconds(slower) != second_run.without_seconds(other)


def test_lines_are_held_against_the_truth_rule_by_rule(tmp_path: Path) -> None:
    config = load_config(
        ROOT / "conf" / "live.toml", ["simulate.users=40", "simulate.days=2", f"product.warehouse={tmp_path}"]
    )
    simulate_logs(config, Warehouse.of(config))
    told = second_run.fates(tmp_path / "live")
    rules = {rule: lines for rule, lines in told.items() if rule != "duplicate"}
    assert len(rules) > 3
    numbers = {"lines_read": 100 + told.total(), "events_kept": 100, "duplicates_dropped": told["duplicate"],
               "quarantined": sum(rules.values()), "quarantined_by_rule": rules}  # fmt: skip
    second_run.check_lines(numbers, told)
    with pytest.raises(AssertionError, match="malformed"):
        second_run.check_lines(numbers, told + second_run.Counter(malformed=1))
    with pytest.raises(AssertionError, match="accounted for"):
        second_run.check_lines({**numbers, "lines_read": 1}, told)


@pytest.mark.parametrize("named", [{}, {"GLOBO": "/no/such/folder"}])
def test_without_the_click_log_the_command_is_told(
    named: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GLOBO", raising=False)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert globo.main() == 2
    assert "Type: GLOBO=/folder/of/the/log make prove PART=globo" in capsys.readouterr().out


def test_simulating_refuses_a_folder_of_collected_logs(tmp_path: Path) -> None:
    path = tmp_path / "live" / "raw" / "events" / "dt=2026-01-01" / "data-0001.json.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    ended = job("simulate_logs", "--set", f"product.warehouse={tmp_path}")
    assert_one_message(ended, 3, f"{path} was not written by the simulator", "--set product.warehouse=FOLDER")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
