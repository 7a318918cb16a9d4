"""What the jobs of single steps share: one Spark session, the days in order, one line for each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from jobs.arguments import days_of, parser, run
from pipeline.config import Config
from pipeline.days import Day
from pipeline.progress import Progress

if TYPE_CHECKING:
    from pipeline.runner import Outcome, Runner, Step


def run_step(name: str, description: str | None, days: str) -> NoReturn:
    """The whole of a step's job: `name` is the step's name in pipeline.road."""
    arguments = parser(description or "", days)
    arguments.add_argument("--new-generation", action="store_true", help="allow an older vocabulary to be built again")

    def job(config: Config, parsed: argparse.Namespace) -> None:
        from pipeline.table_road import step_named

        chosen, step = days_of(config, parsed), step_named(config, name)
        with Progress(len(chosen), name.lower()) as progress:
            run_days(start(config, parsed.new_generation), [step], chosen, progress)

    run(job, arguments)


def start(config: Config, new_generation: bool = False) -> Runner:
    """A runner on this process's Spark session."""
    from pipeline.runner import Runner
    from pipeline.session import build_session

    return Runner(config, build_session(config.product.name), new_generation)


def run_days(runner: Runner, steps: Iterable[Step], days: Iterable[Day], progress: Progress) -> list[Outcome]:
    """Every step of a day, day by day."""
    outcomes, steps = [], tuple(steps)
    for day in days:
        for step in steps:
            progress.doing(f"{day} {step.name}")
            outcome = runner.run(step, day)
            progress.done()
            _report(progress, outcome)
            outcomes.append(outcome)
    return outcomes


def _report(progress: Progress, outcome: Outcome) -> None:
    rows = {name.replace("/", "_"): manifest.rows for name, manifest in outcome.manifests.items()}
    state = "unchanged" if outcome.skipped else "built"
    progress.log(outcome.step, dt=outcome.day, state=state, seconds=round(outcome.seconds, 1), **rows)
