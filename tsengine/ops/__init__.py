"""The primitives, one file per family; each op's shape rule, kernel, gradient and ONNX rule stand side by side."""
