"""Write the simulated raw logs of the demonstration, as a collector would deliver them, with the truth beside them."""

from __future__ import annotations

import argparse

from jobs.arguments import parser, run
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.storage import Warehouse


def simulate(config: Config, parsed: argparse.Namespace) -> None:
    """All days of $.simulate."""
    from pipeline.demonstration import simulate_logs
    from pipeline.session import build_session

    with Progress(1, "simulate") as progress:
        lines = simulate_logs(config, Warehouse.of(config), build_session("simulate_logs"))
        progress.log("simulate_logs", **lines)


if __name__ == "__main__":
    run(simulate, parser(__doc__ or ""))
