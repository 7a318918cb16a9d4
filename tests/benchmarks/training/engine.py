"""Our training step in one process, as a good user would write it."""

from __future__ import annotations

from dataclasses import dataclass

import tsengine as ts
from tests.benchmarks.training.model import RULES, build
from tests.benchmarks.training.rate import Training
from tests.benchmarks.training.workloads import Workload
from tsengine.train import Optimizer


@dataclass(frozen=True)
class Engine:
    """A session with what a step fetches and feeds."""

    session: ts.Session
    loss: ts.Node
    train_op: ts.Node
    feeds: list[ts.Node]
    kernels: str

    def training(self) -> Training:
        """The step, compiled once."""
        call = self.session.make_callable([self.loss, self.train_op], self.feeds, copy=False)
        return Training(lambda batch: batch, lambda batch: call(*batch)[0], float)


def engine(workload: Workload, rows: int, kernels: str | None) -> Engine:
    """The step with these kernels, or with the session's own choice."""
    model = build(workload, rows)
    with model.graph.as_default():
        loss = ts.reduce_mean(model.losses)
        rule = RULES[workload.rule]
        train_op = Optimizer(rule, workload.learning_rate, tables=rule).minimize(loss)
    session = ts.Session(model.graph, kernels=kernels)
    return Engine(session, loss, train_op, list(model.feeds.values()), session.kernels)
