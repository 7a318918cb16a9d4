"""A chain of so many ops, from building to printing: the seconds and the bytes it takes."""

from __future__ import annotations

import time
import tracemalloc
from typing import NamedTuple

import numpy as np

import tsengine as ts


class Cost(NamedTuple):
    """Of one chain; bytes are the most that was held at once, and 0 where nobody counted."""

    ops: int
    seconds: float
    bytes: int


def chain(ops: int, count_bytes: bool) -> Cost:
    """Build the chain, differentiate, compile, run twice (the second time by the plan of the first) and print it.

    The rewrites would make nothing of it, and are left out.
    """
    start = time.monotonic()
    if count_bytes:
        tracemalloc.start()
    try:
        _run(ops)
        most = tracemalloc.get_traced_memory()[1] if count_bytes else 0
    finally:
        tracemalloc.stop()
    return Cost(ops, time.monotonic() - start, most)


def _run(ops: int) -> None:
    with ts.Graph().as_default() as graph:
        x = ts.placeholder(np.float32, [None], name="x")
        y = x
        for _ in range(ops):
            y = -y
        (grad,) = ts.gradients(y, [x])
        session = ts.Session(graph, disable={"rewrite"})
    for _ in range(2):
        value, slope = session.run([y, grad], {x: [3.0]})
        assert (value[0], slope[0]) == (3.0 * (-1) ** ops, (-1) ** ops)
    assert (session.stats.plans, session.stats.bindings) == (1, 1)
    assert session.plan([y, grad], {x: [3.0]}).dump().count("\n") > 2 * ops
    assert "negative" in repr(y)
