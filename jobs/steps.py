"""What the jobs of single steps share: one Spark session, every day when what it reads is there, one line for each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from jobs.arguments import days_of, parser, positive, run
from pipeline.config import Config
from pipeline.days import Day
from pipeline.progress import Progress

if TYPE_CHECKING:
    from pipeline.runner import Outcome, Runner
    from pipeline.step import Step


STEPS = {
    "clean_logs": "CLEAN",
    "build_sessions": "SESSIONS",
    "build_daily": "DAILY",
    "build_profiles": "PROFILES",
    "build_vocab": "VOCAB",
    "build_examples": "EXAMPLES",
    "build_statistics": "STATISTICS",
    "recommend": "RECOMMEND",
}
"""Each step's job and its name in pipeline.road."""


def run_step(job_name: str, description: str | None, days: str) -> NoReturn:
    """The whole of a step's job."""
    arguments = step_parser(description or "", days)
    if job_name == "clean_logs":
        may_quarantine_files(arguments)

    def job(config: Config, parsed: argparse.Namespace) -> None:
        run_one_step(config, parsed, job_name)

    run(job, arguments)


def step_parser(description: str, days: str) -> argparse.ArgumentParser:
    """The arguments of every job that runs steps of the road."""
    arguments = parser(description, days)
    arguments.add_argument("--new-generation", action="store_true", help="allow an older vocabulary to be built again")
    arguments.add_argument(
        "--at-once",
        type=positive,
        default=1,
        metavar="N",
        help="so many steps and days run side by side, where they do not read one another (default: %(default)s)",
    )
    return arguments


def may_quarantine_files(arguments: argparse.ArgumentParser) -> None:
    """The argument of jobs that read raw files."""
    arguments.add_argument(
        "--quarantine-files",
        action="store_true",
        help="leave out damaged raw files: each becomes one quarantined row, instead of stopping the job",
    )


def run_one_step(config: Config, parsed: argparse.Namespace, job_name: str) -> None:
    """One step on every day of --dt; the way out of a failure is the same command again."""
    from pipeline.table_road import step_named

    days, step = days_of(config, parsed), step_named(config, STEPS[job_name])
    with Progress(len(days), job_name) as progress:
        runner = start(config, parsed.new_generation, getattr(parsed, "quarantine_files", False))
        run_days(runner, [step], days, progress, parsed.at_once)


def start(config: Config, new_generation: bool = False, quarantine_files: bool = False) -> Runner:
    """A runner on this process's Spark session."""
    from pipeline.runner import Runner
    from pipeline.session import build_session

    return Runner(config, build_session(config.product.name), new_generation, quarantine_files)


def run_days(
    runner: Runner, steps: Sequence[Step], days: Iterable[Day], progress: Progress, at_once: int = 1
) -> list[Outcome]:
    """Every step of every day, `at_once` at a time; raises what failed when all that does not need it is done."""
    from pipeline.runner import SHARE
    from pipeline.schedule import Schedule, Task, needs, tasks_of

    context, outcomes = runner.spark.sparkContext, []

    def work(task: Task) -> Outcome:
        progress.doing(str(task))
        context.setLocalProperty(SHARE, str(task))  # shares are equal; the jobs of one wait for one another
        return runner.run(task.step, task.day)

    schedule = Schedule(needs(runner.config, tasks_of(steps, days)), at_once)
    for outcome in schedule.run(work, context.cancelAllJobs):
        progress.done()
        _report(runner.config, progress, outcome)
        outcomes.append(outcome)
    schedule.check()
    return outcomes


def _report(config: Config, progress: Progress, outcome: Outcome) -> None:
    from pipeline.compaction import has_small_files

    rows = {name.replace("/", "_"): manifest.rows for name, manifest in outcome.manifests.items()}
    state = "unchanged" if outcome.skipped else "built"
    found = {"found": outcome.found} if outcome.found else {}
    progress.log(outcome.step, dt=outcome.day, state=state, seconds=round(outcome.seconds, 1), **rows, **found)
    for name, manifest in outcome.manifests.items():
        if not outcome.skipped and has_small_files(manifest):
            command = config.command("compact", DATASET=name, DT=outcome.day)
            progress.log("small_files", dataset=name, dt=outcome.day, files=len(manifest.files), type=command)
