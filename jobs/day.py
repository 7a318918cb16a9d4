"""The whole road for a day or a range: clean, sum, profile, number, build examples, look for drift; for the last day
train and recommend.

Days that are unchanged are skipped. Earlier days are not touched: when one is missing, the job says what to type.
"""

from __future__ import annotations

import argparse

from jobs.arguments import days_of, parser, run
from jobs.steps import run_days, start
from pipeline.config import Config
from pipeline.days import add_days
from pipeline.progress import Progress


def day(config: Config, parsed: argparse.Namespace) -> None:
    """Data for every day; training and lists for the last one, once there are enough days to train and judge on."""
    from pipeline.report import write_page
    from pipeline.road import DATA_STEPS, RECOMMEND
    from pipeline.training import train

    days = days_of(parsed)
    with Progress(len(days) * len(DATA_STEPS) + 2, "road") as progress:
        runner = start(config, parsed.new_generation)
        run_days(runner, DATA_STEPS, days, progress)
        enough = add_days(config.product.first_day, config.training.evaluation_days)
        if days[-1] < enough:
            progress.log(
                "train",
                dt=days[-1],
                state="waiting",
                reason=f"the first day with something to train and judge on is {enough}",
            )
            return
        result = train(config, runner.warehouse, days[-1], progress)
        progress.done()
        progress.log("train", dt=days[-1], state=result.gate, version=result.version, **result.headline)
        run_days(runner, [RECOMMEND], days[-1:], progress)
        write_page(config, runner.warehouse, days[-1], {})


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "", "the day, or a range A..B")
    arguments.add_argument("--new-generation", action="store_true", help="allow an older vocabulary to be built again")
    run(day, arguments)


if __name__ == "__main__":
    main()
