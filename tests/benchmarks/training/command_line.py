"""What a timed process is asked. This module must not import NumPy: its user pins the process before that is loaded."""

from __future__ import annotations

import argparse

from tests.benchmarks.training.workloads import ROWS, WORKLOADS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that every side has."""
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--threads", type=at_least_one, help="cores, with as many threads (1)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the clock, after the warm-up (5)")
    parser.add_argument("--steps", type=at_least_one, help="exactly so many steps from the start, instead of --seconds")
    parser.add_argument("--rows", type=at_least_one, default=ROWS, help="of the tables of ctr (1,000,000)")


def at_least_one(text: str) -> int:
    """A count."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number
