"""An optimizer in the graph: gradients of a loss, and one update operation per variable that applies a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsengine.errors import GradientError
from tsengine.gradients import Gradient, gradient_stop, gradients
from tsengine.graph import Node, apply
from tsengine.indexed_slices import IndexedSlices
from tsengine.initializers import Constant
from tsengine.ops.state import assign_add, group
from tsengine.sites import describe
from tsengine.train.adagrad import RowWiseAdagrad
from tsengine.train.clipping import Pair, Transform
from tsengine.train.rules import Rule, Slot
from tsengine.train.schedules import Schedule, as_schedule
from tsengine.variables import Variable


class Optimizer:
    """Applies `rule` to dense gradients and `tables` (row-wise Adagrad by default) to those of embedding tables.

    learning_rate: a number or a function of the step, for both; table_learning_rate: another one for tables.
    transforms: pieces of `tsengine.train.clipping` that change the gradients, in this order, before a rule sees them.
    Slots are variables named `<variable>/<slot>`; the step is the variable `<name>/step`. An optimizer has one set of
    slots for each variable and rule, and one step: operations that it makes from several losses learn with one memory.
    """

    def __init__(
        self,
        rule: Rule,
        learning_rate: float | Schedule,
        *,
        tables: Rule | None = None,
        table_learning_rate: float | Schedule | None = None,
        transforms: Sequence[Transform] = (),
        name: str = "optimizer",
    ) -> None:
        self.rule, self.tables, self.name = rule, tables or RowWiseAdagrad(), name
        self.transforms = tuple(transforms)
        self.learning_rate = as_schedule(learning_rate)
        self.table_learning_rate = as_schedule(learning_rate if table_learning_rate is None else table_learning_rate)
        self._steps: dict[int, Variable] = {}
        self._slots: dict[Variable, dict[Rule, tuple[tuple[str, str], ...]]] = {}

    def minimize(self, loss: Node, variables: Sequence[Variable] | None = None, name: str | None = None) -> Node:
        """An operation that makes one step on the variables (all trainable ones that the loss depends on)."""
        pairs = self.compute_gradients(loss, variables)
        if all(grad is None for grad, _ in pairs):
            raise GradientError(_why_none(loss, [variable for _, variable in pairs]))
        return self.apply_gradients(pairs, name)

    def compute_gradients(self, loss: Node, variables: Sequence[Variable] | None = None) -> list[Pair]:
        """(gradient, variable) pairs; the gradient is None where the loss does not depend on the variable.

        They are the plain ones: `apply_gradients` does the transforms.
        """
        chosen = loss.graph.trainable_variables() if variables is None else list(variables)
        return list(zip(gradients(loss, chosen), chosen, strict=True))

    def apply_gradients(self, pairs: Sequence[Pair], name: str | None = None) -> Node:
        """An operation that transforms gradients, applies them to their variables, then counts the step."""
        present = [(grad, variable) for grad, variable in pairs if grad is not None]
        if not present:
            names = ", ".join(describe(variable) for _, variable in pairs) or "nothing"
            raise GradientError(f"No gradients provided for any variable: each of these has None: {names}")
        for transform in self.transforms:
            present = [(grad, variable) for grad, variable in transform(present) if grad is not None]
        for grad, variable in present:
            nodes = [grad.values, grad.indices] if isinstance(grad, IndexedSlices) else [grad]
            variable.graph.need_own(nodes, f"the gradient of variable '{variable.name}'")
        counter = self._counter(present[0][1])
        updates = [self._update(grad, variable, counter) for grad, variable in present]
        return group(*updates, assign_add(counter, 1), name=name or self.name)

    def _counter(self, beside: Variable) -> Variable:
        graph = beside.graph
        if id(graph) not in self._steps:
            step = Variable(0, dtype=np.int64, name=f"{self.name}/step", trainable=False, graph=graph)
            self._steps[id(graph)] = step
        return self._steps[id(graph)]

    def _update(self, grad: Gradient, variable: Variable, counter: Variable) -> Node:
        sparse = isinstance(grad, IndexedSlices)
        rule, rate = (self.tables, self.table_learning_rate) if sparse else (self.rule, self.learning_rate)
        refused = rule.refuses_rows() if sparse else None
        if refused:
            raise GradientError(f"variable '{variable.name}' has a sparse gradient: {refused}")
        facts: dict[str, Any] = {
            "variable": variable.name,
            "holds": variable.value_spec,
            "rule": rule,
            "slots": self._slots_of(rule, variable),
            "counter": counter.name,
            "learning_rate": rate,
        }
        if isinstance(grad, IndexedSlices):
            return apply("apply_rows", grad.values, grad.indices, **facts)
        return apply("apply_dense", grad, **facts)

    def _slots_of(self, rule: Rule, variable: Variable) -> tuple[tuple[str, str], ...]:
        """(slot, name of its variable) pairs, the same ones whenever a rule comes to a variable again."""
        known = self._slots.setdefault(variable, {})
        if rule not in known:
            slots = rule.slots(variable.value_spec).items()
            known[rule] = tuple((name, _made(name, slot, variable).name) for name, slot in slots)
        return known[rule]


def _why_none(loss: Node, variables: Sequence[Variable]) -> str:
    """Why a loss has no gradient at all: it depends on none of the variables, or only through what has none."""
    start = f"No gradients provided for any variable: the loss {describe(loss)} of {loss.spec}"
    if not variables:
        return f"{start} is in a graph without trainable variables"
    stops = [(variable, stop) for variable in variables if (stop := gradient_stop(loss, variable)) is not None]
    if stops:
        variable, stop = stops[0]
        return f"{start} depends on '{variable.name}' only through {describe(stop)}: {stop.op.nondifferentiable}"
    names = ", ".join(f"{describe(variable)} of {variable.spec}" for variable in variables)
    return f"{start} depends on none of {names}"


def _made(name: str, slot: Slot, beside: Variable) -> Variable:
    return Variable(
        initializer=Constant(slot.fill),
        shape=slot.shape,
        dtype=slot.dtype,
        name=f"{beside.name}/{name}",
        trainable=False,
        graph=beside.graph,
    )
