"""Where ops write their ONNX nodes to, with the shapes of several nodes that more than one rule needs.

Every value bears the name of the node it came from; what a rule adds in between is named `<node>/<op type>_<n>`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsengine.graph import Node
from tsengine.specs import Array


class Builder:
    """Collects nodes and initializers while a graph is walked."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._prefix = ""
        self._count = 0

    def begin(self, node: Node) -> None:
        """Name what follows after this node."""
        self._prefix, self._count = node.name, 0

    def add(self, op_type: str, inputs: list[str], **attrs: Any) -> str:
        """Add an ONNX node with one output; returns the output's name."""
        output = self._name(op_type)
        self.nodes.append(self._helper.make_node(op_type, inputs, [output], name=output, **attrs))
        return output

    def constant(self, value: Array, name: str | None = None) -> str:
        """Add an initializer; returns its name."""
        given = name or self._name("constant")
        self.initializers.append(self.tensor(value, given))
        return given

    def tensor(self, value: Array, name: str = "") -> Any:
        """An array as a TensorProto."""
        return self._numpy.from_array(np.ascontiguousarray(value).reshape(value.shape), name)

    def element_type(self, dtype: Any) -> int:
        """ONNX's number for a dtype."""
        return int(self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def log1p(self, x: str, dtype: Any) -> str:
        """Log(x + 1); ONNX has no log1p, so digits below the dtype's epsilon are lost."""
        return self.add("Log", [self.add("Add", [x, self.constant(np.ones((), dtype))])])

    def expm1(self, x: str, dtype: Any) -> str:
        """Exp(x) - 1; ONNX has no expm1, so digits below the dtype's epsilon are lost."""
        return self.add("Sub", [self.add("Exp", [x]), self.constant(np.ones((), dtype))])

    def reduce(self, op_type: str, node: Node, inputs: list[str]) -> str:
        """A reduction; in opset 17 the axes are an input of ReduceSum and an attribute of the others."""
        axis, keepdims = node.attrs["axis"], int(node.attrs["keepdims"])
        if axis is None:
            return self.add(op_type, inputs, keepdims=keepdims)
        if not axis:  # over no axis nothing is reduced; ONNX reads an empty list as all of them
            return self.add("Identity", inputs)
        if op_type == "ReduceSum":
            return self.add(op_type, [*inputs, self.constant(np.array(axis, np.int64))], keepdims=keepdims)
        return self.add(op_type, inputs, axes=list(axis), keepdims=keepdims)

    def swap_last_axes(self, name: str, node: Node) -> str:
        """A matrix (or a stack of them) transposed."""
        rank = node.value_spec.rank or 2
        return self.add("Transpose", [name], perm=[*range(rank - 2), rank - 1, rank - 2])

    def bucketize(self, inputs: list[str]) -> str:
        """The number of edges at or below x, by comparing with all of them. NaN compares false: 0."""
        last = self.constant(np.array([-1], np.int64))
        reached = self.add("GreaterOrEqual", [self.add("Unsqueeze", [inputs[0], last]), inputs[1]])
        return self.add("ReduceSum", [self.add("Cast", [reached], to=self.element_type(np.int32)), last], keepdims=0)

    def embedding_bag(self, node: Node, inputs: list[str]) -> str:
        """Gather, zero at the padding, sum over positions; ids of the padding are replaced by 0 before the look-up."""
        table, ids, lengths = inputs
        dtype, one = node.dtype, self.constant(np.array([1], np.int64))
        columns = self._columns(lengths)
        valid = self.add("Less", [self._positions(ids), columns])
        safe = self.add("Where", [valid, ids, self.constant(np.zeros((), node.inputs[1].dtype))])
        mask = self.add(
            "Cast",
            [self.add("Unsqueeze", [valid, self.constant(np.array([2], np.int64))])],
            to=self.element_type(dtype),
        )
        rows = self.add("Mul", [self.add("Gather", [table, safe], axis=0), mask])
        total = self.add("ReduceSum", [rows, one], keepdims=0)
        if not node.attrs["mean"]:
            return total
        count = self.add("Max", [columns, one])
        return self.add("Div", [total, self.add("Cast", [count], to=self.element_type(dtype))])

    def bag_mask(self, inputs: list[str]) -> str:
        """Positions below the length of their bag."""
        return self.add("Less", [self._positions(inputs[0]), self._columns(inputs[1])])

    def boolean_mask(self, node: Node, inputs: list[str]) -> str:
        """Compress works on one axis, so the mask's axes become one first."""
        rank, all_of = node.inputs[1].value_spec.rank or 1, self.constant(np.array([-1], np.int64))
        inner = self._inner_sizes(inputs[0], rank)
        x = self.add("Reshape", [inputs[0], self.add("Concat", [all_of, inner], axis=0)])
        return self.add("Compress", [x, self.add("Reshape", [inputs[1], all_of])], axis=0)

    def place_masked(self, inputs: list[str], dtype: Any) -> str:
        """Zeros, and the values written to the places where the mask holds."""
        values, mask = inputs
        sizes = self.add("Concat", [self.add("Shape", [mask]), self._inner_sizes(values, 1)], axis=0)
        zeros = self.add("ConstantOfShape", [sizes], value=self.tensor(np.zeros(1, dtype)))
        places = self.add("Transpose", [self.add("NonZero", [mask])], perm=[1, 0])
        return self.add("ScatterND", [zeros, places, values])

    def _inner_sizes(self, x: str, first: int) -> str:
        """The sizes of x from axis `first` on."""
        bounds = [self.constant(np.array([value], np.int64)) for value in (first, np.iinfo(np.int64).max)]
        return self.add("Slice", [self.add("Shape", [x]), *bounds])

    def _columns(self, lengths: str) -> str:
        """Lengths [B] as int64 [B, 1]."""
        last = self.constant(np.array([1], np.int64))
        return self.add("Unsqueeze", [self.add("Cast", [lengths], to=self.element_type(np.int64)), last])

    def _positions(self, ids: str) -> str:
        """0 .. L-1 for ids [B, L]."""
        size = self.add("Gather", [self.add("Shape", [ids]), self.constant(np.array(1, np.int64))], axis=0)
        return self.add("Range", [self.constant(np.array(0, np.int64)), size, self.constant(np.array(1, np.int64))])

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}/{kind}_{self._count}"
