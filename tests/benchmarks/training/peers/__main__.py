"""Times a peer's training step: `python -m tests.benchmarks.training.peers PEER WORKLOAD [--threads N] ...`.

Run by the Python that has the peers installed; it needs nothing else of this project. Prints one JSON line: what was
measured, or which peer is absent. `--versions` prints the versions of all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys

from tests.benchmarks.measuring.cores import pin
from tests.benchmarks.training.command_line import add_arguments
from tests.benchmarks.training.peers import PEERS
from tests.benchmarks.training.workloads import WORKLOADS


def main(arguments: list[str]) -> int:
    """Print the line."""
    if arguments == ["--versions"]:
        from tests.benchmarks.measuring.machine import versions

        print(json.dumps(versions(PEERS)))
        return 0
    parser = argparse.ArgumentParser(prog="peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer", choices=PEERS)
    add_arguments(parser)
    asked = parser.parse_args(arguments)
    threads = asked.threads or 1
    pin(threads, threads)
    os.environ.update(_environment(asked.peer, threads))
    print(_line(asked.peer, asked, threads))
    return 0


def _line(peer: str, asked: argparse.Namespace, threads: int) -> str:
    from tests.benchmarks.training.figures import figures, run  # they load NumPy, which reads what was just set

    try:
        importlib.import_module(peer)
    except ImportError as error:
        return json.dumps({"library": peer, "absent": str(error)})
    workload = WORKLOADS[asked.workload]
    load = importlib.import_module(f"tests.benchmarks.training.peers.{peer}").training
    rate, peaks = run(lambda: load(workload, threads, asked.rows), workload, asked.rows, asked.seconds, asked.steps)
    side = {"library": peer, "threads": threads, "workers": 0, "kernels": "", "rows": asked.rows}
    return figures(rate, workload, peaks, **side).line()


def _environment(peer: str, threads: int) -> dict[str, str]:
    """No accelerator, no chatter; XLA's own pool of threads off where there is to be one thread."""
    settings = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if peer == "jax" and threads == 1:
        settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
