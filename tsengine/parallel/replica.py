"""What a program hands to a worker: its graph, what to feed, and how each variable learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from tsengine.graph import Graph, Node
from tsengine.specs import Array
from tsengine.train import Rule


class ShardedStep(Protocol):
    """One global batch as one rank sees it."""

    @property
    def index(self) -> int:
        """Which step, from 0."""

    @property
    def weight_sum(self) -> float:
        """Weight of all rows of the global batch, on whatever rank."""

    @property
    def shards(self) -> Sequence[tuple[int, Mapping[str, Array]]]:
        """This rank's (shard number, inputs by name)."""


@dataclass(frozen=True)
class Learning:
    """How one variable learns: the rule, its rate, and the weight decay that is added to the gradient."""

    rule: Rule
    learning_rate: float
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Replica:
    """A worker's copy of the model.

    loss          scalar: the SUM over a shard's rows of weight * loss, divided by `batch_weight`
    feeds         input name -> placeholder; every shard feeds all of them, always with the same shapes
    batch_weight  placeholder of the global batch's weight sum
    learning      variable name -> how it learns; a variable that is not named stays as it is
    table_rows    name of a variable with sparse gradients -> gradient rows of one shard at most
    batches       (rank, world, first step) -> the steps from there on
    steps         how many there are in all
    watched       name -> node [rows of a shard], float32; `observe` gets them as [shards, rows]
    observe       numbers to report every `observe_every` steps, computed by one rank from the watched values
    """

    graph: Graph
    loss: Node
    feeds: Mapping[str, Node]
    batch_weight: Node
    learning: Mapping[str, Learning]
    table_rows: Mapping[str, int]
    batches: Callable[[int, int, int], Iterator[ShardedStep]]
    steps: int
    watched: Mapping[str, Node] = field(default_factory=dict)
    observe: Callable[[Mapping[str, Array]], Mapping[str, float]] | None = None
    observe_every: int = 20


def load_program(name: str) -> Callable[[Mapping[str, Any]], Replica]:
    """The function `module:function` that makes a replica from a JSON object."""
    module, _, function = name.partition(":")
    program: Callable[[Mapping[str, Any]], Replica] = getattr(import_module(module), function)
    return program
