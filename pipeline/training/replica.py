"""The program that every training process runs: the model's graph, its loss, and its part of the batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tsengine as ts
from pipeline.features import FeatureSpec
from pipeline.loader import Loader, Step
from pipeline.models import ModelGraph, ModelSpec, build
from pipeline.training.metrics import auc
from tsengine.parallel import Learning, Replica
from tsengine.train import (
    Adagrad,
    Adam,
    GradientDescent,
    LazyAdam,
    RowWiseAdagrad,
    Rule,
    Schedule,
    constant,
    cosine_decay,
    exponential_decay,
    warm_up,
)

PROGRAM = "pipeline.training.replica:replica"
RULES: Mapping[str, type[Rule]] = {
    "gradient_descent": GradientDescent,
    "adagrad": Adagrad,
    "rowwise_adagrad": RowWiseAdagrad,
    "adam": Adam,
}
# Adam proper moves every row of a table at every step; "adam" has always meant the rows of the batch alone.
TABLE_RULES: Mapping[str, type[Rule]] = {**RULES, "adam": LazyAdam}


def replica(spec: Mapping[str, Any]) -> Replica:
    """Build it from JSON: `model` (a ModelSpec), `loader` (folders and sizes), `training` (epochs, optimizer, ...)."""
    model = ModelSpec.from_json(spec["model"])
    training = spec["training"]
    graph = build(model)
    loader = make_loader(spec["loader"], model.features)
    with graph.graph.as_default():
        label, weight = (ts.placeholder(np.float32, (None,), name=f"training/{name}") for name in ("label", "weight"))
        batch_weight = ts.placeholder(np.float32, (), name="training/batch_weight")
        losses = ts.sigmoid_cross_entropy_with_logits(labels=label, logits=graph.logits)
        loss = ts.reduce_sum(losses * weight) / batch_weight
        watched = {"logits": ts.identity(graph.logits), "label": ts.identity(label), "weight": ts.identity(weight)}
    rows, steps = training["batch_size"] // training["shards"], loader.steps_per_epoch * training["epochs"]
    return Replica(
        graph=graph.graph,
        loss=loss,
        feeds={**graph.inputs, "label": label, "weight": weight},
        batch_weight=batch_weight,
        learning=_learning(graph, training, steps),
        table_rows=_table_rows(graph, model.features, rows),
        batches=lambda rank, world, first: _batches(loader, training["epochs"], rank, world, first),
        steps=steps,
        watched=watched,
        observe=_observe,
        observe_every=training["observe_every"],
        clip_global_norm=training["clip_norm"],
    )


def make_loader(fields: Mapping[str, Any], features: Sequence[FeatureSpec]) -> Loader:
    """A loader from its JSON: folders, label, batch_size, shards, seed, window_row_groups."""
    return Loader(specs=features, **fields)


def _batches(loader: Loader, epochs: int, rank: int, world: int, first: int) -> Iterator[Step]:
    """Steps over all epochs, numbered through."""
    per_epoch = loader.steps_per_epoch
    for epoch in range(first // per_epoch, epochs):
        start = first - epoch * per_epoch if epoch == first // per_epoch else 0
        for step in loader.steps(epoch, rank, world, start):
            yield Step(epoch * per_epoch + step.index, step.weight_sum, step.shards)


def _learning(graph: ModelGraph, training: Mapping[str, Any], steps: int) -> dict[str, Learning]:
    """Tables learn by the rule for tables, without decay; all others by the optimizer, with it."""
    optimizer, schedule = training["optimizer"], training["schedule"]
    rate, table_rate = (
        _along(of["learning_rate"], schedule, steps - schedule["warm_up_steps"])
        for of in (optimizer, optimizer["tables"])
    )
    tables = Learning(TABLE_RULES[optimizer["tables"]["kind"]](), table_rate)
    dense = Learning(RULES[optimizer["kind"]](), rate, training["weight_decay"])
    names = [variable.name for variable in graph.graph.trainable_variables()]
    return {name: tables if name in graph.tables else dense for name in names}


def _along(rate: float, schedule: Mapping[str, Any], steps: int) -> Schedule:
    """A rate as the config's schedule moves it; there are so many steps after the warm-up."""
    found, decay_steps = constant(rate), schedule["decay_steps"]
    if schedule["kind"] == "cosine":
        found = cosine_decay(rate, decay_steps or max(1, steps), schedule["final_share"])
    if schedule["kind"] == "exponential":
        found = exponential_decay(rate, decay_steps, schedule["decay_rate"], schedule["staircase"])
    return warm_up(found, schedule["warm_up_steps"])


def _table_rows(graph: ModelGraph, features: Sequence[FeatureSpec], rows: int) -> dict[str, int]:
    """Gradient rows of a shard at most: a row of the batch takes one for each id that it looks up in the table.

    A table whose name says nothing of who reads it may be read by every feature.
    """
    lookups: Counter[str] = Counter()
    for spec in features:
        count = spec.length or 1
        lookups.update(
            {f"wide/{spec.name}": count, f"bucket/{spec.name}": count, f"embedding/{spec.vocabulary}": count}
        )
    sizes = {name: graph.graph.variables[name].static_shape[0] for name in graph.tables}
    every = sum(spec.length or 1 for spec in features)
    return {name: min(size, (lookups[name] or every) * rows) for name, size in sizes.items()}


def _observe(seen: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """AUC of the step's own batch, before its update; absent where the batch has one class only."""
    label, score, weight = (seen[name].ravel() for name in ("label", "logits", "weight"))
    positives = float((label * weight).sum())
    if not 0 < positives < float(weight.sum()):
        return {}
    return {"auc": auc(label, score, weight)}
