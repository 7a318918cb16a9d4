"""Random numbers: every node draws from a Philox stream keyed by (seed, the node's name, the step of the run).

How a node learns the step, and why so. A graph that draws has one variable more, `random/step`, an integer in the
graph's store. Reading it is the engine's one side effect: each run that needs it gets the next integer, once, and all
random nodes of the run share it. The rest follows:

- Random ops are pure functions of (step, their attributes), so the compiler may treat them like any other. Nothing is
  shared by mistake, because the node's name is an attribute, or folded, because the step is never a constant. A mask is
  made anew for the gradient, from the same name and step, instead of being kept.
- Numbers depend neither on the order of nodes nor on other nodes, nor on how a plan runs. The same graph, seeds and
  sequence of runs give the same numbers.
- The state is one integer among the variables: whoever saves the variables saves it, `assign` moves it,
  `global_variables_initializer` starts again from 0.
- The integer is handed out under a lock of its own, at the start and not by an update at the end. So runs that only
  read stay side by side, two sessions never draw the same step, and a fetch that names no update advances it too. The
  price: a run that fails has drawn its step all the same, and evaluation between training steps moves later steps on.
- It can be fed like any node: `session.run(fetches, {ts.random_step(): 7})` draws step 7 and leaves the state alone.
  The trainer of tsengine.parallel feeds step * shards + shard: the same numbers with any number of workers.

Bits are Philox's raw ones, which NumPy keeps the same for good, unlike the methods of its Generator. Uniform numbers
and masks are exact from there on; a normal one may differ in its last digits where a machine's log and cos do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tsengine import philox
from tsengine.composite import composite
from tsengine.errors import ShapeError
from tsengine.graph import Graph, Node, apply, as_node
from tsengine.ops.elementwise import Gradients, identity
from tsengine.ops.registry import REGISTRY, op
from tsengine.ops.shape import Ints, ints
from tsengine.scopes import get_default_graph
from tsengine.specs import DEFAULT_FLOAT, Array, Spec, need_kind, need_rank
from tsengine.store import VariableStore
from tsengine.variables import Variable

_STEP = Spec(np.dtype(np.int64), ())
_NO_INPUT_BUT_THE_STEP = "its only input is the step"
_NOT_SERVED = "a served model draws no random numbers"


class _Counter:
    """Hands out the integers of a variable, each once, however many threads ask."""

    def __init__(self, store: VariableStore, variable: str) -> None:
        self._store, self._variable, self._lock = store, variable, Lock()

    def draw(self) -> Array:
        with self._lock:
            storage = self._store.array(self._variable)
            drawn = storage.copy()
            np.add(storage, 1, out=storage)
            return drawn


@op("random_step", source=True, stateful=True)
class _RandomStep:
    """The number of this run among those that drew; the next run gets the next one."""

    nondifferentiable = "it has no inputs"

    @staticmethod
    def infer(counter: _Counter) -> Spec:
        return _STEP

    @staticmethod
    def compute(counter: _Counter) -> Array:
        return counter.draw()

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return ""  # nobody reads it: dropout is the identity there, and other random ops are refused


class RandomStep(Variable):
    """The variable `random/step`; as a node, the step that this run draws. Get it by `random_step()`."""

    __slots__ = ()

    def __init__(self, graph: Graph) -> None:
        scope, graph.names.scope = graph.names.scope, ""  # one name, wherever the first random node is made
        try:
            super().__init__(0, dtype=np.int64, name="random/step", trainable=False, graph=graph)
        finally:
            graph.names.scope = scope
        self.op, self.attrs = REGISTRY["random_step"], {"counter": _Counter(graph.store, self.name)}


def random_step(graph: Graph | None = None) -> RandomStep:
    """The step of a graph's random numbers, int64 []: fetch it to know, feed it to choose, assign it to move."""
    owner = graph or get_default_graph()
    found = random_step_of(owner)
    return RandomStep(owner) if found is None else found


def random_step_of(graph: Graph) -> RandomStep | None:
    """The step of a graph that draws; None where nothing was made so far that needs it."""
    return next((variable for variable in graph.variables.values() if isinstance(variable, RandomStep)), None)


def _key(seed: int, stream: str, step: Array) -> NDArray[np.uint64]:
    return philox.stream_key(seed, stream, int(step))


def _words(key: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """The first `count` 64-bit words of a stream."""
    return np.asarray(np.random.Philox(key=key).random_raw(count), np.uint64)


def _halves(key: NDArray[np.uint64], count: int) -> NDArray[np.uint32]:
    """The first `count` 32-bit halves of its words, the lower half of a word first."""
    return _words(key, -(-count // 2)).astype("<u8", copy=False).view("<u4")[:count]


def _need_step(step: Spec) -> None:
    if step != _STEP:
        raise ShapeError(f"the step must be {_STEP}, got {step}")


def _drawn(step: Spec, shape: Ints, dtype: np.dtype[Any]) -> Spec:
    _need_step(step)
    drawn = Spec(dtype, shape)
    need_kind(drawn, "f", "random numbers")
    if min(shape, default=0) < 0:
        raise ShapeError(f"the shape of random numbers must be known, got {list(shape)}")
    return drawn


@op("random_uniform")
class _RandomUniform:
    """Uniform in [low, high): the upper 24 bits of 32 for float32, the upper 53 of 64 for float64."""

    nondifferentiable = _NO_INPUT_BUT_THE_STEP
    not_exported = _NOT_SERVED

    @staticmethod
    def infer(step: Spec, shape: Ints, dtype: np.dtype[Any], low: float, high: float, seed: int, stream: str) -> Spec:
        return _drawn(step, shape, dtype)

    @staticmethod
    def kernel(out: Array, step: Array, low: float, high: float, seed: int, stream: str, **form: Any) -> None:
        key = _key(seed, stream, step)
        if out.dtype.itemsize <= 4:
            out[...] = ((_halves(key, out.size) >> np.uint32(8)) * np.float32(2.0**-24)).reshape(out.shape)
        else:
            out[...] = philox.uniform(_words(key, out.size)).reshape(out.shape)
        out *= high - low
        out += low


@op("random_normal")
class _RandomNormal:
    """Normal with a mean and a standard deviation, by Box-Muller in float64 on the halves of one word per number."""

    nondifferentiable = _NO_INPUT_BUT_THE_STEP
    not_exported = _NOT_SERVED

    @staticmethod
    def infer(
        step: Spec, shape: Ints, dtype: np.dtype[Any], mean: float, stddev: float, seed: int, stream: str
    ) -> Spec:
        return _drawn(step, shape, dtype)

    @staticmethod
    def kernel(out: Array, step: Array, mean: float, stddev: float, seed: int, stream: str, **form: Any) -> None:
        drawn = philox.normal(_words(_key(seed, stream, step), out.size))
        out[...] = (mean + stddev * drawn).reshape(out.shape)


@op("dropout", inplace=(0,))
class _Dropout:
    """x / (1 - rate) where an element is kept, 0 where it is dropped; x itself where training is false.

    It is linear in x, so its gradient is the same op, with the same stream and step, on the gradient.
    """

    @staticmethod
    def infer(x: Spec, step: Spec, training: Spec, rate: float, seed: int, stream: str) -> Spec:
        need_kind(x, "f", "x")
        _need_step(step)
        need_kind(training, "b", "training")
        need_rank(training, (0,), "training")
        return x

    @staticmethod
    def kernel(out: Array, x: Array, step: Array, training: Array, rate: float, seed: int, stream: str) -> None:
        if not training or not rate:
            np.copyto(out, x)
            return
        dropped = _halves(_key(seed, stream, step), x.size) < np.uint32(math.floor(rate * 2.0**32))
        np.multiply(x, 1.0 / (1.0 - rate), out=out)
        np.copyto(out, 0, where=dropped.reshape(x.shape))

    @staticmethod
    def gradient(node: Node, grad: Node) -> Gradients:
        return apply("dropout", grad, *node.inputs[1:], **node.attrs), None, None

    @staticmethod
    def onnx(builder: Any, node: Node, inputs: list[str]) -> str:
        return str(builder.add("Identity", inputs[:1]))  # an exported model does not train


def _named_by_itself(
    definition: str, inputs: tuple[Node, ...], name: str | None, seed: int | None, **attrs: Any
) -> Node:
    """A node whose stream is the name it gets."""
    graph = inputs[0].graph
    facts = {**attrs, "seed": 0 if seed is None else int(seed), "stream": ""}
    node = graph.create(REGISTRY[definition], inputs, facts, name)
    node.attrs["stream"] = node.name  # the name is known only now; nobody has seen the node yet
    return node


def random_uniform(
    shape: int | Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    seed: int | None = None,
    dtype: DTypeLike = DEFAULT_FLOAT,
    name: str | None = None,
) -> Node:
    """Uniform numbers in [low, high), others in every run (rounding may reach `high` where low is not 0).

    A seed of None is 0: nodes differ by their names. Whoever needs the same numbers again keeps name, seed and step.
    """
    form = {"shape": ints(shape), "dtype": np.dtype(dtype), "low": float(low), "high": float(high)}
    return _named_by_itself("random_uniform", (random_step(),), name, seed, **form)


def random_normal(
    shape: int | Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    seed: int | None = None,
    dtype: DTypeLike = DEFAULT_FLOAT,
    name: str | None = None,
) -> Node:
    """Normal numbers, others in every run; at most 6.7 standard deviations from the mean. Seeds as `random_uniform`."""
    form = {"shape": ints(shape), "dtype": np.dtype(dtype), "mean": float(mean), "stddev": float(stddev)}
    return _named_by_itself("random_normal", (random_step(),), name, seed, **form)


@composite
def dropout(
    x: Any, rate: float, seed: int | None = None, training: Node | bool = True, name: str | None = None
) -> Node:
    """Each element of x is 0 with probability `rate`, else x / (1 - rate), so the expectation is x (Srivastava et al.
    2014, https://jmlr.org/papers/v15/srivastava14a.html, in the inverted form).

    training: a bool, or a bool node [] such as `ts.placeholder(np.bool_, [])`; where it is false, and at rate 0, x
    comes through as it is. Forward and backward pass of one run use one mask, the next run another one. Seeds as
    `random_uniform`. Exported to ONNX it is the identity, whatever `training` is.
    """
    if not 0 <= rate < 1:
        raise ShapeError(f"the rate of dropout must lie in [0, 1), got {rate}")
    node = as_node(x)
    if not rate or training is False:
        return identity(node, name=name)
    active = as_node(training, np.bool_, node.graph)
    return _named_by_itself("dropout", (node, random_step(node.graph), active), name, seed, rate=float(rate))
