"""Every registered primitive is complete, and right by its reference, its gradient, every pass and ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tsengine as ts
import tsengine.compat.tensorslow
from tsengine.compiler.pipeline import PASSES
from tsengine.graph import apply
from tsengine.onnx import to_onnx
from tsengine.ops.registry import REGISTRY, register
from tsengine.specs import spec_of
from tsengine.testing.gradcheck import gradient_error
from tsengine.testing.interpreter import interpret
from tsengine.testing.opcases import TABLE, Case

pytestmark = pytest.mark.usefixtures("kernels")

Same = Callable[[Any, Any], None]
COMPUTED = sorted(name for name, op in REGISTRY.items() if not op.source and op.update is None and name != "host_call")
CASES = [
    pytest.param(name, case, id=f"{name}-{case.kind}-{n}")
    for name in COMPUTED
    if name in TABLE
    for n, case in enumerate(TABLE[name].cases)
]


def test_every_op_states_its_facts() -> None:
    for name, op in REGISTRY.items():
        ways = [way for way in (op.kernel, op.compute, op.update) if way is not None]
        assert op.doc, name
        assert op.source or len(ways) == 1 or (not ways and op.view is not None and op.is_view is None), name
        answers = (op.gradient, op.nondifferentiable, op.undifferentiated)
        said = sum(answer is not None for answer in answers)
        assert said == 1, f"{name} needs gradient, nondifferentiable or undifferentiated"
        assert (op.onnx is None) != (op.not_exported is None), f"{name} needs onnx or not_exported"


def test_every_op_has_cases_of_every_kind() -> None:
    assert set(COMPUTED) == set(TABLE)
    for name in COMPUTED:
        kinds = {case.kind for case in TABLE[name].cases} | set(TABLE[name].lacks)
        assert {"plain", "empty", "scalar"} <= kinds, name
        assert not REGISTRY[name].broadcasting or "broadcast" in kinds, name


@pytest.mark.parametrize(("name", "case"), CASES)
def test_value_spec_and_passes(name: str, case: Case, assert_same: Same) -> None:
    expected = np.asarray(TABLE[name].reference(*case.inputs, **case.attrs))
    with ts.Graph().as_default() as graph:
        nodes = [ts.placeholder(item.dtype, item.shape) for item in case.inputs]
        y = apply(name, *nodes, **case.attrs)
    feeds = dict(zip(nodes, case.inputs, strict=True))
    value = np.asarray(ts.Session(graph, checked=True).run(y, feeds))
    assert value.dtype == y.dtype
    assert value.shape == expected.shape
    assert y.value_spec.known is False or y.shape == value.shape
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
    for disable in (PASSES, ("memory",)):
        assert_same(ts.Session(graph, disable=disable).run(y, feeds), value)
    assert_same(interpret([y], feeds)[0], value)


@pytest.mark.parametrize(("name", "case"), CASES)
@pytest.mark.parametrize("repeated", [False, True])
def test_computed_inputs_may_be_overwritten(name: str, case: Case, repeated: bool, assert_same: Same) -> None:
    """Feeds never are, so the inputs are copies of them; `repeated`: inputs of one spec are one value."""
    with ts.Graph().as_default() as graph:
        nodes = [ts.placeholder(item.dtype, item.shape) for item in case.inputs]
        copies = [apply("snapshot", node) for node in nodes]
        if repeated:
            copies = [next(copy for copy in copies if copy.spec == item.spec) for item in copies]
        y = apply(name, *copies, **case.attrs)
    feeds = dict(zip(nodes, case.inputs, strict=True))
    with np.errstate(all="ignore"):
        expected = interpret([y], feeds)[0]
        assert_same(ts.Session(graph, checked=True).run(y, feeds), expected)


def test_the_planner_works_in_place_where_it_may() -> None:
    """Or else the test above shows nothing."""
    made = set()
    for name in COMPUTED:
        for case in TABLE[name].cases:
            with ts.Graph().as_default() as graph:
                copies = [apply("snapshot", ts.placeholder(item.dtype, item.shape)) for item in case.inputs]
                y = apply(name, *copies, **case.attrs)
            feeds = {copy.inputs[0]: item for copy, item in zip(copies, case.inputs, strict=True)}
            if "in place" in ts.Session(graph).plan(y, feeds).dump():
                made.add(name)
    assert made == {name for name in COMPUTED if REGISTRY[name].inplace}


@pytest.mark.parametrize(("name", "case"), [param for param in CASES if REGISTRY[str(param.values[0])].inplace])
def test_in_place_gives_the_same(name: str, case: Case) -> None:
    kernel = REGISTRY[name].kernel
    assert kernel is not None
    for place in REGISTRY[name].inplace:
        inputs = [item.copy() for item in case.inputs]
        expected = REGISTRY[name].infer(*(spec_of(item) for item in inputs), **case.attrs)
        if place >= len(inputs) or expected != spec_of(inputs[place]):
            continue
        fresh = np.empty(expected.shape, expected.dtype)
        with np.errstate(all="ignore"):
            kernel(fresh, *inputs, **case.attrs)
            kernel(inputs[place], *inputs, **case.attrs)
        np.testing.assert_array_equal(inputs[place], fresh)


@pytest.mark.parametrize(
    ("name", "case"), [param for param in CASES if REGISTRY[str(param.values[0])].gradient is not None]
)
@pytest.mark.parametrize("known_sizes", [False, True])
def test_gradient(name: str, case: Case, known_sizes: bool) -> None:
    if name == "cast" and case.attrs["dtype"].kind != "f":
        return
    assert gradient_error(lambda *nodes: apply(name, *nodes, **case.attrs), case.inputs, known_sizes=known_sizes) < 1e-6


@pytest.mark.parametrize(
    ("name", "case"), [param for param in CASES if REGISTRY[str(param.values[0])].onnx is not None]
)
def test_onnx(name: str, case: Case) -> None:
    from onnx.reference import ReferenceEvaluator

    single: list[Any] = [item.astype(np.float32) if item.dtype == np.float64 else item for item in case.inputs]
    attrs: dict[str, Any] = {
        key: np.dtype(np.float32) if isinstance(value, np.dtype) and value.kind == "f" else value
        for key, value in case.attrs.items()
    }
    if name == "reduce_max" and case.kind == "empty":
        return  # the maximum of nothing is undefined in ONNX
    with ts.Graph().as_default() as graph:
        nodes = [ts.placeholder(item.dtype, item.shape, name=f"x{place}") for place, item in enumerate(single)]
        y = apply(name, *nodes, **attrs)
    model = to_onnx({"y": y}, nodes)
    feeds = dict(zip(nodes, single, strict=True))
    evaluated: Any = ReferenceEvaluator(model).run(None, {node.name: value for node, value in feeds.items()})
    got = evaluated[0]
    want = np.asarray(ts.Session(graph).run(y, feeds))
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_name_taken_twice_is_refused_with_the_place() -> None:
    with pytest.raises(
        ValueError, match=r"op 'add' at .*test_op_table.py:\d+ is registered already, at .*elementwise.py:\d+"
    ):
        register("add", doc="again", infer=lambda x: x)


def test_an_op_that_computes_nothing_is_refused_with_the_place() -> None:
    with pytest.raises(ValueError, match=r"op 'idle' at .*test_op_table.py:\d+ computes nothing: give it a kernel"):

        @ts.op("idle")
        class _Idle:
            """It forgot its kernel."""

            infer = staticmethod(lambda x: x)

    assert "idle" not in REGISTRY
