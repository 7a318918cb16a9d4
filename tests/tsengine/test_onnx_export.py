"""A whole model in ONNX: the reference evaluator and onnxruntime give the engine's numbers at every batch size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.onnx import convert, to_onnx
from tsengine.specs import Array

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def model() -> tuple[ts.Node, dict[str, ts.Node]]:
    price = ts.placeholder(np.float32, [None], name="price")
    item = ts.placeholder(np.int32, [None], name="item")
    recent, length = ts.placeholder(np.int32, [None, 4], name="recent"), ts.placeholder(np.int32, [None], name="length")
    table = ts.Variable(initializer=ts.Normal(1), shape=(20, 8), name="table")
    buckets = ts.Variable(initializer=ts.Normal(1), shape=(4, 2), name="buckets")
    null = ts.is_nan(price)
    filled = ts.where(null, 0.0, price)
    bucket = ts.where(null, ts.constant(0), ts.bucketize(filled, [0.5, 1.0, 2.0]))
    known = ts.where(item >= 20, ts.constant(2), item)
    cross = ts.cast((ts.cast(known, np.int64) * 1_000_003 + ts.cast(bucket, np.int64)) % 20, np.int32)
    parts = [
        ts.gather(table, known), ts.gather(table, cross), ts.gather(buckets, bucket),
        ts.embedding_bag(table, recent, length, "mean"), ts.embedding_bag(table, recent, length, "sum"),
        ts.expand_dims(ts.clip(ts.log1p(ts.maximum(filled, 0.0)), -8.0, 8.0), 1),
    ]  # fmt: skip
    x = ts.concat(parts, axis=1)
    weights = ts.Variable(initializer=ts.HeNormal(2), shape=(35, 6), name="weights")
    hidden = ts.relu(ts.bias_add(x @ weights, ts.Variable(np.full(6, 0.1, np.float32))))
    logits = ts.squeeze(hidden @ ts.Variable(initializer=ts.HeNormal(3), shape=(6, 1)), 1)
    return ts.sigmoid(logits), {node.name: node for node in (price, item, recent, length)}


def batch(size: int) -> dict[str, Array]:
    rng = np.random.default_rng(size)
    price = rng.choice(
        np.array([np.nan, 0.5, np.nextafter(np.float32(0.5), np.float32(0)), 1.5, 9.0, -1.0], np.float32), size
    )
    return {
        "price": price, "item": rng.integers(0, 30, size, dtype=np.int32),
        "recent": rng.integers(0, 20, (size, 4), dtype=np.int32), "length": rng.integers(0, 5, size, dtype=np.int32),
    }  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 7, 64])
def test_a_ranking_model_scores_the_same_everywhere(size: int) -> None:
    y, inputs = model()
    exported = to_onnx({"probability": y}, inputs)
    assert (exported.ir_version, [entry.version for entry in exported.opset_import]) == (8, [17, 2])
    assert exported.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    feeds = batch(size)
    expected = ts.Session().run(y, {inputs[name]: value for name, value in feeds.items()})
    evaluated = reference.ReferenceEvaluator(exported).run(None, feeds)[0]
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    for got in (evaluated, session.run(None, feeds)[0]):
        assert got.shape == expected.shape == (size,)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_pieces_fit_behind_other_nodes() -> None:
    x = ts.placeholder(np.float32, [None], name="x")
    w = ts.Variable([2.0], name="w")
    nodes, initializers = convert({"y": x * w, "same": x}, {"scaled": x})
    assert [tensor.name for tensor in initializers] == ["w"]
    assert nodes[0].input[0] == "scaled"
    front = onnx.helper.make_node("Neg", ["raw"], ["scaled"])
    kinds = [onnx.helper.make_tensor_value_info(name, 1, ["batch"]) for name in ("raw", "y", "same")]
    whole = onnx.helper.make_graph([front, *nodes], "g", kinds[:1], kinds[1:], initializers)
    built = onnx.helper.make_model(whole, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    got = reference.ReferenceEvaluator(built).run(None, {"raw": np.array([1.0, 2.0], np.float32)})
    np.testing.assert_array_equal(got, [[-2, -4], [-1, -2]])


def test_a_node_that_is_provided_is_not_computed() -> None:
    x = ts.placeholder(np.float32, [None], name="x")
    middle = ts.exp(-x)
    nodes, _ = convert({"y": ts.tanh(middle)}, {"middle": middle})
    assert [node.op_type for node in nodes] == ["Tanh", "Identity"]


def test_parameters_are_those_of_now(graph: ts.Graph) -> None:
    w = ts.Variable([1.0], name="w")
    graph.store.set("w", [5.0])
    _, initializers = convert({"y": w * 2.0})
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in initializers}
    assert values["w"][0] == 5.0


def test_what_cannot_be_exported_is_named_all_at_once() -> None:
    x, z = ts.placeholder(np.float32, [None], name="x"), ts.placeholder(np.float32, [None], name="z")
    loss = ts.sigmoid_cross_entropy_with_logits(z, x, name="loss")
    grad = ts.segment_sum(loss, ts.constant([0]), 1, name="pooled")
    with pytest.raises(errors.ExportError, match=r"(?s)'loss' .*losses are not part.*'pooled' .*use embedding_bag"):
        to_onnx({"y": grad}, [x, z])
