"""The demonstration: simulate a service's logs, go the whole road, and state the model's quality against the truth.

The product's folder is emptied first; a product that was not made from simulated logs is refused.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

from jobs.arguments import parser, run
from jobs.steps import run_days, start
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.progress import Progress

Result = TypeVar("Result")


class Clock:
    """Seconds by part of the road."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, part: str, work: Callable[[], Result]) -> Result:
        """Do the work and note how long it took."""
        begin = time.monotonic()
        result = work()
        self.add(part, time.monotonic() - begin)
        return result

    def add(self, part: str, seconds: float) -> None:
        """Note seconds of a part."""
        self.seconds[part] = round(self.seconds.get(part, 0.0) + seconds, 1)


def demonstrate(config: Config, parsed: argparse.Namespace) -> None:
    """From nothing to a model, lists, a page and a table for a person."""
    from pipeline.demonstration import make_room, simulate_logs, simulation_config
    from pipeline.report import summary
    from pipeline.road import RECOMMEND
    from pipeline.table_road import data_steps
    from pipeline.training import train
    from pipeline.training.baseline import baseline_auc

    if config.simulate is None:
        raise ConfigError(
            f"{parsed.conf} has no [simulate]: it is no demonstration. Type: make day CONF={parsed.conf} DT=..."
        )
    days, steps = simulation_config(config).dates, data_steps(config)
    clock = Clock()
    with Progress(len(days) * len(steps) + 4, "road") as progress:
        runner = clock.time("start", lambda: start(config))
        make_room(runner.warehouse)
        progress.log(
            "simulate_logs",
            **clock.time("simulate_logs", lambda: simulate_logs(config, runner.warehouse, runner.spark)),
        )
        progress.done()
        for outcome in run_days(runner, steps, days, progress):
            clock.add(outcome.step, outcome.seconds)
        trained = clock.time("train", lambda: train(config, runner.warehouse, days[-1], progress))
        progress.done()
        baseline = clock.time("baseline", lambda: baseline_auc(config, runner.warehouse, days[-1]))
        progress.done()
        clock.time("recommend", lambda: run_days(runner, [RECOMMEND], days[-1:], progress))
    print(summary(config, runner.warehouse, days, trained, baseline, clock.seconds))


if __name__ == "__main__":
    run(demonstrate, parser(__doc__ or ""))
