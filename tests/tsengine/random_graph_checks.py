"""What must hold of every random graph; a few hundred in the tests, thousands in `make prove PART=random_graphs`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tsengine as ts
from tsengine.compiler.pipeline import PASSES
from tsengine.kernels import NAMES, installed
from tsengine.specs import Array
from tsengine.store import VariableStore
from tsengine.testing.gradcheck import gradient_error
from tsengine.testing.interpreter import interpret, interpret_run
from tsengine.testing.random_graphs import SHAPES, Build, Recipe
from tsengine.testing.watched_plan import watch_plan
from tsengine.testing.watched_run import watch_run

TOLERANCE = 1e-6
EXACT = {"fold", "cse", "memory"}
"""Passes that change no bit; the others are fusions and rewrites, which may round differently."""
KERNELS = NAMES if installed() else NAMES[:1]
SUBSETS = [subset for size in range(len(PASSES) + 1) for subset in itertools.combinations(PASSES, size)]
RULES = (
    ts.train.GradientDescent(), ts.train.Momentum(nesterov=True), ts.train.Adam(), ts.train.Adagrad(),
    ts.train.RMSProp(), ts.train.FTRL(), ts.train.AdamW(),
)  # fmt: skip
TABLE_RULES = (ts.train.RowWiseAdagrad(), ts.train.LazyAdam(), ts.train.GradientDescent(), ts.train.Adagrad())


@st.composite
def recipes(draw: st.DrawFn, smallest: int = 3, largest: int = 60) -> Recipe:
    """Graphs of so many ops, of all sizes alike."""
    size = draw(st.integers(smallest, largest))
    number = st.integers(0, 9999)
    picks = draw(st.lists(st.tuples(number, number, number, number), min_size=size, max_size=size))
    return Recipe(draw(st.integers(3, len(SHAPES))), draw(number), tuple(picks))


@dataclass
class Tally:
    """How many graphs were tried, of how many ops, and the worst that was found."""

    sizes: list[int] = field(default_factory=list)
    results: list[float] = field(default_factory=list)
    ops: set[str] = field(default_factory=set)

    def add(self, recipe: Recipe, result: float) -> None:
        """Note one graph."""
        self.sizes.append(len(recipe.picks))
        self.results.append(result)
        self.ops.update(recipe.names())


def hold(check: Callable[[Recipe], float], graphs: int, largest: int = 60, shrink: bool = True) -> Tally:
    """Check so many graphs, always the same ones; what fails is made smaller and shown as a recipe."""
    tally = Tally()

    @settings(
        max_examples=graphs,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )
    @given(recipes(largest=largest))
    def tried(recipe: Recipe) -> None:
        tally.add(recipe, check(recipe))

    tried()
    return tally


def gradient_is_right(recipe: Recipe) -> float:
    """Its error against a central difference. A kink within the step is no mistake: a shorter step leaves it behind."""
    return _error(recipe, recipe.build)


def second_derivative_is_right(recipe: Recipe) -> float:
    """The same for the gradient of the gradient, unless that is refused."""

    def build(*nodes: ts.Node) -> ts.Node:
        found = ts.gradients(ts.reduce_sum(ts.square(recipe.build(*nodes))), nodes)
        return ts.concat([ts.reshape(grad, [-1]) for grad in found if isinstance(grad, ts.Node)], 0)

    try:
        return _error(recipe, build)
    except ts.errors.GradientError as error:
        assert "a bag has a first derivative only" in str(error)
        return 0.0


def _error(recipe: Recipe, build: Build) -> float:
    kernels = KERNELS[recipe.seed // 3 % len(KERNELS)]
    for step in (1e-6, 1e-7, 1e-5):
        known = (recipe.seed % 3 == 0, recipe.seed % 3 < 2)
        error = gradient_error(build, recipe.arrays(), recipe.seed, step, *known, kernels)
        if error < TOLERANCE:
            return error
    raise AssertionError(f"off by {error}: {recipe.names()}")


def forward_and_backward(recipe: Recipe) -> tuple[list[ts.Node], dict[ts.Node, Array]]:
    """A graph's value and all its gradients, as fetches and feeds; float32 or float64, shapes known or not."""
    arrays = recipe.arrays(np.float32 if recipe.seed % 2 else np.float64)
    with ts.Graph().as_default():
        inputs = [ts.placeholder(array.dtype, array.shape if recipe.seed % 3 else None) for array in arrays]
        y = recipe.build(*inputs)
        grads = [grad for grad in ts.gradients(y, inputs) if isinstance(grad, ts.Node)]
    return [y, *grads], dict(zip(inputs, arrays, strict=True))


def no_live_value_is_overwritten(recipe: Recipe) -> float:
    """With all passes, and without those that make other instructions; how many instructions were watched."""
    fetches, feeds = forward_and_backward(recipe)
    rows = sum(watch_plan(fetches, feeds, kernels) for kernels in KERNELS[1:])
    return rows + watch_run(fetches, feeds) + watch_run(fetches[:1], feeds, set(PASSES) - {"memory"})


def training_overwrites_no_live_value(recipe: Recipe) -> float:
    """The same for a step of an optimizer: what updates read, and values shared with them."""
    loss, step, feeds = training(recipe)
    return watch_run([loss, step], feeds) + sum(watch_plan([loss, step], feeds, kernels) for kernels in KERNELS[1:])


def every_subset_of_passes_gives_the_same(recipe: Recipe) -> float:
    """Each subset switched off against the naive interpreter.

    The same bits with NumPy's kernels, whose order of sums it shares; within tolerance where fusions are on.
    """
    fetches, feeds = forward_and_backward(recipe)
    reference = interpret(fetches, feeds)
    for off, kernels in itertools.product(SUBSETS, KERNELS):
        session = ts.Session(fetches[0].graph, kernels=kernels, disable=off, checked=True)
        for _ in range(2):  # the second run meets buffers that hold the first one's values
            _compare(session.run(fetches, feeds), reference, off, kernels)
    return len(SUBSETS) * len(KERNELS)


def training(recipe: Recipe) -> tuple[ts.Node, ts.Node, dict[ts.Node, Array]]:
    """(loss, step, feeds): most inputs are variables, one is fed, and a table is used by its rows alone."""
    arrays, seed = recipe.arrays(np.float32 if recipe.seed % 2 else np.float64), recipe.seed
    with ts.Graph().as_default():
        fed = ts.placeholder(arrays[0].dtype, [None] * arrays[0].ndim)
        inputs = [fed, *(ts.Variable(array) for array in arrays[1:])]
        table = ts.Variable(np.linspace(-1, 1, 12, dtype=fed.dtype).reshape(6, 2))
        bags = ts.embedding_bag(table, [[seed % 6, 1], [2, 2]], [2, seed % 3], ("sum", "mean")[seed % 2])
        loss = ts.reduce_mean(ts.square(recipe.build(*inputs))) + ts.reduce_sum(ts.square(bags - 0.5))
        clip = (ts.train.clip_by_global_norm(0.5),) if seed // 3 % 2 else ()
        rule, tables = RULES[seed % len(RULES)], TABLE_RULES[seed % len(TABLE_RULES)]
        step = ts.train.Optimizer(rule, 0.05, tables=tables, transforms=clip).minimize(loss)
        running = ts.Variable(np.zeros((), fed.dtype), trainable=False)
        step = ts.group(step, ts.assign(running, running * 0.9 + loss * 0.1))
    return loss, step, {fed: arrays[0]}


def every_subset_of_passes_trains_the_same(recipe: Recipe) -> float:
    """Three steps under each subset against the naive interpreter: every variable and slot, and the losses."""
    loss, step, feeds = training(recipe)
    store = loss.graph.store
    start = {name: store.get(name) for name in store.names()}
    losses = [interpret_run([loss, step], feeds)[0] for _ in range(3)]
    reference = _values(store)
    for off, kernels in itertools.product(SUBSETS, KERNELS):
        store.set_many(start)
        session = ts.Session(loss.graph, kernels=kernels, disable=off, checked=True)
        _compare([session.run([loss, step], feeds)[0] for _ in range(3)], losses, off, kernels)
        _compare(_values(store), reference, off, kernels)
    return len(SUBSETS) * len(KERNELS)


def _values(store: VariableStore) -> list[Array]:
    return [store.get(name) for name in store.names()]


def _compare(found: Sequence[Array], wanted: Sequence[Array | None], off: Collection[str], kernels: str) -> None:
    exact = kernels == "numpy" and set(PASSES) - EXACT <= set(off)
    for value, reference in zip(found, wanted, strict=True):
        assert reference is not None
        if exact:
            np.testing.assert_array_equal(value, reference, f"off: {off}")
        else:
            close = 1e-9 if reference.dtype == np.float64 else 2e-3
            np.testing.assert_allclose(value, reference, close, close, err_msg=f"off: {off}, {kernels}")
