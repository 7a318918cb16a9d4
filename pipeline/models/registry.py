"""The model families by name. A new one is a file beside this one and a line in FAMILIES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.models.errors import ModelFault
from pipeline.models.model_graph import ModelGraph
from pipeline.models.spec import ModelSpec
from pipeline.models.wide_deep import wide_deep

FAMILIES: Mapping[str, Callable[[ModelSpec], ModelGraph]] = MappingProxyType({"wide_deep": wide_deep})


def build(spec: ModelSpec) -> ModelGraph:
    """A fresh graph of the model; ModelFault for a kind that does not exist."""
    if spec.kind not in FAMILIES:
        raise ModelFault(f"$.model.kind is {spec.kind!r}; model families are {sorted(FAMILIES)}")
    return FAMILIES[spec.kind](spec)
