"""The whole road for a day or a range: clean, sum, profile, number, build examples, look for drift; for the last day
train and recommend.

Days that are unchanged are skipped. Earlier days are not touched: when one is missing, the job says what to type. With
--step, one step alone. A day that fails is named at the end; what does not read its outputs is done all the same.
"""

from __future__ import annotations

import argparse

from jobs.arguments import days_of, run
from jobs.steps import STEPS, may_quarantine_files, run_days, run_one_step, start, step_parser
from pipeline.config import Config
from pipeline.days import Day, add_days
from pipeline.progress import Progress


def why_not_yet(config: Config, last: Day) -> str | None:
    """Why there is nothing to train on the last day; None when there is."""
    from pipeline.training.plan import untrainable

    enough = add_days(config.product.first_day, config.training.evaluation_days)
    if config.table is None and last < enough:
        return f"the first day with something to train and judge on is {enough}"
    return untrainable(config)


def day(config: Config, parsed: argparse.Namespace) -> None:
    """Data for every day; training and lists for the last one, once there are enough days to train and judge on.

    A table of rows has one day, and nothing to make lists of.
    """
    from pipeline.report import write_page
    from pipeline.road import RECOMMEND
    from pipeline.table_road import data_steps
    from pipeline.training import train

    if parsed.step is not None:
        run_one_step(config, parsed, parsed.step)
        return
    days, steps = days_of(config, parsed), data_steps(config)
    with Progress(len(days) * len(steps) + 2, "road") as progress:
        runner = start(config, parsed.new_generation, parsed.quarantine_files)
        run_days(runner, steps, days, progress, parsed.at_once)
        if reason := why_not_yet(config, days[-1]):
            progress.log("train", dt=days[-1], state="waiting", reason=reason)
            return
        result = train(config, runner.warehouse, days[-1], progress)
        progress.done()
        progress.log("train", dt=days[-1], state=result.gate, version=result.version, **result.headline)
        if config.table is None:
            run_days(runner, [RECOMMEND], days[-1:], progress)
            write_page(config, runner.warehouse, days[-1], {})


def main() -> None:
    """Parse and run."""
    arguments = step_parser(__doc__ or "", "the day, or a range A..B")
    may_quarantine_files(arguments)
    arguments.add_argument("--step", choices=sorted(STEPS), help="this step alone, without the training")
    run(day, arguments)


if __name__ == "__main__":
    main()
