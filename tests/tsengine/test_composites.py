"""Composites and what surrounds them: values, gradients and ONNX by references written by hand, edges, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.compiler.pipeline import PASSES
from tsengine.graph import apply
from tsengine.onnx import to_onnx
from tsengine.specs import Array
from tsengine.testing.gradcheck import gradient_error

pytestmark = pytest.mark.usefixtures("kernels")

onnxruntime = pytest.importorskip("onnxruntime")
rng = np.random.default_rng(20_260_203)


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def run(fetches: Any, feeds: Any = None) -> Any:
    return ts.Session(checked=True).run(fetches, feeds)


def normal(*shape: int) -> Array:
    return rng.standard_normal(shape)


def away(*shape: int) -> Array:
    """Not near 0, where some functions have a kink."""
    return rng.uniform(0.3, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def positive(*shape: int) -> Array:
    return rng.uniform(0.3, 2.0, shape)


def each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A reference for one number, over an array."""
    return lambda x: np.array([function(float(item)) for item in x.ravel()]).reshape(x.shape)


def log_of_sum(x: Array, axis: int | None, keepdims: bool = False) -> Array:
    return np.asarray(np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)))


def pairs_of(x: Array) -> list[tuple[int, int]]:
    return [(i, j) for i in range(x.shape[1]) for j in range(i)]


def dots(x: Array) -> Array:
    columns = [[float(row[i] @ row[j]) for i, j in pairs_of(x)] for row in x]
    return np.array(columns).reshape(len(x), len(pairs_of(x)))


def factorized(x: Array) -> Array:
    return dots(x).sum(axis=1, keepdims=True)


def weighted_bag(combiner: str, table: ts.Node, ids: ts.Node, lengths: ts.Node, weights: ts.Node) -> ts.Node:
    return ts.embedding_bag(table, ids, lengths, combiner, weights=weights)


def weighted(mean: bool, table: Array, ids: Array, lengths: Array, weights: Array) -> Array:
    out = np.zeros((len(ids), table.shape[1]))
    for bag, length in enumerate(lengths):
        total = sum(weights[bag, :length]) if mean else 1.0
        for place in range(length):
            out[bag] += weights[bag, place] * table[ids[bag, place]] / total
    return out


def bags(batch: int) -> tuple[Array, ...]:
    """Padding names no row: 99 is outside the table."""
    lengths = rng.integers(0, 4, batch).astype(np.int32)
    ids = np.where(np.arange(3) < lengths[:, None], rng.integers(0, 6, (batch, 3)), 99).astype(np.int32)
    return normal(6, 2), ids, lengths, positive(batch, 3)


class Composite(NamedTuple):
    """build(*nodes) and its reference; draw(batch) makes inputs whose axis 0 is the batch, but for the parameters."""

    build: Callable[..., ts.Node]
    reference: Callable[..., Any]
    draw: Callable[[int], tuple[Array, ...]]
    parameters: tuple[int, ...] = ()
    not_of_nothing: str = ""


def of(draw: Callable[..., Array], *shapes: tuple[int, ...]) -> Callable[[int], tuple[Array, ...]]:
    return lambda batch: tuple(draw(batch, *shape) for shape in shapes)


EXTREMUM = "ONNX has no maximum of nothing"
TABLE: dict[str, Composite] = {
    "reciprocal": Composite(ts.reciprocal, each(lambda x: 1 / x), of(away, (4,))),
    "rsqrt": Composite(ts.rsqrt, each(lambda x: x**-0.5), of(positive, (4,))),
    "expm1": Composite(ts.expm1, each(math.expm1), of(normal, (4,))),
    "reduce_min": Composite(lambda x: ts.reduce_min(x, 1), lambda x: np.sort(x, axis=1)[:, 0], of(normal, (4,))),
    "reduce_min of all": Composite(
        ts.reduce_min, lambda x: min(x.ravel(), default=np.inf), of(normal, (4,)), not_of_nothing=EXTREMUM
    ),
    "logsumexp": Composite(lambda x: ts.logsumexp(x, -1), lambda x: log_of_sum(x, 1), of(normal, (4,))),
    "logsumexp kept": Composite(
        lambda x: ts.logsumexp(x, 1, True), lambda x: log_of_sum(x, 1, True), of(normal, (4, 2))
    ),
    "logsumexp of all": Composite(
        ts.logsumexp,
        lambda x: log_of_sum(x, None) if x.size else -np.inf,
        of(normal, (4,)),
        not_of_nothing=EXTREMUM,
    ),
    "l2_loss": Composite(ts.l2_loss, lambda x: sum(item * item for item in x.ravel()) / 2, of(normal, (4,))),
    "leaky_relu": Composite(ts.leaky_relu, each(lambda x: x if x > 0 else x / 5), of(away, (4,))),
    "elu": Composite(ts.elu, each(lambda x: x if x > 0 else math.exp(x) - 1), of(away, (4,))),
    "elu with alpha": Composite(
        lambda x: ts.elu(x, 0.5), each(lambda x: x if x > 0 else math.exp(x) / 2 - 0.5), of(away, (4,))
    ),
    "gelu": Composite(
        ts.gelu,
        each(lambda x: 0.5 * x * (1 + math.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))),
        lambda batch: (normal(batch, 4) * 3,),
    ),
    "linear": Composite(
        ts.linear,
        lambda x, w, b: np.einsum("bi,ij->bj", x, w) + b,
        lambda batch: (normal(batch, 4), normal(4, 3), normal(3)),
        (1, 2),
    ),
    "flatten": Composite(ts.flatten, lambda x: x.reshape(len(x), 6), of(normal, (2, 3))),
    "flatten a vector": Composite(ts.flatten, lambda x: x[:, None], of(normal, ())),
    "split": Composite(
        lambda x: (a := ts.split(x, 3, 1))[0] * a[1] - a[2],
        lambda x: x[:, :2] * x[:, 2:4] - x[:, 4:],
        of(normal, (6,)),
    ),
    "split by sizes": Composite(
        lambda x: ts.concat(ts.split(x, [1, 0, 3], -1)[::-1], 1), lambda x: np.roll(x, 3, axis=1), of(normal, (4,))
    ),
    "tile": Composite(lambda x: ts.tile(x, [2, 3]), lambda x: np.hstack([np.vstack([x, x])] * 3), of(normal, (2,))),
    "pad": Composite(
        lambda x: ts.pad(x, [(0, 0), (1, 2)], 7.0),
        lambda x: np.hstack([np.full((len(x), 1), 7.0), x, np.full((len(x), 2), 7.0)]),
        of(normal, (3,)),
    ),
    "mse": Composite(
        ts.mse,
        lambda z, p: sum((a - b) ** 2 for a, b in zip(z, p, strict=True)) / len(z) if len(z) else np.nan,
        of(normal, (), ()),
        not_of_nothing="ONNX has no mean of nothing",
    ),
    "hinge_loss": Composite(
        ts.hinge_loss,
        lambda z, x: np.array([max(0.0, 1 - b) if a == 1 else max(0.0, 1 + b) for a, b in zip(z, x, strict=True)]),
        lambda batch: (rng.integers(0, 2, batch).astype(np.float64), away(batch) * 3),
    ),
    "bpr_loss": Composite(ts.bpr_loss, lambda p, n: -np.log(1 / (1 + np.exp(-(p - n)))), of(normal, (1,), (3,))),
    "fm_interaction": Composite(ts.fm_interaction, factorized, of(normal, (4, 3))),
    "dot_interaction": Composite(ts.dot_interaction, dots, of(normal, (4, 3))),
    "dot_interaction of one": Composite(ts.dot_interaction, dots, of(normal, (1, 3))),
    "cross_layer": Composite(
        ts.cross_layer,
        lambda x0, x, w, b: np.array(
            [[u[j] * (sum(v * w[:, j]) + b[j]) + v[j] for j in range(3)] for u, v in zip(x0, x, strict=True)]
        ).reshape(-1, 3),
        lambda batch: (normal(batch, 3), normal(batch, 3), normal(3, 3), normal(3)),
        (2, 3),
    ),
    "boolean_mask": Composite(
        ts.boolean_mask,
        lambda x, m: np.array([row for row, kept in zip(x, m, strict=True) if kept]).reshape(-1, 2),
        lambda batch: (normal(batch, 2), rng.random(batch) < 0.5),
    ),
    "embedding_bag weighted sum": Composite(partial(weighted_bag, "sum"), partial(weighted, False), bags, (0,)),
    "embedding_bag weighted mean": Composite(partial(weighted_bag, "mean"), partial(weighted, True), bags, (0,)),
}
NAMES = pytest.mark.parametrize("name", TABLE)


def free(array: Array, parameter: bool) -> list[int | None]:
    """The shape of a placeholder: a free batch, or for a parameter all sizes."""
    return list(array.shape) if parameter else [None, *array.shape[1:]]


def fed(name: str, arrays: tuple[Array, ...]) -> tuple[list[ts.Node], ts.Node]:
    parameters = TABLE[name].parameters
    nodes = [
        ts.placeholder(array.dtype, free(array, place in parameters), name=f"x{place}")
        for place, array in enumerate(arrays)
    ]
    return nodes, TABLE[name].build(*nodes)


@NAMES
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_value(name: str, batch: int) -> None:
    arrays = TABLE[name].draw(batch)
    nodes, y = fed(name, arrays)
    expected = np.asarray(TABLE[name].reference(*arrays))
    feeds = dict(zip(nodes, arrays, strict=True))
    got = np.asarray(run(y, feeds))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)
    plain = ts.Session(disable=PASSES).run(y, feeds)
    np.testing.assert_allclose(plain, got, rtol=1e-12, atol=1e-14)


@NAMES
@pytest.mark.parametrize("known_sizes", [False, True])
@pytest.mark.parametrize("batch", [0, 5])
def test_gradient(name: str, known_sizes: bool, batch: int) -> None:
    case = TABLE[name]
    if batch == 0 and case.not_of_nothing:
        return
    arrays = case.draw(batch)

    def build(*inputs: ts.Node) -> ts.Node:
        """With free sizes the inner ones stay known: flatten, split and dot_interaction need them."""
        return case.build(*(inputs if known_sizes else map(with_inner_sizes, inputs, arrays)))

    assert gradient_error(build, arrays, known_sizes=known_sizes) < 1e-6


def with_inner_sizes(x: ts.Node, array: Array) -> ts.Node:
    return ts.reshape(x, (-1, *array.shape[1:])) if array.ndim > 1 else x


@NAMES
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_onnx(name: str, batch: int) -> None:
    case = TABLE[name]
    if batch == 0 and case.not_of_nothing:
        return
    arrays = tuple(array.astype(np.float32) if array.dtype == np.float64 else array for array in case.draw(batch))
    nodes, y = fed(name, arrays)
    model = to_onnx({"y": y}, nodes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    got = session.run(None, {node.name: array for node, array in zip(nodes, arrays, strict=True)})[0]
    want = np.asarray(run(y, dict(zip(nodes, arrays, strict=True))))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


SCALARS = {
    "reciprocal": 4.0, "rsqrt": 4.0, "expm1": 0.5, "reduce_min of all": 3.0, "logsumexp of all": 3.0, "l2_loss": 3.0,
    "leaky_relu": -2.0, "elu": -1.0, "gelu": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", SCALARS)
def test_scalars(name: str) -> None:
    x = np.array(SCALARS[name])
    np.testing.assert_allclose(run(TABLE[name].build(ts.constant(x))), TABLE[name].reference(x), rtol=1e-12)
    assert gradient_error(TABLE[name].build, [x], known_sizes=True) < 1e-6


@pytest.mark.parametrize(
    "name",
    ["reciprocal", "rsqrt", "reduce_min", "logsumexp", "l2_loss", "leaky_relu", "elu", "gelu", "mse", "bpr_loss",
     "fm_interaction", "dot_interaction"],
)  # fmt: skip
def test_nan_stays(name: str) -> None:
    arrays = tuple(np.full_like(array, np.nan) for array in TABLE[name].draw(2))
    assert np.isnan(run(TABLE[name].build(*map(ts.constant, arrays)))).all()


def gradient_of(build: Callable[[ts.Node], ts.Node], values: Any, dtype: Any = np.float32) -> Array:
    x = ts.constant(np.array(values, dtype))
    (grad,) = ts.gradients(build(x), [x])
    return np.asarray(run(grad))


def test_logsumexp_of_large_and_infinite_values() -> None:
    rows = np.array([[1e30, 1e30], [-1e30, -1e30], [-np.inf, -np.inf], [np.inf, 0], [-np.inf, 2], [1000, 0]])
    x = ts.constant(rows.astype(np.float32))
    want = [1e30, -1e30, -np.inf, np.inf, 2, 1000]
    np.testing.assert_allclose(run(ts.logsumexp(x, 1)), np.array(want, np.float32))
    np.testing.assert_array_equal(run(ts.logsumexp(x, ())), rows.astype(np.float32))
    np.testing.assert_array_equal(gradient_of(lambda x: ts.logsumexp(x, 1), rows[[0, 5]]), [[0.5, 0.5], [1, 0]])
    free_rank = ts.placeholder(np.float64)
    assert run(ts.logsumexp(free_rank), {free_rank: np.zeros((2, 4))}) == pytest.approx(math.log(8))


def test_equal_minima_share_the_gradient() -> None:
    np.testing.assert_array_equal(gradient_of(ts.reduce_min, [2.0, 1.0, 1.0]), [0, 0.5, 0.5])


def test_activations_at_zero_and_far_out() -> None:
    far = [-1e30, -100.0, 0.0, 100.0, 1e30]
    x = ts.constant(np.array(far, np.float32))
    for build, values, slopes in (
        (ts.leaky_relu, [-2e29, -20, 0, 100, 1e30], [0.2, 0.2, 0.2, 1, 1]),
        (ts.elu, [-1, -1, 0, 100, 1e30], [0, 0, 1, 1, 1]),
        (ts.gelu, [0, 0, 0, 100, 1e30], [0, 0, 0.5, 1, 1]),
    ):
        np.testing.assert_allclose(run(build(x)), values, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(gradient_of(build, far), slopes, rtol=1e-6, atol=1e-7)


def test_gelu_is_near_its_exact_form() -> None:
    x = np.linspace(-6, 6, 1201)
    exact = each(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)(x)
    error = np.abs(run(ts.gelu(ts.constant(x))) - exact).max()
    assert 1e-5 < error < 1e-3


def test_small_values_keep_their_digits() -> None:
    x = ts.constant(np.array([-1e-12, 1e-12]))
    np.testing.assert_allclose(run(ts.expm1(x)), [-1e-12, 1e-12], rtol=1e-11)
    np.testing.assert_allclose(run(ts.elu(x)), [-1e-12, 1e-12], rtol=1e-11)


def test_accuracy() -> None:
    logits = ts.constant(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.3], [5.0, 6.0]], np.float32))
    value = run(ts.accuracy(ts.constant([1, 1, 0, 1]), logits))
    assert (value, value.dtype) == (0.75, np.float32)
    assert run(ts.accuracy(ts.constant(2), ts.constant([1.0, 2.0, 3.0]))) == 1.0
    x, z = ts.placeholder(np.float32, [None, 3]), ts.placeholder(np.int64, [None])
    assert np.isnan(run(ts.accuracy(z, x), {x: np.zeros((0, 3)), z: np.zeros(0, np.int64)}))
    assert ts.gradients(ts.accuracy(z, x), [x]) == [None]
    with pytest.raises(errors.GraphError, match=r"labels must have the shape of logits .* got int64\[\?,1\] for float"):
        ts.accuracy(ts.placeholder(np.int64, [None, 1]), x)
    with pytest.raises(errors.GraphError, match=r"op accuracy.*\.py:\d+\): labels must be class numbers, got f"):
        ts.accuracy(ts.placeholder(np.float32, [None]), x)


@pytest.mark.parametrize("batch", [1, 7])
def test_accuracy_in_onnx(batch: int) -> None:
    x, z = ts.placeholder(np.float32, [None, 3], name="x"), ts.placeholder(np.int32, [None], name="z")
    feeds = {"x": normal(batch, 3).astype(np.float32), "z": rng.integers(0, 3, batch).astype(np.int32)}
    model = to_onnx({"y": ts.accuracy(z, x)}, [x, z])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    hits = [row.tolist().index(max(row)) == label for row, label in zip(feeds["x"], feeds["z"], strict=True)]
    assert session.run(None, feeds)[0] == pytest.approx(sum(hits) / batch)


def test_one_hot() -> None:
    ids = np.array([[2, 0], [-1, 3]], np.int8)
    want = [[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    value = run(ts.one_hot(ts.constant(ids), 3))
    np.testing.assert_array_equal(value, want)
    assert value.dtype == np.float32
    assert run(ts.one_hot(ts.constant(ids), 300, np.int32)).sum() == 3
    np.testing.assert_array_equal(run(ts.one_hot(1, 3, np.bool_)), [False, True, False])
    assert run(ts.one_hot(ts.constant(ids), 0)).shape == (2, 2, 0)
    with pytest.raises(errors.GraphError, match="ids must be integers"):
        ts.one_hot(ts.constant([1.0]), 3)


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_one_hot_in_onnx(batch: int) -> None:
    ids = ts.placeholder(np.int32, [None], name="ids")
    model = to_onnx({"y": ts.one_hot(ids, 4)}, [ids])
    feed = rng.integers(-1, 6, batch).astype(np.int32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    want = [[float(item == place) for place in range(4)] for item in feed]
    np.testing.assert_array_equal(session.run(None, {"ids": feed})[0], np.array(want).reshape(-1, 4))


def test_linear_and_its_activation_are_one_step() -> None:
    x = ts.placeholder(np.float32, [None, 4])
    y = ts.relu(ts.linear(x, np.ones((4, 3), np.float32), np.zeros(3, np.float32)))
    assert "fused_linear" in ts.Session().plan(y, {x: np.zeros((2, 4), np.float32)}).dump()


def test_padding_of_integers_and_free_ranks() -> None:
    np.testing.assert_array_equal(run(ts.pad(ts.constant([1, 2]), [(1, 0)], 7)), [7, 1, 2])
    x = ts.placeholder(np.float64)
    assert ts.pad(x, [(1, 1)]).shape == ts.tile(x, [2]).shape == (None,)
    np.testing.assert_array_equal(run(ts.tile(x, [2]), {x: [1.0, 2.0]}), [1, 2, 1, 2])
    with pytest.raises(errors.GraphError, match=r"int32\[2\] cannot be padded with 0.5"):
        ts.pad(ts.constant([1, 2]), [(1, 0)], 0.5)
    with pytest.raises(errors.GraphError, match="paddings must not be negative"):
        ts.pad(ts.constant([1, 2]), [(-1, 0)])
    with pytest.raises(errors.GraphError, match="a pair"):
        ts.pad(ts.constant([1, 2]), [(1,)])
    with pytest.raises(errors.GraphError, match="one pair of paddings per axis"):
        ts.pad(ts.constant([1, 2]), [(1, 0), (0, 0)])
    with pytest.raises(errors.GraphError, match="one multiple per axis"):
        ts.tile(ts.constant([1, 2]), [1, 2])
    with pytest.raises(errors.GraphError, match="multiples must not be negative"):
        ts.tile(ts.constant([1, 2]), [-1])


def test_second_derivatives_of_what_moves_elements() -> None:
    mask = np.array([True, False, True])
    for build in (
        lambda x: ts.tile(x, [2]),
        lambda x: ts.pad(x, [(1, 2)], 3.0),
        lambda x: ts.boolean_mask(x, mask),
    ):

        def slope(x: ts.Node, build: Callable[[ts.Node], ts.Node] = build) -> ts.Node:
            (grad,) = ts.gradients(ts.square(build(x)) * build(x), [x])
            assert isinstance(grad, ts.Node)
            return grad

        for known_sizes in (False, True):
            assert gradient_error(slope, [normal(3)], known_sizes=known_sizes) < 1e-6


def test_flatten_and_split_say_what_they_need() -> None:
    with pytest.raises(errors.GraphError, match=r"flatten needs .* got float32\[\?,\?\]"):
        ts.flatten(ts.placeholder(np.float32, [None, None]))
    with pytest.raises(errors.GraphError, match=r"flatten needs a first axis .* got float32\[\]"):
        ts.flatten(1.0)
    assert ts.flatten(np.zeros((3, 0, 2))).shape == (3, 0)
    with pytest.raises(errors.GraphError, match=r"flatten needs"):
        ts.flatten(ts.placeholder(np.float32, [None, 0]))
    x = ts.placeholder(np.float32, [None, 6])
    assert [part.shape for part in ts.split(x, [4, 2], axis=1)] == [(None, 4), (None, 2)]
    for parts in (4, 0, -1, [4, 3], [7, -1], []):
        with pytest.raises(errors.GraphError, match="6 elements cannot be split into"):
            ts.split(x, parts, axis=1)
    for axis in (0, 2):
        with pytest.raises(errors.GraphError, match=f"split needs an axis of known size, got axis {axis}"):
            ts.split(x, 2, axis)


def test_labels_are_not_broadcast_against_predictions() -> None:
    labels, column = ts.placeholder(np.float32, [None]), ts.placeholder(np.float32, [None, 1])
    for loss in (ts.mse, ts.hinge_loss):
        with pytest.raises(errors.GraphError, match=r"must have one shape, got float32\[\?\] and float32\[\?,1\]"):
            loss(labels, column)
    with pytest.raises(errors.GraphError, match="positive and negative must have one rank"):
        ts.bpr_loss(labels, column)


def test_losses_of_large_values() -> None:
    x = ts.constant(np.array([1e4, -1e4], np.float32))
    np.testing.assert_array_equal(run(ts.bpr_loss(x, -x)), [0, 2e4])
    np.testing.assert_array_equal(run(ts.hinge_loss([1.0, 1.0], x)), [0, 10001])
    np.testing.assert_array_equal(gradient_of(lambda x: ts.bpr_loss(x, 0.0 * x), [1e4, -1e4]), [0, -1])


@pytest.mark.parametrize("build", [ts.leaky_relu, ts.elu, ts.gelu, ts.reciprocal, ts.rsqrt, ts.l2_loss, ts.logsumexp])
def test_integers_are_refused(build: Callable[[ts.Node], ts.Node]) -> None:
    with pytest.raises(errors.EngineError, match=r"must be floating, got int32|does not become int32 without loss"):
        build(ts.constant([1, 2]))


def test_interactions_say_what_they_need() -> None:
    for sizes in ([None, None, 3], [None, 3]):
        with pytest.raises(errors.GraphError, match="with a known F, got"):
            ts.dot_interaction(ts.placeholder(np.float32, sizes))
    with pytest.raises(errors.GraphError, match=r"x must be embeddings \[B, F, D\], got"):
        ts.fm_interaction(ts.placeholder(np.float32, [None, 3]))
    x = ts.placeholder(np.float32, [None, 3])
    with pytest.raises(errors.GraphError, match=r"must have one shape, got .* float32\[\?,1\]"):
        ts.cross_layer(x, x, np.zeros((3, 1)), np.zeros(1))


@pytest.mark.parametrize("combiner", ["sum", "mean"])
def test_weighted_bags_leave_padding_alone(combiner: str) -> None:
    table = ts.Variable(np.arange(8, dtype=np.float32).reshape(4, 2))
    ids, lengths = ts.constant([[1, 2, 99], [-5, 0, 0], [3, 3, 0]]), ts.constant([2, 0, 2])
    weights = ts.constant(np.array([[1, 3, np.nan], [np.nan] * 3, [1, -1, 5]], np.float32))
    bag = ts.embedding_bag(table, ids, lengths, combiner, weights=weights, name="bag")
    assert bag.name == "bag"
    value, grad, by_weights = run([bag, *ts.gradients(bag, [table, weights])])
    share = 4.0 if combiner == "mean" else 1.0
    np.testing.assert_array_equal(value, np.array([[14, 18], [0, 0], [0, 0]]) / share)
    assert list(grad.indices) == [1, 2, 3, 3]
    last = [[0, 0], [0, 0]] if combiner == "mean" else [[1, 1], [-1, -1]]
    np.testing.assert_array_equal(grad.values, np.concatenate([np.array([[1, 1], [3, 3]]) / share, last]))
    assert np.isfinite(by_weights).all()
    np.testing.assert_array_equal(by_weights[:, 2], 0)
    listed = ts.embedding_bag(table, [[1, 1]], [2], combiner, weights=[[0.5, 0.5]])
    np.testing.assert_array_equal(run(listed), [[2, 3]])
    with pytest.raises(errors.IndexOutOfRange, match="lengths must lie in"):
        run(ts.embedding_bag(table, ids, ts.constant([4, 0, 0]), combiner, weights=weights))
    with pytest.raises(errors.IndexOutOfRange, match="99 is not in"):
        run(ts.embedding_bag(table, ids, ts.constant([3, 0, 0]), combiner, weights=weights))


@pytest.mark.parametrize("combiner", ["sum", "mean"])
def test_weights_of_one_are_no_weights(combiner: str) -> None:
    table, ids, lengths, _ = bags(9)
    inputs = (ts.constant(table), ts.constant(ids), ts.constant(lengths), combiner)
    plain, weighed = ts.embedding_bag(*inputs), ts.embedding_bag(*inputs, weights=np.ones(ids.shape))
    np.testing.assert_allclose(run(plain), run(weighed), rtol=1e-14)


def test_weights_and_masks_of_another_shape_are_refused() -> None:
    table, ids = ts.constant(np.zeros((4, 2))), ts.placeholder(np.int32, [None, 3])
    lengths = ts.placeholder(np.int32, [None])
    with pytest.raises(errors.GraphError, match="the mask must have the first axes of x"):
        ts.embedding_bag(table, ids, lengths, weights=ts.placeholder(np.float64, [None, 2]))
    with pytest.raises(errors.GraphError, match="one length per row of ids"):
        apply("bag_mask", ts.constant(np.zeros((2, 3), np.int32)), ts.constant(np.zeros(3, np.int32)))
    with pytest.raises(errors.GraphError, match="needs at least one axis"):
        ts.boolean_mask(1.0, True)
    with pytest.raises(errors.GraphError, match="the mask must be bool"):
        ts.boolean_mask(np.zeros(3), ts.constant([1, 0, 1]))
