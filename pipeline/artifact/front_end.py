"""The nodes in front of the model in its ONNX forms: from what a client feeds to the tensors `encoded/<name>`.

Raw values: all uses of a vocabulary go through one LabelEncoder (its keys belong to the node, so a second node would
store them twice): scalars as one column each and sequences as many, side by side, then split again. `""` is a key of
its own, which gives null; positions at or after a sequence's length become padding. A hash becomes its bucket. What is
`scored_as` one value has no input: it is a constant, as many times as there are rows. Opset 17 has no string
comparison, which is why null is a key and not a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.batches import INT32_MAX
from pipeline.artifact.vocabulary import NULL_HASH, Vocabulary
from pipeline.features import FIRST_ID, NULL_ID, PAD_ID, UNKNOWN_ID, FeatureSpec
from pipeline.models import Input, encoded_inputs, length_name, raw_inputs

IDS_DTYPE = "int64"
"""Ids and lengths at the door of the encoded form; the model's own are int32."""


@dataclass
class FrontEnd:
    """Pieces of an ONNX graph: inputs, nodes, small initializers; `renamed` says which tensor feeds a placeholder."""

    inputs: tuple[Input, ...]
    renamed: Mapping[str, str]
    nodes: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)

    def add(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Append a node."""
        from onnx import helper

        domain = "ai.onnx.ml" if op == "LabelEncoder" else ""
        name = f"encode/{outputs[0]}"
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, domain=domain, **attributes))

    def constant(self, name: str, value: Any) -> str:
        """Append an int64 initializer once; returns its name."""
        from onnx import numpy_helper

        full = f"encode/{name}"
        if full not in {tensor.name for tensor in self.initializers}:
            self.initializers.append(numpy_helper.from_array(np.array(value, np.int64), full))
        return full

    def cast(self, source: str, name: str) -> None:
        """`encoded/<name>` is `source` in int32."""
        from onnx import TensorProto

        self.add("Cast", [source], [f"encoded/{name}"], to=TensorProto.INT32)


Fixed = Mapping[str, NDArray[Any]]
"""The encoded values of inputs that are not fed, [1] each."""
NOTHING: Fixed = MappingProxyType({})


def raw_front_end(
    features: Sequence[FeatureSpec], vocabularies: Mapping[str, Vocabulary], fixed: Fixed = NOTHING
) -> FrontEnd:
    """Strings and hashes to ids, lengths checked, numbers as they are; `features` are those that are fed."""
    front = FrontEnd(raw_inputs(features), _renamed(features, fixed))
    _fix(front, fixed)
    for feature in features:
        if feature.kind == "sequence":
            _clip(front, length_name(feature), feature.length or 0)
        if feature.hashed:
            _bucket(front, feature.name, feature.buckets or 1)
    for name in sorted({feature.vocabulary for feature in features if feature.vocabulary is not None}):
        _look_up(front, vocabularies[name], [feature for feature in features if feature.vocabulary == name])
    return front


def ids_front_end(features: Sequence[FeatureSpec], fixed: Fixed = NOTHING) -> FrontEnd:
    """int64 ids and lengths into the model's int32, as `batches.checked` does: a negative id is null."""
    doors = tuple(
        replace(entry, dtype=IDS_DTYPE) if entry.dtype == "int32" else entry for entry in encoded_inputs(features)
    )
    front = FrontEnd(doors, _renamed(features, fixed))
    _fix(front, fixed)
    for door in doors:
        if door.largest is not None:
            _clip(front, door.name, door.largest)
        elif door.dtype == IDS_DTYPE:
            _known_or_null(front, door.name)
    return front


def _renamed(features: Sequence[FeatureSpec], fixed: Fixed) -> dict[str, str]:
    names = [entry.name for entry in encoded_inputs(features) if entry.dtype == "int32"]
    return {name: f"encoded/{name}" for name in (*names, *fixed)}


def _fix(front: FrontEnd, fixed: Fixed) -> None:
    """Each value as many times as the first input has rows."""
    from onnx import numpy_helper

    if fixed:
        front.add("Shape", [front.inputs[0].name], ["rows"], start=0, end=1)
    for name, value in fixed.items():
        front.initializers.append(numpy_helper.from_array(value, f"encode/fixed/{name}"))
        front.add("Expand", [f"encode/fixed/{name}", "rows"], [f"encoded/{name}"])


def _bucket(front: FrontEnd, name: str, buckets: int) -> None:
    """FIRST_ID + hash mod buckets; Mod of integers has the sign of the divisor, as NumPy's."""
    front.add("Equal", [name, front.constant("null_hash", NULL_HASH)], [f"null/{name}"])
    front.add("Mod", [name, front.constant(f"buckets_{buckets}", buckets)], [f"remainder/{name}"])
    front.add("Add", [f"remainder/{name}", front.constant("first", FIRST_ID)], [f"id/{name}"])
    front.add("Where", [f"null/{name}", front.constant("null", NULL_ID), f"id/{name}"], [f"hashed/{name}"])
    front.cast(f"hashed/{name}", name)


def _clip(front: FrontEnd, name: str, largest: int) -> None:
    front.add(
        "Clip", [name, front.constant("zero", 0), front.constant(f"largest_{largest}", largest)], [f"clipped/{name}"]
    )
    front.cast(f"clipped/{name}", name)


def _known_or_null(front: FrontEnd, name: str) -> None:
    front.add("Less", [name, front.constant("zero", 0)], [f"negative/{name}"])
    front.add("Min", [name, front.constant("largest_id", INT32_MAX)], [f"bounded/{name}"])
    front.add("Where", [f"negative/{name}", front.constant("null", NULL_ID), f"bounded/{name}"], [f"clipped/{name}"])
    front.cast(f"clipped/{name}", name)


def _look_up(front: FrontEnd, vocabulary: Vocabulary, uses: Sequence[FeatureSpec]) -> None:
    """One LabelEncoder over all uses [B, total width], split again into columns."""
    widths = [feature.length if feature.kind == "sequence" else 1 for feature in uses]
    all_values, all_ids = f"values/{vocabulary.name}", f"ids/{vocabulary.name}"
    front.add("Concat", [_as_columns(front, feature) for feature in uses], [all_values], axis=1)
    front.add("LabelEncoder", [all_values], [all_ids], **_keys(vocabulary))
    parts = [f"found/{feature.name}" for feature in uses]
    front.add("Split", [all_ids, front.constant(f"widths/{vocabulary.name}", widths)], parts, axis=1)
    for feature, part in zip(uses, parts, strict=True):
        front.cast(_masked(front, feature, part), feature.name)


def _as_columns(front: FrontEnd, feature: FeatureSpec) -> str:
    if feature.kind == "sequence":
        return feature.name
    front.add("Unsqueeze", [feature.name, front.constant("axis", [1])], [f"column/{feature.name}"])
    return f"column/{feature.name}"


def _masked(front: FrontEnd, feature: FeatureSpec, part: str) -> str:
    """Scalars lose their column axis; sequences get padding after their length."""
    name = feature.name
    if feature.kind != "sequence":
        front.add("Squeeze", [part, front.constant("axis", [1])], [f"scalar/{name}"])
        return f"scalar/{name}"
    positions = front.constant(f"positions/{name}", [list(range(feature.length or 0))])
    front.add("Unsqueeze", [f"clipped/{length_name(feature)}", front.constant("axis", [1])], [f"length_column/{name}"])
    front.add("Less", [positions, f"length_column/{name}"], [f"real/{name}"])
    front.add("Where", [f"real/{name}", part, front.constant("padding", PAD_ID)], [f"padded/{name}"])
    return f"padded/{name}"


def _keys(vocabulary: Vocabulary) -> dict[str, Any]:
    ids = [NULL_ID, *range(FIRST_ID, FIRST_ID + len(vocabulary.values))]
    return {"keys_strings": ["", *vocabulary.values], "values_int64s": ids, "default_int64": UNKNOWN_ID}
