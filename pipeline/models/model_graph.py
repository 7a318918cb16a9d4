"""What every model family gives: a graph with named doors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tsengine as ts


@dataclass(frozen=True)
class ModelGraph:
    """A built model.

    inputs       input name (pipeline.models.signature) -> placeholder, batch size free
    logits       float32 [B]
    probability  float32 [B], sigmoid of the logits
    tables       names of the variables whose rows are looked up by id; training updates them row by row
    """

    graph: ts.Graph
    inputs: Mapping[str, ts.Node]
    logits: ts.Node
    probability: ts.Node
    tables: frozenset[str]
