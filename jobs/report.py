"""Write the page of a day, and its numbers, from what is published. Needs no Spark, and refuses nothing."""

from __future__ import annotations

import argparse

from jobs.arguments import days_of, parser, run
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.storage import Warehouse


def report(config: Config, parsed: argparse.Namespace) -> None:
    """One page for each day of the range."""
    from pipeline.report import write_page
    from pipeline.statistics.judge import judge
    from pipeline.statistics.tell import summary_of

    warehouse, days = Warehouse.of(config), days_of(config, parsed)
    with Progress(len(days), "report") as progress:
        for day in days:
            page = write_page(config, warehouse, day, {})
            progress.done()
            progress.log("report", dt=day, found=summary_of(judge(config, warehouse, day)), page=page)


if __name__ == "__main__":
    run(report, parser(__doc__ or "", "the day whose page to write, or a range A..B"))
