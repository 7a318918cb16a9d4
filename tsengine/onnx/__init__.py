"""Export of an inference subgraph to ONNX (opset 17, ai.onnx.ml 2, IR 8). Needs the `onnx` package when called."""

from tsengine.onnx.export import convert as convert
from tsengine.onnx.export import to_onnx as to_onnx
