"""What a mistake is answered with: the whole message, for it is what a user has to work with.

Each row makes one mistake. HERE in its message stands for a line of that row: the user's own file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors

Make = Callable[[], Any]


class Mistake(NamedTuple):
    """What is done wrong, and what must be raised."""

    make: Make
    error: type[Exception]
    message: str


MISTAKES: list[Mistake] = []


def mistake(error: type[Exception], message: str) -> Callable[[Make], Make]:
    """A row of the table."""

    def add(make: Make) -> Make:
        MISTAKES.append(Mistake(make, error, message))
        return make

    return add


pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def elsewhere() -> ts.Node:
    """A node of another graph."""
    with ts.Graph().as_default():
        return ts.constant([1.0], name="stranger")


def run(fetches: Any, feeds: Any = None) -> Any:
    return ts.Session().run(fetches, feeds)


def with_here(message: str, make: Make) -> str:
    """The message with HERE for the lines of the row, and of what it calls in this file."""
    codes = [function.__code__ for function in (make, run, elsewhere)]
    lines = {line for code in codes for _, _, line in code.co_lines() if line is not None}
    return re.sub(
        rf"{re.escape(__file__)}:(\d+)", lambda found: "HERE" if int(found[1]) in lines else found[0], message
    )


# --- feeds


@mistake(
    errors.MissingFeed,
    "You must feed a value for placeholder tensor 'x' with dtype and shape float32[?,3], made at HERE: "
    "session.run(fetches, {x: value})",
)
def unfed() -> None:
    x = ts.placeholder(np.float32, [None, 3], name="x")
    run(x + 1.0)


@mistake(
    errors.FeedError,
    "Cannot feed value of shape [2] for Tensor 'x', which has shape [?,3]; fed to 'x' (op placeholder, inputs "
    "none, made at HERE) of float32[?,3]",
)
def fed_shape() -> None:
    x = ts.placeholder(np.float32, [None, 3], name="x")
    run(x + 1.0, {x: [1.0, 2.0]})


@mistake(
    errors.FeedError,
    "Type of feed value float64 is not compatible with Tensor type int32 of 'ids'; fed to 'ids' (op placeholder, "
    "inputs none, made at HERE) of int32[?]",
)
def fed_floats_for_integers() -> None:
    ids = ts.placeholder(np.int32, [None], name="ids")
    run(ids + 1, {ids: [0.5]})


@mistake(
    errors.FeedError,
    "the value holds integers outside int32: 1099511627776..1099511627776; fed to 'ids' (op placeholder, inputs "
    "none, made at HERE) of int32[?]",
)
def fed_integers_too_large() -> None:
    ids = ts.placeholder(np.int32, [None], name="ids")
    run(ids + 1, {ids: np.array([1 << 40])})


@mistake(
    errors.FeedError,
    "Type of feed value <U3 is not compatible with Tensor type float32 of 'x'; fed to 'x' (op placeholder, "
    "inputs none, made at HERE) of float32[...]",
)
def fed_text() -> None:
    x = ts.placeholder(np.float32, name="x")
    run(x + 1.0, {x: "1.0"})


@mistake(
    errors.FeedError,
    "Type of feed value object is not compatible with Tensor type float32 of 'x'; fed to 'x' (op placeholder, "
    "inputs none, made at HERE) of float32[...]",
)
def fed_none() -> None:
    x = ts.placeholder(np.float32, name="x")
    run(x + 1.0, {x: None})


@mistake(
    errors.FeedError,
    "the value is no array, do its rows differ in length?; fed to 'x' (op placeholder, inputs none, made at HERE) "
    "of float32[...]",
)
def fed_rows_of_two_lengths() -> None:
    x = ts.placeholder(np.float32, name="x")
    run(x + 1.0, {x: [[1.0], [1.0, 2.0]]})


@mistake(
    errors.FeedError,
    "the value cannot be a node, <constant 'c' float32[1]>; fetch it first and feed its array; fed to 'x' (op "
    "placeholder, inputs none, made at HERE) of float32[1]",
)
def fed_node() -> None:
    x = ts.placeholder(np.float32, [1], name="x")
    run(x + 1.0, {x: ts.constant([1.0], name="c")})


@mistake(
    errors.FeedKeyError,
    "Cannot interpret feed_dict key as Tensor: 'x' is a str, not a node, at HERE",
)
def feed_key_is_a_name() -> None:
    x = ts.placeholder(np.float32, name="x")
    run(x + 1.0, {"x": 1.0})


@mistake(
    errors.FeedKeyError,
    "Tensor 'nothing' may not be fed: it is an operation and has no value: 'nothing' (op group, inputs none, "
    "made at HERE)",
)
def feed_key_is_an_operation() -> None:
    run(ts.constant(1.0), {ts.no_op(name="nothing"): 1.0})


@mistake(
    errors.FeedKeyError,
    "fed node is not an element of this session's graph: 'stranger' (op constant, inputs none, made at HERE) of "
    "float32[1]",
)
def feed_key_of_another_graph() -> None:
    run(ts.constant(1.0), {elsewhere(): [1.0]})


@mistake(
    errors.FeedError,
    "Cannot feed value of shape [1] for Tensor 'gradients/multiply_1', which has shape [3]; fed to "
    "'gradients/multiply_1' (op multiply, inputs 'gradients/multiply' float32[3], 'w' float32[3], made at HERE) "
    "of float32[3]",
)
def fed_gradient_that_would_broadcast() -> None:
    w = ts.Variable([1.0, 2.0, 3.0], name="w")
    (grad,) = ts.gradients(ts.reduce_sum(ts.square(w)), [w])
    run(grad, {grad: [1.0]})


# --- fetches


@mistake(
    errors.FetchError,
    "Fetch argument None has invalid type NoneType: fetch nodes, or lists, tuples, dicts of nodes; it is fetches "
    "at HERE",
)
def fetched_none() -> None:
    run(None)


@mistake(
    errors.FetchError,
    "Fetch argument 'loss' has invalid type str: fetch nodes, or lists, tuples, dicts of nodes; it is fetches at HERE",
)
def fetched_text() -> None:
    run("loss")


@mistake(
    errors.FetchError,
    "Fetch argument 3 has invalid type int: fetch nodes, or lists, tuples, dicts of nodes; it is "
    "fetches['a'][1][1] at HERE",
)
def fetched_number_deep_inside() -> None:
    run({"a": [ts.constant(1.0), (ts.constant(2.0), 3)]})


@mistake(
    errors.FetchError,
    "Fetch argument None has invalid type NoneType: fetch nodes, or lists, tuples, dicts of nodes; it is "
    "fetches[1][0] at HERE",
)
def fetched_missing_gradient() -> None:
    w = ts.Variable([1.0], name="w")
    run([w, ts.gradients(w * 2.0, [ts.Variable([1.0])])])


@mistake(
    errors.FetchError,
    "fetched node is not an element of this session's graph: 'stranger' (op constant, inputs none, made at HERE) "
    "of float32[1], at HERE",
)
def fetched_from_another_graph() -> None:
    run([ts.constant(1.0), elsewhere()])


# --- nodes of another graph


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: add at HERE",
)
def input_of_another_graph() -> None:
    ts.placeholder(np.float32, [1], name="x") + elsewhere()


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: "
    "control_dependencies at HERE",
)
def control_of_another_graph() -> None:
    with ts.control_dependencies([elsewhere()]):
        ts.constant(1.0)


@mistake(
    errors.GraphError,
    "control_dependencies takes nodes, got None of type NoneType at HERE",
)
def control_that_is_no_node() -> None:
    with ts.control_dependencies([None]):  # type: ignore[list-item]
        ts.constant(1.0)


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: ys of "
    "gradients at HERE",
)
def gradient_of_ys_of_another_graph() -> None:
    ts.gradients([ts.constant(1.0), elsewhere()], [])


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: xs of "
    "gradients at HERE",
)
def gradient_by_xs_of_another_graph() -> None:
    ts.gradients(ts.constant(1.0), [elsewhere()])


@mistake(
    errors.GraphError,
    "xs of gradients takes nodes, got 'w' of type str at HERE",
)
def gradient_by_no_node() -> None:
    ts.gradients(ts.constant(1.0), ["w"])  # type: ignore[list-item]


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: grad_ys "
    "of gradients at HERE",
)
def grad_ys_of_another_graph() -> None:
    y = ts.constant([1.0])
    ts.gradients(y, [y], [elsewhere()])


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: "
    "stop_gradients of gradients at HERE",
)
def stop_gradients_of_another_graph() -> None:
    y = ts.constant([1.0])
    ts.gradients(y, [y], stop_gradients=[elsewhere()])


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: assign at HERE",
)
def assigned_from_another_graph() -> None:
    ts.assign(ts.Variable([1.0], name="w"), elsewhere())


@mistake(
    errors.GraphError,
    "'stranger' (op constant, inputs none, made at HERE) of float32[1] is not an element of this graph: the "
    "gradient of variable 'w' at HERE",
)
def learned_from_another_graph() -> None:
    w = ts.Variable([1.0], name="w")
    ts.train.Optimizer(ts.train.GradientDescent(), 0.1).apply_gradients([(elsewhere(), w)])


# --- variables


@mistake(
    errors.UninitializedVariable,
    "attempting to use uninitialized variable 'w' float32[2,3] (op variable_read, made at HERE); put a value in "
    "with assign or graph.store.set",
)
def read_before_any_value() -> None:
    w = ts.Variable(shape=(2, 3), name="w")
    run(w * 2.0)


@mistake(
    errors.UninitializedVariable,
    "attempting to use uninitialized variable 'w' float32[2,3] (op variable_read, made at HERE); put a value in "
    "with assign or graph.store.set",
)
def fetched_before_any_value() -> None:
    w = ts.Variable(shape=(2, 3), name="w")
    run(w)


@mistake(
    errors.UninitializedVariable,
    "'more' (op assign_add, inputs 'constant' float32[2,3], made at HERE) failed: attempting to use "
    "uninitialized variable 'w' float32[2,3] (op variable_read, made at HERE); put a value in with assign or "
    "graph.store.set",
)
def updated_before_any_value() -> None:
    w = ts.Variable(shape=(2, 3), name="w")
    more = ts.assign_add(w, np.ones((2, 3), np.float32), name="more")
    ts.Session(kernels="numpy").run(more)  # the compiled kernels name the variable alone


@mistake(
    errors.UninitializedVariable,
    "attempting to use uninitialized variable 'w' float32[2,3] (op variable_read, made at HERE); put a value in "
    "with assign or graph.store.set",
)
def saved_before_any_value() -> None:
    w = ts.Variable(shape=(2, 3), name="w")
    ts.train.Saver([w]).save("/nowhere/model", 0)


@mistake(
    errors.GraphError,
    "a Variable without initial_value needs a fully known shape, got None at HERE: Variable(initializer=..., "
    "shape=(rows, columns))",
)
def variable_without_shape() -> None:
    ts.Variable(name="w")


@mistake(
    errors.GraphError,
    "a constant, at HERE: must be numbers or bools, got str of dtype <U5",
)
def variable_of_text() -> None:
    ts.Variable("zeros", name="w")


@mistake(
    errors.GraphError,
    "only a Variable can be assigned to, got 'c' (op constant, inputs none, made at HERE): assign at HERE",
)
def assigned_to_what_is_no_variable() -> None:
    ts.assign(ts.constant([1.0], name="c"), [2.0])  # type: ignore[arg-type]


@mistake(
    errors.GraphError,
    "'assign' (op assign, inputs 'constant' float32[1], at HERE): variable 'w' holds float32[2], got float32[1]",
)
def assigned_another_shape() -> None:
    ts.assign(ts.Variable([1.0, 2.0], name="w"), [3.0])


# --- ids


@mistake(
    errors.IndexOutOfRange,
    "'look_up' (op gather, inputs 'table' float32[5,2], 'constant' int32[2], made at HERE) failed: indices[1] = "
    "5 is not in [0, 5)",
)
def gathered_outside() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    run(ts.gather(table, [0, 5], name="look_up"))


@mistake(
    errors.IndexOutOfRange,
    "'look_up' (op gather, inputs 'table' float32[5,2], 'constant' int32[2], made at HERE) failed: indices[1] = "
    "-1 is not in [0, 5)",
)
def negative_id() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    run(ts.gather(table, [0, -1], name="look_up"))


@mistake(
    errors.IndexOutOfRange,
    "'bag' (op embedding_bag, inputs 'table' float32[5,2], 'constant' int32[2,2], 'constant_1' int32[2], made at "
    "HERE) failed: indices[0, 1] = 7 is not in [0, 5)",
)
def bag_outside() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    run(ts.embedding_bag(table, [[0, 7], [1, 9]], [2, 1], name="bag"))


@mistake(
    errors.IndexOutOfRange,
    "'bag' (op embedding_bag, inputs 'table' float32[5,2], 'constant' int32[1,2], 'constant_1' int32[1], made at "
    "HERE) failed: lengths must lie in [0, 2], got 3..3",
)
def bag_longer_than_its_ids() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    run(ts.embedding_bag(table, [[0, 1]], [3], name="bag"))


@mistake(
    errors.IndexOutOfRange,
    "'bag/gather' (op gather, inputs 'table' float32[5,2], 'boolean_mask_1' int32[?], made at HERE) failed: "
    "indices[1] = 7 is not in [0, 5)",
)
def weighted_bag_outside() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    run(ts.embedding_bag(table, [[0, 7], [1, 9]], [2, 1], weights=np.ones((2, 2), np.float32), name="bag"))


@mistake(
    errors.IndexOutOfRange,
    "'sums' (op segment_sum, inputs 'x' float32[2], 'constant' int32[2], made at HERE) failed: indices[1] = 2 is "
    "not in [0, 2)",
)
def segment_outside() -> None:
    x = ts.placeholder(np.float32, [2], name="x")
    run(ts.segment_sum(x, [0, 2], 2, name="sums"), {x: [1.0, 1.0]})


@mistake(
    errors.IndexOutOfRange,
    "'select_class' (op select_class, inputs 'log_softmax' float32[2,3], 'labels' int32[2], made at HERE) "
    "failed: indices[1] = 3 is not in [0, 3)",
)
def class_outside() -> None:
    logits, labels = ts.placeholder(np.float32, [2, 3], name="logits"), ts.placeholder(np.int32, [2], name="labels")
    loss = ts.sparse_softmax_cross_entropy_with_logits(labels, logits)
    run(loss, {logits: np.zeros((2, 3)), labels: [0, 3]})


@mistake(
    errors.IndexOutOfRange,
    "'gradients/place_class' (op place_class, inputs 'gradients/negative' float32[2], 'labels' int32[2], "
    "'log_softmax' float32[2,3], made at HERE) failed: indices[1] = -1 is not in [0, 3)",
)
def class_outside_when_only_the_gradient_runs() -> None:
    logits, labels = ts.placeholder(np.float32, [2, 3], name="logits"), ts.placeholder(np.int32, [2], name="labels")
    loss = ts.sparse_softmax_cross_entropy_with_logits(labels, logits)
    session = ts.Session(disable=["fuse"])
    session.run(ts.gradients(loss, [logits]), {logits: np.zeros((2, 3)), labels: [0, -1]})


@mistake(
    errors.IndexOutOfRange,
    "'gradients/slices_to_dense' (op slices_to_dense, inputs 'gradients/fill_like' float32[1], 'ids' int32[1], "
    "'x' float32[3], made at HERE) failed: indices[0] = -1 is not in [0, 3)",
)
def id_outside_when_only_the_gradient_runs() -> None:
    x, ids = ts.placeholder(np.float32, [3], name="x"), ts.placeholder(np.int32, [1], name="ids")
    run(ts.gradients(ts.gather(x, ids), [x]), {x: np.zeros(3), ids: [-1]})


@mistake(
    errors.IndexOutOfRange,
    "'apply_rows' (op apply_rows, inputs 'constant' float32[1,2], 'constant_1' int32[1], made at HERE) failed: "
    "indices[0] = 5 is not in [0, 5)",
)
def updated_row_outside() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    rows = ts.IndexedSlices(ts.constant([[1.0, 1.0]]), ts.constant([5]), table)
    run(ts.train.Optimizer(ts.train.GradientDescent(), 0.1).apply_gradients([(rows, table)]))


# --- gradients


class Opaque(ts.Operation):
    """An op without a gradient."""

    def compute(self, *values: Any) -> Any:
        return values[0]


@mistake(
    errors.GradientError,
    "no gradient is registered for Opaque: 'mine' (op host_call, inputs 'w' float32[1], made at HERE); write "
    "@RegisterGradient(Opaque) above a function (op, grad) of arrays",
)
def gradient_of_an_op_without_one() -> None:
    w = ts.Variable([1.0], name="w")
    ts.gradients(Opaque([w], name="mine"), [w])


@mistake(
    errors.GradientError,
    "no gradient is defined for op bag_gradients (a bag has a first derivative only; gather and reduce_sum have "
    "more): 'gradients/bag_gradients' (op bag_gradients, inputs 'gradients/multiply_1' float32[1,2], "
    "'constant_1' int32[1], made at HERE)",
)
def second_gradient_of_a_bag() -> None:
    table = ts.Variable(np.ones((5, 2), np.float32), name="table")
    (grad,) = ts.gradients(ts.square(ts.embedding_bag(table, [[0]], [1], name="bag")), [table])
    assert isinstance(grad, ts.IndexedSlices)
    ts.gradients(grad.values, [table])


@mistake(
    errors.GradientError,
    "only floats have gradients, got 'whole' (op cast, inputs 'x' float32[3], made at HERE) of int32[3]",
)
def gradient_of_integers() -> None:
    x = ts.placeholder(np.float32, [3], name="x")
    ts.gradients(ts.cast(x, np.int32, name="whole"), [x])


@mistake(
    errors.GradientError,
    "gradients needs at least one y, and as many grad_ys: got 0 and 0 at HERE",
)
def gradient_of_nothing() -> None:
    ts.gradients([], [ts.constant(1.0)])


@mistake(
    errors.GradientError,
    "grad_ys must have dtype and shape of its y, got float32[1] for float32[3]: 'ones' (op constant, inputs "
    "none, made at HERE) for 'y' (op placeholder, inputs none, made at HERE)",
)
def grad_ys_that_would_broadcast() -> None:
    y = ts.placeholder(np.float32, [3], name="y")
    ts.gradients(y, [y], [ts.constant([1.0], name="ones")])


@mistake(
    errors.GradientError,
    "gradients needs at least one y, and as many grad_ys: got 2 and 1 at HERE",
)
def too_few_grad_ys() -> None:
    y = ts.placeholder(np.float32, [3], name="y")
    ts.gradients([y, y], [y], [None])


@mistake(
    errors.GradientError,
    "No gradients provided for any variable: the loss 'loss' (op constant, inputs none, made at HERE) of "
    "float32[] depends on none of 'w' (op variable_read, inputs none, made at HERE) of float32[1]",
)
def loss_that_depends_on_no_variable() -> None:
    ts.Variable([1.0], name="w")
    ts.train.Optimizer(ts.train.GradientDescent(), 0.1).minimize(ts.constant(1.0, name="loss"))


@mistake(
    errors.GradientError,
    "No gradients provided for any variable: the loss 'loss' (op cast, inputs 'best' int64[], made at HERE) of "
    "float32[] depends on 'w' only through 'best' (op argmax, inputs 'w' float32[2], made at HERE): it is "
    "constant but for jumps",
)
def loss_that_depends_on_a_variable_by_jumps() -> None:
    w = ts.Variable([1.0, 2.0], name="w")
    loss = ts.cast(ts.argmax(w, name="best"), np.float32, name="loss")
    ts.train.Optimizer(ts.train.GradientDescent(), 0.1).minimize(loss)


@mistake(
    errors.GraphError,
    "'apply_dense' (op apply_dense, inputs 'g' float32[1], at HERE): variable 'w' holds float32[3], got float32[1]",
)
def gradient_that_would_broadcast_into_its_variable() -> None:
    w = ts.Variable([1.0, 2.0, 3.0], name="w")
    ts.train.Optimizer(ts.train.GradientDescent(), 0.1).apply_gradients([(ts.constant([1.0], name="g"), w)])


@mistake(
    errors.GraphError,
    "'apply_dense' (op apply_dense, inputs 'g' float64[1], at HERE): variable 'w' holds float32[1], got float64[1]",
)
def gradient_of_another_dtype() -> None:
    w = ts.Variable([1.0], name="w")
    grad = ts.constant(np.ones(1), name="g")
    ts.train.Optimizer(ts.train.GradientDescent(), 0.1).apply_gradients([(grad, w)])


@mistake(
    errors.GraphError,
    "'apply_rows' (op apply_rows, inputs 'constant' float32[1,1], 'constant_1' int32[1], at HERE): variable 'table' "
    "holds float32[5,2], got float32[1,1] for rows of it",
)
def rows_that_would_broadcast_into_their_table() -> None:
    table = ts.Variable(np.zeros((5, 2), np.float32), name="table")
    rows = ts.IndexedSlices(ts.constant([[1.0]]), ts.constant([0]), table)
    ts.train.Optimizer(ts.train.GradientDescent(), 0.1).apply_gradients([(rows, table)])


@mistake(
    errors.ExecutionError,
    "'apply_dense' (op apply_dense, inputs 'g' float32[...], made at HERE) was given float32[]: variable 'w' "
    "holds float32[3], got float32[]",
)
def gradient_of_a_shape_known_only_when_running() -> None:
    w, g = ts.Variable([1.0, 2.0, 3.0], name="w"), ts.placeholder(np.float32, name="g")
    run(ts.train.Optimizer(ts.train.GradientDescent(), 0.1).apply_gradients([(g, w)]), {g: 1.0})


# --- values


@mistake(
    errors.NotFinite,
    "'culprit' (op log, inputs 'multiply' float32[?], made at HERE) failed: the result float32[2] holds 1 NaN "
    "and 0 infinite of 2; of its inputs 'multiply' float32[2] is finite",
)
def logarithm_of_a_negative_number() -> None:
    x = ts.placeholder(np.float32, [None], name="x")
    loss = ts.reduce_sum(ts.exp(ts.log(x * 2.0, name="culprit")))
    ts.Session(check_numerics=True).run(loss, {x: [1.0, -1.0]})


@mistake(
    errors.NotFinite,
    "'y' (op multiply, inputs 'x' float32[?], 'w' float32[2], made at HERE) failed: the result float32[2] holds "
    "1 NaN and 1 infinite of 2; of its inputs 'x' float32[2] holds 1 NaN and 1 infinite of 2, 'w' float32[2] is "
    "finite",
)
def fed_nan() -> None:
    x, w = ts.placeholder(np.float32, [None], name="x"), ts.Variable([1.0, 2.0], name="w")
    ts.Session(check_numerics=True).run(ts.multiply(x, w, name="y"), {x: [np.nan, np.inf]})


@mistake(
    errors.NotFinite,
    "'apply_dense' (op apply_dense, inputs 'gradients/multiply_1' float32[1], made at HERE) failed: variable 'w' "
    "float32[1] holds 0 NaN and 1 infinite of 1; of its inputs 'gradients/multiply_1' float32[1] is finite",
)
def step_that_makes_a_variable_infinite() -> None:
    w = ts.Variable([1.0], name="w")
    step = ts.train.Optimizer(ts.train.GradientDescent(), 1e39).minimize(ts.reduce_sum(ts.square(w)), name="step")
    ts.Session(check_numerics=True).run(step)


@mistake(
    errors.ExecutionError,
    "'c' (op add, inputs 'a' float32[?], 'b' float32[?], made at HERE) was given float32[2], float32[3]: shapes "
    "[2] and [3] cannot be broadcast together",
)
def sizes_that_do_not_fit_when_running() -> None:
    a, b = ts.placeholder(np.float32, [None], name="a"), ts.placeholder(np.float32, [None], name="b")
    run(ts.add(a, b, name="c"), {a: [1.0, 2.0], b: [1.0, 2.0, 3.0]})


# --- building


@mistake(
    errors.GraphError,
    "'h' (op matmul, inputs 'a' float32[?,3], 'b' float32[4,5], at HERE): matmul of [?,3] and [4,5]: inner sizes "
    "3 and 4 differ",
)
def product_of_shapes_that_do_not_fit() -> None:
    a, b = ts.placeholder(np.float32, [None, 3], name="a"), ts.placeholder(np.float32, [4, 5], name="b")
    ts.matmul(a, b, name="h")


@mistake(
    errors.GraphError,
    "'add' (op add, inputs 'a' float32[2], 'b' int32[2], at HERE): dtypes float32, int32 differ; cast one of "
    "them with tsengine.cast",
)
def operands_of_two_dtypes() -> None:
    ts.placeholder(np.float32, [2], name="a") + ts.placeholder(np.int32, [2], name="b")


@mistake(
    errors.GraphError,
    "a constant beside 'a' (op placeholder, inputs none, made at HERE) of int32[2], at HERE: float64[] does not "
    "become int32 without loss; cast it yourself",
)
def half_added_to_integers() -> None:
    ts.placeholder(np.int32, [2], name="a") + 0.5


@mistake(
    errors.GraphError,
    "a constant beside 'a' (op placeholder, inputs none, made at HERE) of float32[2], at HERE: must be numbers "
    "or bools, got NoneType of dtype object",
)
def none_as_an_operand() -> None:
    ts.placeholder(np.float32, [2], name="a") * None


@mistake(
    errors.GraphError,
    "'add' (op add, inputs 'a' float32[2], 'stop' operation, at HERE): 'stop' is an operation and has no value",
)
def operation_as_an_operand() -> None:
    ts.placeholder(np.float32, [2], name="a") + ts.no_op(name="stop")


@mistake(
    errors.GraphError,
    "'bias_add' (op bias_add, inputs 'x' float32[?,2], 'bias' float32[2,2], at HERE): the bias must have rank 1, "
    "got float32[2,2]",
)
def bias_that_is_a_matrix() -> None:
    x, bias = ts.placeholder(np.float32, [None, 2], name="x"), ts.Variable(np.ones((2, 2), np.float32), name="bias")
    ts.bias_add(x, bias)


@mistake(
    errors.GraphError,
    "'bias_add' (op bias_add, inputs 'matmul' float32[?,2], 'bias' float32[2,2], at HERE): the bias must have "
    "rank 1, got float32[2,2]",
)
def layer_whose_bias_is_a_matrix() -> None:
    x, bias = ts.placeholder(np.float32, [None, 2], name="x"), ts.Variable(np.ones((2, 2), np.float32), name="bias")
    ts.linear(x, np.ones((2, 2), np.float32), bias)


@mistake(
    errors.GraphError,
    "'bag' (op embedding_bag, inputs 'table' float32[2], an array float32[1,1], at HERE): the table must have "
    "rank 2, got float32[2]",
)
def weighted_bag_of_a_vector() -> None:
    table = ts.Variable([1.0, 2.0], name="table")
    ts.embedding_bag(table, [[0]], [1], weights=np.ones((1, 1), np.float32), name="bag")


@mistake(
    errors.GraphError,
    "'embedding_bag' (op embedding_bag, inputs 'table' float32[2,2], at HERE): combiner must be 'sum' or 'mean', "
    "got 'max'",
)
def bag_of_an_unknown_kind() -> None:
    ts.embedding_bag(ts.Variable(np.ones((2, 2), np.float32), name="table"), [[0]], [1], "max")


@mistake(
    errors.GraphError,
    "'bucketize' (op bucketize, inputs 'x' float32[2], at HERE): edges must be a list of strictly ascending "
    "numbers in float32, got [1.0, 0.0]",
)
def edges_that_do_not_ascend() -> None:
    ts.bucketize(ts.placeholder(np.float32, [2], name="x"), [1.0, 0.0])


@mistake(
    errors.GraphError,
    "'mse' (op mse, inputs 'labels' float32[4], 'found' float32[4,1], at HERE): labels and predictions must have "
    "one shape, got float32[4] and float32[4,1]",
)
def labels_that_would_broadcast() -> None:
    ts.mse(ts.placeholder(np.float32, [4], name="labels"), ts.placeholder(np.float32, [4, 1], name="found"))


@mistake(
    errors.GraphError,
    "'batch_norm' (op batch_norm, inputs 'x' float32[?,2], an array float32[1,2], an array float32[2], an array "
    "float32[2], an array float32[2], at HERE): scale must have rank 1, got float32[1,2]",
)
def batch_norm_of_a_matrix_of_scales() -> None:
    x = ts.placeholder(np.float32, [None, 2], name="x")
    ones = np.ones(2, np.float32)
    ts.batch_norm(x, np.ones((1, 2), np.float32), ones, ones, ones)


@mistake(
    errors.GraphError,
    "'c' (op conv2d, inputs 'x' float32[?,1,4,4], an array float32[1,1,2,2], at HERE): strides must be one "
    "number or (height, width), got (1, 1, 1)",
)
def three_strides() -> None:
    x = ts.placeholder(np.float32, [None, 1, 4, 4], name="x")
    ts.conv2d(x, np.ones((1, 1, 2, 2), np.float32), (1, 1, 1), name="c")


@mistake(
    errors.GraphError,
    "'a b' is not a name: it must be of letters, digits, '_', '.', and not first '-' or '/', at HERE",
)
def name_with_a_blank() -> None:
    ts.constant(1.0, name="a b")


@pytest.mark.parametrize("row", MISTAKES, ids=lambda row: row.make.__name__)
def test_the_message(row: Mistake) -> None:
    with pytest.raises(row.error) as caught:
        row.make()
    assert with_here(str(caught.value), row.make) == row.message


class Doubled(ts.Operation):
    """2 * x, of a shape that the graph does not know."""

    def compute(self, *values: Any) -> Any:
        return values[0] * 2


@ts.RegisterGradient(Doubled)
def gradient_of_doubled(op: Any, grad: Any) -> Any:
    """Wrong: one number, where there should be one for each element."""
    return 2.0 * grad.sum()


def descent() -> ts.train.Optimizer:
    return ts.train.Optimizer(ts.train.GradientDescent(), 0.1)


def step_with_a_fed_gradient(w: ts.Variable, feeds: dict[ts.Node, Any]) -> ts.Node:
    grad = ts.placeholder(w.dtype, name="g")
    feeds[grad] = [1.0]
    return descent().apply_gradients([(grad, w)])


def step_with_an_overridden_gradient(w: ts.Variable, feeds: dict[ts.Node, Any]) -> ts.Node:
    pairs = descent().compute_gradients(ts.reduce_sum(ts.square(w)))
    (grad,) = (grad for grad, _ in pairs if isinstance(grad, ts.Node))
    feeds[grad] = 1.0
    return descent().apply_gradients(pairs)


def step_with_a_gradient_of_data_s_size(w: ts.Variable, feeds: dict[ts.Node, Any]) -> ts.Node:
    """One element is left of the mask, and the variable has three."""
    grad = ts.boolean_mask(ts.constant([1.0, 2.0, 3.0]), ts.constant(np.array([True, False, False])))
    return descent().apply_gradients([(grad, w)])


def step_with_a_wrong_registered_gradient(w: ts.Variable, feeds: dict[ts.Node, Any]) -> ts.Node:
    return descent().minimize(ts.reduce_sum(ts.sigmoid(Doubled([Doubled([w])]))))


def step_on_rows_of_data_s_width(w: ts.Variable, feeds: dict[ts.Node, Any]) -> ts.Node:
    values = ts.placeholder(w.dtype, name="values")
    feeds[values] = [1.0]
    return descent().apply_gradients([(ts.IndexedSlices(values, ts.constant([0, 1]), w), w)])


def assignment_of_data_s_size(w: ts.Variable, feeds: dict[ts.Node, Any]) -> ts.Node:
    value = ts.placeholder(w.dtype, name="value")
    feeds[value] = 5.0
    return ts.assign(w, value)


@pytest.mark.parametrize(
    "build",
    [
        step_with_a_fed_gradient,
        step_with_an_overridden_gradient,
        step_with_a_gradient_of_data_s_size,
        step_with_a_wrong_registered_gradient,
        step_on_rows_of_data_s_width,
        assignment_of_data_s_size,
    ],
)
@pytest.mark.parametrize("disable", [(), ("fold", "rewrite", "cse", "fuse", "memory")])
def test_nothing_is_broadcast_into_a_variable(build: Any, disable: tuple[str, ...]) -> None:
    """An error that names a node of the program, and the variable as it was."""
    w = ts.Variable([1.0, 2.0, 3.0], name="w")
    feeds: dict[ts.Node, Any] = {}
    step = build(w, feeds)
    with pytest.raises(errors.EngineError, match=r"shape|holds|rows of") as caught:
        ts.Session(disable=disable).run(step, feeds)
    assert "test_bad_input.py:" in str(caught.value)
    np.testing.assert_array_equal(run(w), [1, 2, 3])


def test_numbers_are_checked_in_every_way_to_run_and_only_where_asked() -> None:
    x = ts.placeholder(np.float32, [None], name="x")
    kept = ts.boolean_mask(ts.sqrt(x, name="root"), x < 1.0)
    plain, checking = ts.Session(), ts.Session(check_numerics=True)
    assert np.isnan(plain.run(kept, {x: [-1.0, 4.0]})).all()
    with pytest.raises(errors.NotFinite, match=r"^'root' \(op sqrt"):
        checking.make_callable(kept, [x])([-1.0, 4.0])
    np.testing.assert_array_equal(checking.run(kept, {x: [0.25, 4.0]}), [0.5])
    missing = ts.where(ts.is_nan(x), 0.0, x)
    np.testing.assert_array_equal(checking.run(missing + 1.0, {x: [np.nan, 4.0]}), [1, 5])


def test_assign_gives_a_variable_its_first_value() -> None:
    w = ts.Variable(shape=(2,), name="w")
    run(ts.assign(w, [1.0, 2.0]))
    np.testing.assert_array_equal(run(w), [1, 2])
