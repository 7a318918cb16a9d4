"""A program with what the plain one lacks, as its spec says: random numbers, moving averages, schedules, clipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import tsengine as ts
from tests.tsengine.parallel import parallel_programs as plain
from tsengine.parallel import Average, Learning, Replica
from tsengine.train import Momentum, RowWiseAdagrad, Schedule, cosine_decay, warm_up

NAME = "tests.tsengine.parallel.drawing_programs:build"
WIDTH = 7


def schedule(rate: float) -> Schedule:
    """Up for 5 steps, then down to a tenth at step 25."""
    return warm_up(cosine_decay(rate, 20, alpha=0.1), 5)


def build(spec: Mapping[str, Any]) -> Replica:
    """Embeddings, a hidden layer that may be normalized, noisy and dropped, and a layer of 1.

    dropout: its rate, and there is noise besides; normalize: moving averages of the hidden layer; clip_value,
    clip_norm, clip_global_norm: limits for every variable; scheduled: rates go along `schedule`.
    """
    graph = ts.Graph()
    with graph.as_default():
        ids = ts.placeholder(np.int32, (None, plain.IDS), name="ids")
        x = ts.placeholder(np.float32, (None, 4), name="x")
        label, weight = (ts.placeholder(np.float32, (None,), name=name) for name in ("label", "weight"))
        total = ts.placeholder(np.float32, (), name="total")
        logits, averages = _logits(ids, x, ts.reduce_sum(weight) / total, spec)
        losses = ts.sigmoid_cross_entropy_with_logits(labels=label, logits=logits)
        loss = ts.reduce_sum(losses * weight) / total
    return Replica(
        graph=graph,
        loss=loss,
        feeds={"ids": ids, "x": x, "label": label, "weight": weight},
        batch_weight=total,
        learning={v.name: _learning(v.name, spec) for v in graph.trainable_variables()},
        table_rows={"table": plain.ROWS * (plain.IDS + 1)},
        batches=lambda rank, world, first: plain.batches(rank, world, first, spec),
        steps=plain.STEPS,
        averages=averages,
        clip_global_norm=spec.get("clip_global_norm"),
    )


def _learning(name: str, spec: Mapping[str, Any]) -> Learning:
    rate = 0.1 if name == "table" else 0.3
    return Learning(
        RowWiseAdagrad() if name == "table" else Momentum(0.5),
        schedule(rate) if spec.get("scheduled") else rate,
        weight_decay=1e-3 if name == "hidden" else 0.0,
        clip_value=spec.get("clip_value"),
        clip_norm=spec.get("clip_norm"),
    )


def _logits(ids: ts.Node, x: ts.Node, share: ts.Node, spec: Mapping[str, Any]) -> tuple[ts.Node, dict[str, Average]]:
    rng = np.random.default_rng(0)
    table = ts.Variable(rng.normal(size=(plain.TABLE, 5)).astype(np.float32), name="table")
    hidden = ts.Variable((rng.normal(size=(plain.IDS * 5 + 9, WIDTH)) / 4).astype(np.float32), name="hidden")
    out = ts.Variable((rng.normal(size=(WIDTH, 1)) / 2).astype(np.float32), name="out")
    looked_up = ts.reshape(ts.embedding_lookup(table, ids), (-1, plain.IDS * 5))
    again = ts.embedding_lookup(table, ts.squeeze(ids[:, :1], 1))
    inside, averages = ts.concat([looked_up, again, x], axis=1) @ hidden, dict[str, Average]()
    if spec.get("normalize"):
        scale, offset = (ts.Variable(np.full(WIDTH, v, np.float32), name=n) for n, v in (("scale", 1), ("offset", 0)))
        inside, *statistics = ts.batch_norm_train(inside, scale, offset)
        for name, first, part in zip(("mean", "variance"), (0.0, 1.0), statistics, strict=True):
            ts.Variable(np.full(WIDTH, first, np.float32), name=name, trainable=False)
            averages[name] = Average(part * share, spec["normalize"])
    if rate := spec.get("dropout"):
        inside = inside + ts.random_normal((WIDTH,), stddev=0.1, seed=3, name="noise")
        inside = ts.dropout(ts.tanh(inside), rate, seed=3, name="mask")
    else:
        inside = ts.tanh(inside)
    return ts.squeeze(inside @ out, 1), averages
