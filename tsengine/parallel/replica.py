"""What a program hands to a worker: its graph, what to feed, and how each variable learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from tsengine.graph import Graph, Node
from tsengine.specs import Array
from tsengine.train import Rule, Schedule, clip_by_global_norm, clip_by_norm, clip_by_value
from tsengine.train.schedules import as_schedule


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
    """How one variable learns, from the gradient of the whole batch: clipped by value, by its norm, by the norm over
    all variables (`Replica.clip_global_norm`), then decayed, then given to the rule.

    rule           of tsengine.train
    learning_rate  a number, or a schedule of tsengine.train: a function of the step
    weight_decay   times the variable, is added to the clipped gradient
    clip_value     (low, high): every element is held within, low <= 0 <= high
    clip_norm      g * limit / max(|g|, limit)
    """

    rule: Rule
    learning_rate: float | Schedule
    weight_decay: float = 0.0
    clip_value: tuple[float, float] | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Refuse, as tsengine.train does, limits that make no sense."""
        if self.clip_value is not None:
            clip_by_value(*self.clip_value)
        if self.clip_norm is not None:
            clip_by_norm(self.clip_norm)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return float(as_schedule(self.learning_rate)(step))


@dataclass(frozen=True)
class Average:
    """How a variable follows the batches without a gradient: v = keep * v + (1 - keep) * the sum of `part` over shards.

    The moving averages of a batch normalization, whose statistics are a shard's, weigh each shard by its rows:

        y, mean, variance = ts.batch_norm_train(x, scale, offset)
        share = ts.reduce_sum(weight) / batch_weight
        averages = {"moving_mean": Average(mean * share, 0.99), "moving_variance": Average(variance * share, 0.99)}

    A batch without any weight moves none.
    """

    part: Node
    keep: float


@dataclass(frozen=True)
class Replica:
    """A worker's copy of the model.

    loss          scalar: the SUM over a shard's rows of weight * loss, divided by `batch_weight`
    feeds         input name -> placeholder; every shard feeds all of them, always with the same shapes
    batch_weight  placeholder of the global batch's weight sum
    learning      variable name -> how it learns; a variable that is in neither this nor `averages` stays as it is
    table_rows    name of a variable with sparse gradients -> gradient rows of one shard at most
    batches       (rank, world, first step) -> the steps from there on
    steps         how many there are in all
    watched       name -> node [rows of a shard], float32; `observe` gets them as [shards, rows]
    observe       numbers to report every `observe_every` steps, computed by one rank from the watched values
    averages      variable name -> what it follows
    clip_global_norm
                  limit of the norm over the gradients of all learning variables: g * limit / max(norm, limit)

    Random ops draw by (seed, step, shard, their name): the trainer feeds `random_step()` with step * shards + shard. So
    that variable is no state of a training. It stays as it began; to go on in a session with numbers that were not
    drawn yet, set it to steps * shards.
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
    averages: Mapping[str, Average] = field(default_factory=dict)
    clip_global_norm: float | None = None

    def __post_init__(self) -> None:
        """Refuse a limit that makes no sense."""
        if self.clip_global_norm is not None:
            clip_by_global_norm(self.clip_global_norm)


def load_program(name: str) -> Callable[[Mapping[str, Any]], Replica]:
    """The function `module:function` that makes a replica from a JSON object."""
    module, _, function = name.partition(":")
    program: Callable[[Mapping[str, Any]], Replica] = getattr(import_module(module), function)
    return program
