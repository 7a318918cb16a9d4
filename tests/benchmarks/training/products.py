"""The matrix products of one training step and nothing else, each into memory that is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from tests.benchmarks.training.data import Array
from tests.benchmarks.training.workloads import NUMBERS, Workload


def bare_products(workload: Workload) -> Callable[[], None]:
    """A function that makes them all once, operands transposed as the gradients need it."""
    products = [(a, b, np.empty((len(a), b.shape[1]), np.float32)) for a, b in _operands(workload)]

    def run() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return run


def _operands(workload: Workload) -> Iterator[tuple[Array, Array]]:
    """Of every layer x @ W, x' @ g and g @ W', but for the inputs' gradient where the inputs are data."""
    rng = np.random.default_rng(0)
    for place, (size, out) in enumerate(pairwise(workload.widths)):
        x, weights, slope = (
            _drawn(rng, shape) for shape in ((workload.batch, size), (size, out), (workload.batch, out))
        )
        yield x, weights
        yield x.T, slope
        if place or workload.has_tables:
            yield slope, weights.T
    if workload.has_tables:
        numbers, weights, slope = (
            _drawn(rng, shape) for shape in ((workload.batch, NUMBERS), (NUMBERS, 1), (workload.batch, 1))
        )
        yield numbers, weights
        yield numbers.T, slope


def _drawn(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.normal(size=shape).astype(np.float32)
