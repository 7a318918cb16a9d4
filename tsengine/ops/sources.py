"""Primitives that bring values into a run without computing: constants, placeholders, variables."""

from __future__ import annotations

from tsengine.ops.registry import REGISTRY, op
from tsengine.specs import Array, Spec, spec_of


@op("constant", source=True)
class _Constant:
    """A fixed array."""

    nondifferentiable = "it has no inputs"
    not_exported = "the exporter writes it as an initializer"

    @staticmethod
    def infer(value: Array) -> Spec:
        return spec_of(value)


@op("placeholder", source=True)
class _Placeholder:
    """A value that every run must feed."""

    nondifferentiable = "it has no inputs"
    not_exported = "it can only be an input of the exported graph"

    @staticmethod
    def infer(spec: Spec) -> Spec:
        return spec


@op("variable_read", source=True)
class _VariableRead:
    """The value that a variable had when the run began."""

    nondifferentiable = "it has no inputs"
    not_exported = "the exporter writes it as an initializer"

    @staticmethod
    def infer(variable: str, spec: Spec) -> Spec:
        return spec


CONSTANT, PLACEHOLDER, VARIABLE_READ = (REGISTRY[name] for name in ("constant", "placeholder", "variable_read"))
