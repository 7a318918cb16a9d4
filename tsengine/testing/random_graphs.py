"""Random graphs as data: a recipe names inputs and, for each op, four numbers that say which op over which values.

Any source of numbers can write one, also a property test that makes what fails smaller. Values stay of order one and
ops are smooth but for kinks, so that gradients can be checked by differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

import tsengine as ts
from tsengine.graph import Node, as_node
from tsengine.specs import Array, Spec
from tsengine.testing.random_ops import OPS

Build = Callable[..., Node]
Pick = tuple[int, int, int, int]
SHAPES = ((3, 4), (4,), (1, 4), (3, 1), (), (2, 3, 4), (5, 3), (1, 2, 4, 4))
_LARGEST = 96  # elements; a larger result goes on as a part of it


@dataclass(frozen=True)
class Recipe:
    """How many of the input shapes there are, the seed of their values, and (op, operand, operand, variant) per op."""

    inputs: int
    seed: int
    picks: tuple[Pick, ...]

    def arrays(self, dtype: DTypeLike = np.float64) -> list[Array]:
        """Values for the inputs."""
        rng = np.random.default_rng(self.seed)
        return [rng.standard_normal(SHAPES[place]).astype(dtype) for place in range(self.inputs)]

    def build(self, *inputs: Node) -> Node:
        """A vector of everything that no other op took, from nodes that hold such arrays."""
        garden = Garden(inputs, [SHAPES[place] for place in range(self.inputs)])
        for pick in self.picks:
            garden.grow(*pick)
        return garden.harvest()

    def names(self) -> list[str]:
        """The ops by name, for a person."""
        return [_name(pick[0]) for pick in self.picks]


def _name(number: int) -> str:
    return list(OPS)[number % len(OPS)]


class Garden:
    """The values made so far. Their shapes are known here even where the graph does not know them."""

    def __init__(self, inputs: Sequence[Node], shapes: Sequence[tuple[int, ...]]) -> None:
        self.graph = inputs[0].graph
        self.nodes = list(inputs)
        self._specs = {node.id: node.value_spec.with_shape(given) for node, given in zip(inputs, shapes, strict=True)}
        self._next = min(self._specs)
        self._taken: set[int] = set()

    def grow(self, number: int, left: int, right: int, variant: int) -> None:
        """One more op over values made before."""
        x, y = (self.nodes[place % len(self.nodes)] for place in (left, right))
        self._taken |= {x.id, y.id}
        made = OPS[_name(number)](self, x, y, variant)
        self.nodes.append(made if math.prod(self.shape(made)) <= _LARGEST else self.shaped(made, (3, 4)))

    def harvest(self) -> Node:
        """All values that no op took, side by side."""
        ends = [node for node in self.nodes if node.id not in self._taken]
        return ts.concat([ts.reshape(node, [-1]) for node in ends], 0)

    def shape(self, node: Node) -> tuple[int, ...]:
        """The shape that a value will have."""
        for item in self.graph.nodes[self._next :]:
            if item.id not in self._specs:
                self._specs[item.id] = self._inferred(item)
        self._next = len(self.graph.nodes)
        return tuple(size or 0 for size in self._specs[node.id].shape or ())

    def _inferred(self, node: Node) -> Spec:
        if node.op.source:
            return node.value_spec
        found: Spec = node.op.infer(*(self._specs[item.id] for item in node.inputs), **node.attrs)
        return found

    def shaped(self, x: Node, wanted: tuple[int, ...]) -> Node:
        """x in another shape: broadcast where that can be, else some of its elements, or all of them again."""
        have = self.shape(x)
        if have == wanted:
            return x
        if _broadcasts(have, wanted):
            return ts.broadcast_to(x, wanted)
        size, count = math.prod(have), math.prod(wanted)
        flat = ts.reshape(x, [-1])
        if size < count:
            flat = ts.tile(flat, [-(-count // size)])
        return ts.reshape(ts.slice(flat, [0], [count]), wanted)

    def beside(self, x: Node, y: Node) -> Node:
        """y, or some of it in x's shape where the two do not broadcast."""
        one, other = self.shape(x), self.shape(y)
        sizes = zip(one[::-1], other[::-1], strict=False)
        return y if all(a == b or 1 in (a, b) for a, b in sizes) else self.shaped(y, one)

    def constant(self, x: Node, values: Array) -> Node:
        """A constant in the graph of x; floats in x's dtype."""
        return as_node(values, x.dtype if values.dtype.kind == "f" else None, x.graph)


def _broadcasts(have: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    pairs = zip(have[::-1], wanted[::-1], strict=False)
    return len(have) <= len(wanted) and all(size in (1, other) for size, other in pairs)
