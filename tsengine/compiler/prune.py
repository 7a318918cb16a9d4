"""Prune: from the graph, only what the fetches need and the feeds do not give."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tsengine.compiler.program import Program, Step, step_of
from tsengine.errors import MissingFeed
from tsengine.graph import Node, ancestors, format_site
from tsengine.ops.registry import REGISTRY


def prune(fetches: list[Node], feeds: list[Node]) -> Program:
    """The program of the fetches. A placeholder that it needs and nobody feeds is an error."""
    fed = frozenset(node.id for node in feeds)
    needed = ancestors([*fetches], stop=fed)
    steps = [_fed(node) if node.id in fed else step_of(node) for node in needed]
    for step in steps:
        if step.op.name == "placeholder" and step.id not in fed:
            raise MissingFeed(_missing(step.node))
    used = tuple(node.id for node in needed if node.id in fed)
    return Program(tuple(steps), used, tuple(node.id for node in fetches))


def sweep(program: Program, keep: Collection[int] = ()) -> Program:
    """Without the steps that no fetch needs any more after other passes, but for those to keep."""
    needed = {*program.fetches, *keep}
    kept = []
    for step in reversed(program.steps):
        if step.id in needed:
            kept.append(step)
            needed.update(step.inputs)
    feeds = tuple(item for item in program.feeds if item in needed)
    return replace(program, steps=tuple(reversed(kept)), feeds=feeds)


def _fed(node: Node) -> Step:
    return Step(node.id, REGISTRY["placeholder"], (), {"spec": node.value_spec}, node.value_spec, node)


def _missing(node: Node) -> str:
    return (
        f"You must feed a value for placeholder tensor '{node.name}' with dtype and shape {node.spec}, "
        f"made at {format_site(node.site)}: session.run(fetches, {{{node.name}: value}})"
    )
