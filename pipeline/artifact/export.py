"""The ONNX forms: `model.onnx` fed with raw values, `model_ids.onnx` fed with encoded ids.

Opset 17, ai.onnx.ml 2, IR 8: the pair that the widest range of runtimes reads. Parameters are not in the files; they
are the bytes of `weights.safetensors`, which both share as their external data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.artifact.front_end import FrontEnd
from pipeline.artifact.weights import WEIGHTS, Place
from pipeline.models import Input, ModelGraph

RAW_FORM, IDS_FORM = "model.onnx", "model_ids.onnx"
OPSET, ML_OPSET, IR = 17, 2, 8
PROBABILITY, LOGIT = "probability", "logit"
BATCH = "batch"


def onnx_form(model: ModelGraph, front: FrontEnd, weights: Mapping[str, Place], version: str) -> bytes:
    """A serialized ONNX model: the front end, then the graph from encoded inputs to probability and logit [batch]."""
    from onnx import TensorProto, helper

    from tsengine.onnx import convert

    results = {PROBABILITY: model.probability, LOGIT: model.logits}
    provided = {front.renamed.get(name, name): node for name, node in model.inputs.items()}
    nodes, constants = convert(results, {**provided, **model.graph.variables})
    graph = helper.make_graph(
        [*front.nodes, *nodes],
        "model",
        [value_info(entry) for entry in front.inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH]) for name in results],
        [*front.initializers, *constants, *_external_tensors(model, weights)],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    form = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="tsengine")
    helper.set_model_props(form, {"version": version})
    return bytes(form.SerializeToString(deterministic=True))


def value_info(entry: Input) -> Any:
    """An input of a form, its batch size free."""
    from onnx import TensorProto, helper

    types = {"string": TensorProto.STRING, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    return helper.make_tensor_value_info(entry.name, types[entry.dtype], [BATCH, *entry.shape])


def _external_tensors(model: ModelGraph, weights: Mapping[str, Place]) -> list[Any]:
    """Every variable as a float32 tensor whose bytes lie in the weights file."""
    from onnx import TensorProto

    tensors = []
    for name, variable in model.graph.variables.items():
        shape, place = variable.static_shape, weights[name]
        tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", WEIGHTS), ("offset", place.offset), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
    return tensors
