"""From nodes to ONNX: every op brings its own rule, variables become initializers with the values they have now.

`convert` gives the pieces, for a caller who puts his own nodes before them; `to_onnx` gives a whole model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tsengine.errors import ExportError
from tsengine.graph import Node, ancestors
from tsengine.onnx.builder import Builder
from tsengine.sites import describe

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, ML_OPSET, IR_VERSION = 17, 2, 8
Named = Mapping[str, Node] | Sequence[Node]


def convert(outputs: Named, inputs: Named = ()) -> tuple[list[Any], list[Any]]:
    """(nodes, initializers) that compute the outputs, in order.

    outputs: name -> node (or nodes, under their own names). inputs: nodes that the caller provides, under these names;
    a placeholder not among them is provided under its own name. An op without a rule raises ExportError with all such.
    """
    results, given = _by_name(outputs), {node.id: name for name, node in _by_name(inputs).items()}
    needed = ancestors(results.values(), stop=frozenset(given))
    _refuse([node for node in needed if node.id not in given])
    builder, names = Builder(), dict(given)
    for node in needed:
        if node.id not in names:
            builder.begin(node)
            names[node.id] = _converted(builder, node, [names[item.id] for item in node.inputs])
    for name, node in results.items():
        builder.nodes.append(_named_output(names[node.id], name))
    return builder.nodes, builder.initializers


def to_onnx(outputs: Named, inputs: Named, *, batch_dim: str = "batch") -> ModelProto:
    """An ONNX model of the outputs as functions of the inputs; a size of None in axis 0 is called `batch_dim`."""
    from onnx import checker, helper

    results, given = _by_name(outputs), _by_name(inputs)
    nodes, initializers = convert(results, given)
    graph = helper.make_graph(
        nodes,
        "tsengine",
        [_value_info(name, node, batch_dim) for name, node in given.items()],
        [_value_info(name, node, batch_dim) for name, node in results.items()],
        initializers,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tsengine")
    checker.check_model(model)
    return model


def _by_name(nodes: Named) -> dict[str, Node]:
    return dict(nodes) if isinstance(nodes, Mapping) else {node.name: node for node in nodes}


def _refuse(nodes: list[Node]) -> None:
    faults = [
        f"{describe(node)}: {node.op.not_exported or 'its op has no ONNX rule'}"
        for node in nodes
        if node.op.onnx is None and not node.op.source
    ]
    if faults:
        raise ExportError("these nodes cannot be exported to ONNX: " + "; ".join(faults))


def _converted(builder: Builder, node: Node, inputs: list[str]) -> str:
    if node.op.name == "placeholder":
        return node.name
    if node.op.name == "constant":
        return builder.constant(node.attrs["value"], node.name)
    if node.op.name == "variable_read":
        return builder.constant(node.graph.store.get(node.attrs["variable"]), node.name)
    if isinstance(node.op.onnx, str):
        return builder.add(node.op.onnx, inputs)
    assert node.op.onnx is not None
    return str(node.op.onnx(builder, node, inputs))


def _named_output(value: str, name: str) -> Any:
    from onnx import helper

    return helper.make_node("Identity", [value], [name], name=f"output/{name}")


def _value_info(name: str, node: Node, batch_dim: str) -> Any:
    from onnx import helper

    spec = node.value_spec
    if spec.shape is None:
        raise ExportError(f"the rank of {describe(node)} must be known")
    unknown = [batch_dim, *(f"{name}_size_{axis}" for axis in range(1, len(spec.shape)))]
    sizes = [unknown[axis] if size is None else size for axis, size in enumerate(spec.shape)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(spec.dtype), sizes)
