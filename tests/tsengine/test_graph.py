"""Building: names, scopes, default graphs, inferred specs, and mistakes reported where they are made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.specs import broadcast, fits


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def test_names_are_unique_and_scoped() -> None:
    with ts.name_scope("tower"):
        a = ts.constant(1.0, name="c")
        with ts.name_scope("inner"):
            b = ts.constant(1.0, name="c")
    with ts.name_scope("tower"):
        c = ts.constant(1.0, name="c")
    d, e = ts.constant(1.0, name="c"), ts.constant(1.0, name="c")
    assert [node.name for node in (a, b, c, d, e)] == ["tower/c", "tower/inner/c", "tower_1/c", "c", "c_1"]
    assert a.graph.node("tower/inner/c") is b
    with pytest.raises(errors.GraphError, match="is not a name"):
        ts.constant(1.0, name="a b")


def test_default_graph_as_statement_and_as_block(graph: ts.Graph) -> None:
    inner = ts.Graph()
    with inner.as_default():
        assert ts.constant(1.0).graph is inner
    assert ts.constant(1.0).graph is graph
    lasting = ts.Graph()
    context = lasting.as_default()
    assert ts.constant(1.0).graph is lasting
    context.__exit__(None, None, None)
    assert ts.get_default_graph() is graph


def test_operators_and_dtypes_of_plain_operands() -> None:
    x = ts.placeholder(np.float64, [2], name="x")
    session = ts.Session()
    feed = {x: [1.0, -2.0]}
    for node, expected in (
        (1 - x, [0, 3]),
        (x / 2, [0.5, -1]),
        (2 / x, [2, -1]),
        (x**2.0, [1, 4]),
        (-abs(x), [-1, -2]),
        (x @ [3.0, 1.0], 1.0),
        (np.ones(2) * x, [1, -2]),
        (x[1], -2),
        (x[0:1], [1]),
        (ts.cast(x > 0, np.float64), [1, 0]),
    ):
        assert node.dtype == np.float64
        np.testing.assert_array_equal(session.run(node, feed), expected)
    assert ts.constant(1.5).dtype == np.float32
    assert ts.constant(1).dtype == np.int32
    with pytest.raises(TypeError, match="no truth value"):
        bool(x)
    with pytest.raises(TypeError):
        iter(x)


def test_mistakes_name_node_op_shapes_and_line() -> None:
    a, b = ts.placeholder(np.float32, [None, 3], name="a"), ts.placeholder(np.float32, [4, 5], name="b")
    with pytest.raises(
        errors.GraphError,
        match=r"'h' \(op matmul, inputs 'a' float32\[\?,3\], 'b' float32\[4,5\], at .*test_graph.py:\d+\): .*3 and 4",
    ):
        ts.matmul(a, b, name="h")
    with pytest.raises(errors.GraphError, match=r"\[4,3\] and \[4,5\] cannot be broadcast"):
        ts.placeholder(np.float32, [4, 3]) + b
    with pytest.raises(errors.GraphError, match="dtypes float32, int32 differ; cast one"):
        a + ts.placeholder(np.int32)
    with pytest.raises(errors.GraphError, match="'stop' is an operation and has no value"):
        a + ts.no_op(name="stop")
    with ts.Graph().as_default():
        c = ts.constant(1.0, name="elsewhere")
    with pytest.raises(errors.GraphError, match=r"'elsewhere' .* is not an element of this graph"):
        a + c
    with pytest.raises(errors.GraphError, match="cannot be reshaped"):
        ts.reshape(b, [3, -1])
    with pytest.raises(errors.GraphError, match="Variable without initial_value needs a fully known shape"):
        ts.Variable()


def test_inferred_shapes_are_partial() -> None:
    x = ts.placeholder(np.float32, [None, 3])
    free = ts.placeholder(np.float32)
    assert (x + x).shape == (None, 3)
    assert ts.reduce_sum(x, axis=-1).shape == (None,)
    assert ts.concat([x, x], axis=1).shape == (None, 6)
    assert ts.concat([x, x], axis=0).shape == (None, 3)
    assert ts.reshape(x, [-1, 1]).shape == (None, 1)
    assert (free + x).shape is None
    assert ts.reduce_sum(free).shape == ()
    assert ts.stack([x, x], axis=1).shape == (None, 2, 3)


def test_broadcast_of_partial_shapes() -> None:
    assert broadcast((None, 3), (3,)) == (None, 3)
    assert broadcast((None,), (5,)) == (5,)
    assert broadcast((None,), (1,)) == (None,)
    assert broadcast(None, (1,)) is None
    assert fits((2, 3), (None, 3))
    assert not fits((2, 3), (3,))


def said(code: str) -> list[str]:
    """The words that a fresh Python prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_engine_loads_numpy_alone() -> None:
    loaded = said("import sys, numpy; before = set(sys.modules); import tsengine; print(*set(sys.modules) - before)")
    heavy = {"onnx", "safetensors", "numba", "scipy", "pipeline", "pyspark", "pyarrow"}
    assert {name.split(".")[0] for name in loaded} & heavy == set()
    late = {"hashlib", "inspect", "json", "socket", "subprocess", "tempfile", "tsengine.parallel", "tsengine.onnx"}
    assert {*loaded} & {*late, "tsengine.compiler", "tsengine.session", "tsengine.train"} == set()


def test_what_is_loaded_late_is_there_when_it_is_named() -> None:
    assert {"Session", "train", "Variable"} <= {*dir(ts)}
    code = "import tsengine as ts; print(ts.Session.__module__, ts.train.Adam.__module__, ts.Session is ts.Session)"
    assert said(code) == ["tsengine.session", "tsengine.train.adam", "True"]
    assert said("from tsengine import Session, train; print(Session.__name__, train.__name__)")[1] == "tsengine.train"
    with pytest.raises(AttributeError, match="module 'tsengine' has no attribute 'session_'"):
        ts.__getattr__("session_")


def test_every_primitive_of_a_graph_is_registered_by_the_import() -> None:
    """Whatever is loaded later adds only those that the compiler puts in the place of others."""
    code = (
        "import importlib, pkgutil, tsengine; from tsengine.ops.registry import REGISTRY; before = set(REGISTRY)\n"
        "for package in ('ops', 'train', 'compiler', 'onnx', 'parallel'):\n"
        "    folder = importlib.import_module('tsengine.' + package)\n"
        "    for found in pkgutil.iter_modules(folder.__path__, folder.__name__ + '.'):\n"
        "        importlib.import_module(found.name)\n"
        "print(len(before), *[REGISTRY[name].where.replace(' ', '_') for name in set(REGISTRY) - before])"
    )
    count, *places = said(code)
    assert int(count) > 100
    assert places and all("/compiler/" in place or "/ops/fused.py" in place for place in places)
