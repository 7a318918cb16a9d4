"""Thousands of random graphs: gradients against central differences, buffers watched at work, every subset of passes.

The graphs are the same in every run. One that fails is made smaller, and shown as the recipe that builds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from tests.tsengine import random_graph_checks as checks
from tests.tsengine.random_graph_checks import SUBSETS, Tally
from tsengine.testing.random_graphs import Recipe


def show(check: Callable[[Recipe], float], graphs: int, largest: int, result: Callable[[Tally], str]) -> None:
    """Check so many graphs and say what came of it."""
    start = time.monotonic()
    tally = checks.hold(check, graphs, largest)
    sizes = f"{min(tally.sizes)} to {max(tally.sizes)} ops, median {np.median(tally.sizes):.0f}"
    seconds = time.monotonic() - start
    print(f"{check.__name__}: {len(tally.sizes)} graphs of {sizes}; {result(tally)}; {seconds:.0f} s", flush=True)


def worst(tally: Tally) -> str:
    """The worst error against a central difference."""
    return f"worst relative error {max(tally.results):.1e}, {checks.TOLERANCE} is allowed"


def watched(tally: Tally) -> str:
    """How much was watched."""
    return f"{sum(tally.results):,.0f} instructions watched"


def compared(tally: Tally) -> str:
    """How often passes were switched off."""
    return f"{len(SUBSETS)} subsets of passes off, {sum(tally.results):,.0f} comparisons"


def main() -> None:
    """Every check raises where it does not hold."""
    show(checks.gradient_is_right, 4000, 60, worst)
    show(checks.second_derivative_is_right, 600, 30, worst)
    show(checks.no_live_value_is_overwritten, 1000, 60, watched)
    show(checks.training_overwrites_no_live_value, 1000, 60, watched)
    show(checks.every_subset_of_passes_gives_the_same, 200, 60, compared)
    show(checks.every_subset_of_passes_trains_the_same, 200, 60, compared)


if __name__ == "__main__":
    main()
