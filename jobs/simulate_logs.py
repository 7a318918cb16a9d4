"""Write the simulated raw logs of the demonstration, as a collector would deliver them, with the truth beside them.

Those of an earlier simulation are removed first; a product that was not made from simulated logs is refused.
"""

from __future__ import annotations

import argparse

from jobs.arguments import parser, run
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.storage import Warehouse


def simulate(config: Config, parsed: argparse.Namespace) -> None:
    """All days of $.simulate."""
    from pipeline.demonstration import RAW, TRUTH, make_room, simulate_logs, simulation_config
    from pipeline.session import build_session

    warehouse = Warehouse.of(config)
    simulation_config(config)
    with Progress(1, "simulate") as progress:
        make_room(warehouse, (RAW, TRUTH))
        lines = simulate_logs(config, warehouse, build_session("simulate_logs"))
        progress.log("simulate_logs", **lines)


if __name__ == "__main__":
    run(simulate, parser(__doc__ or ""))
