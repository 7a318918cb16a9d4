"""The timed steps as graphs of the engine, up to the loss of each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import tsengine as ts
from tests.benchmarks.training.data import Embeddings, dense_values
from tests.benchmarks.training.workloads import (
    ADAGRAD_EPSILON,
    ADAGRAD_INITIAL,
    ADAM_BETA1,
    ADAM_BETA2,
    ADAM_EPSILON,
    FIELDS,
    NUMBERS,
    WIDTH,
    Workload,
)
from tsengine.initializers import Constant
from tsengine.train import Adagrad, Adam, GradientDescent, Rule

TABLES = ("embeddings", "wide")
RULES: dict[str, Rule] = {
    "gradient_descent": GradientDescent(),
    "adam": Adam(ADAM_BETA1, ADAM_BETA2, ADAM_EPSILON),
    "adagrad": Adagrad(ADAGRAD_INITIAL, ADAGRAD_EPSILON),
}


@dataclass(frozen=True)
class Model:
    """A graph, what to feed in the order of a batch's arrays, and the loss of each row [B]."""

    graph: ts.Graph
    feeds: dict[str, ts.Node]
    losses: ts.Node


def build(workload: Workload, rows: int) -> Model:
    """The workload's graph; the tables of `ctr` have so many rows."""
    graph = ts.Graph()
    with graph.as_default():
        feeds, losses = _wide_deep(workload, rows) if workload.has_tables else _classifier(workload)
    return Model(graph, feeds, losses)


def _classifier(workload: Workload) -> tuple[dict[str, ts.Node], ts.Node]:
    x = ts.placeholder(np.float32, (None, workload.widths[0]), name="x")
    label = ts.placeholder(np.int64, (None,), name="label")
    losses = ts.sparse_softmax_cross_entropy_with_logits(labels=label, logits=_network(workload, x))
    return {"x": x, "label": label}, losses


def _wide_deep(workload: Workload, rows: int) -> tuple[dict[str, ts.Node], ts.Node]:
    ids = ts.placeholder(np.int64, (None, FIELDS), name="ids")
    numbers = ts.placeholder(np.float32, (None, NUMBERS), name="numbers")
    label = ts.placeholder(np.float32, (None,), name="label")
    embeddings = ts.Variable(initializer=Embeddings(workload), shape=(rows, WIDTH), name="embeddings")
    wide = ts.Variable(initializer=Constant(0.0), shape=(rows, 1), name="wide")
    of_numbers = ts.Variable(initializer=Constant(0.0), shape=(NUMBERS, 1), name="of_numbers")
    embedded = ts.reshape(ts.gather(embeddings, ids), (-1, FIELDS * WIDTH))
    deep = _network(workload, ts.concat([embedded, numbers], axis=1))
    linear = ts.reduce_sum(ts.gather(wide, ids), axis=1) + numbers @ of_numbers
    losses = ts.sigmoid_cross_entropy_with_logits(labels=label, logits=ts.squeeze(deep + linear, 1))
    return {"ids": ids, "numbers": numbers, "label": label}, losses


def _network(workload: Workload, x: ts.Node) -> ts.Node:
    activate = {"sigmoid": ts.sigmoid, "relu": ts.relu}[workload.activation]
    for place, (weights, bias) in enumerate(zip(*dense_values(workload), strict=True)):
        matrix, vector = ts.Variable(weights, name=f"weights_{place}"), ts.Variable(bias, name=f"bias_{place}")
        x = ts.linear(x, matrix, vector)
        if place < workload.layers - 1:
            x = activate(x)
    return x
