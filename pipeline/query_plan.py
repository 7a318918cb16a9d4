"""What Spark intends to do for a table: its physical plan, counted. Nothing is run.

The plan is the one that Spark starts from. While it runs, adaptive execution merges small partitions, takes an exchange
that is there already a second time, and joins by broadcast what turns out small: it may do less, never more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from pipeline.storage import path_of

SHUFFLE, BROADCAST, CARTESIAN, PYTHON = "shuffles", "broadcasts", "cartesian products", "python udfs"
KINDS = (SHUFFLE, BROADCAST, CARTESIAN, PYTHON)
NODES = {
    "ShuffleExchangeExec": SHUFFLE,
    "BroadcastExchangeExec": BROADCAST,
    "CartesianProductExec": CARTESIAN,
    "BroadcastNestedLoopJoinExec": CARTESIAN,
}
PYTHON_NODE = re.compile(r"Python|InPandas|InArrow")
SCAN = "FileSourceScanExec"


@dataclass(frozen=True)
class QueryPlan:
    """`counts` of KINDS; the files of each scan (a cached table counts once, however often it is read)."""

    counts: Mapping[str, int]
    scans: tuple[tuple[str, ...], ...]
    text: str


def query_plan(tables: Iterable[DataFrame]) -> QueryPlan:
    """The plans of several tables of one step together."""
    counts, scans, texts, cached = Counter[str](), list[tuple[str, ...]](), list[str](), set[int]()
    for table in tables:
        query = table._jdf.queryExecution()
        texts.append(str(query.executedPlan().treeString()))
        for name, node in _nodes(query.executedPlan(), cached):
            if name == SCAN:
                scans.append(tuple(map(path_of, node.relation().location().inputFiles())))
            elif name in NODES:
                counts[NODES[name]] += 1
            elif PYTHON_NODE.search(name):
                counts[PYTHON] += 1
    return QueryPlan({kind: counts[kind] for kind in KINDS}, tuple(scans), "\n".join(texts))


def _nodes(root: Any, cached: set[int]) -> Iterator[tuple[str, Any]]:
    """Class name and node of every operator, those of cached tables and subqueries too; no recursion."""
    pending = [root]
    while pending:
        node = pending.pop()
        name = str(node.getClass().getSimpleName())
        yield name, node
        if name == "AdaptiveSparkPlanExec":
            pending.append(node.executedPlan())
        elif name == "InMemoryTableScanExec":
            builder = node.relation().cacheBuilder()
            if (identity := int(builder.hashCode())) not in cached:
                cached.add(identity)
                pending.append(node.relation().cachedPlan())
        pending += _sequence(node.children())
        pending += _sequence(node.subqueries())


def _sequence(scala: Any) -> list[Any]:
    return [scala.apply(i) for i in range(scala.size())]
