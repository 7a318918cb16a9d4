"""Train on the days before --dt, judge on the latest ones, export, and pass the gate. Needs no Spark."""

from __future__ import annotations

import argparse

from jobs.arguments import days_of, parser, run
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.storage import Warehouse


def train_days(config: Config, parsed: argparse.Namespace) -> None:
    """One training for each day of the range."""
    from pipeline.training import train

    days = days_of(config, parsed)
    with Progress(len(days), "train") as progress:
        for day in days:
            result = train(config, Warehouse.of(config), day, progress)
            progress.done()
            progress.log(
                "train", dt=day, state=result.gate, version=result.version, artifact=result.folder, **result.headline
            )


if __name__ == "__main__":
    run(train_days, parser(__doc__ or "", "the last day of data: the evaluation ends there"))
