"""Where the time of a training step goes, op by op, and how many bytes each moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tests.benchmarks.training.data import Batch
from tests.benchmarks.training.engine import Engine
from tsengine.compiler.plan import Plan
from tsengine.compiler.program import Step
from tsengine.profile import Profile
from tsengine.specs import byte_size


@dataclass(frozen=True)
class Traffic:
    """Of one step on average: seconds by op, the longest first, and bytes."""

    seconds: dict[str, float]
    bytes: int

    def shares(self, most: int) -> str:
        """The ops that take most, in words."""
        total = sum(self.seconds.values())
        return ", ".join(f"{op} {seconds / total:.0%}" for op, seconds in list(self.seconds.items())[:most])


def traffic(ours: Engine, batches: list[Batch], steps: int) -> Traffic:
    """Watch so many steps; the first, which is not counted, finds the buffers cold."""
    feeds = dict(zip(ours.feeds, batches[0], strict=True))
    plan = ours.session.plan([ours.loss, ours.train_op], feeds)
    of_batch = [_watched(ours, plan, batches[k % len(batches)]) for k in range(steps + 1)][1:]
    lines = [line for profile in of_batch for line in profile.lines]
    seconds = dict.fromkeys((line.op for line in lines), 0.0)
    for line in lines:
        seconds[line.op] += line.seconds / steps
    slowest_first = dict(sorted(seconds.items(), key=lambda item: -item[1]))
    return Traffic(slowest_first, sum(line.bytes for line in lines) // steps)


def _watched(ours: Engine, plan: Plan, batch: Batch) -> Profile:
    given = {node.id: array for node, array in zip(ours.feeds, batch, strict=True)}
    profile = Profile(partial(bytes_of, ours, plan, len(np.unique(batch[0]))))
    plan.run([given[item] for item in plan.program.feeds], copy=False, watch=profile.add)
    return profile


def bytes_of(ours: Engine, plan: Plan, distinct: int, step: Step) -> int:
    """What a step reads and writes. Other than in the session's own profile, a gather reads the rows asked for and not
    the table, and an update reads and writes its variable and slots: of a table the rows of the `distinct` ids."""
    variables = ours.session.graph.variables
    if "gather" in step.op.name:
        table, ids = (plan.specs[item] for item in step.inputs[:2])
        assert table is not None and ids is not None
        rows = byte_size(ids) // ids.dtype.itemsize * _row_bytes(byte_size(table), table.shape)
        return plan.bytes_of(step) - byte_size(table) + rows
    if step.op.name not in ("apply_dense", "apply_rows"):
        return plan.bytes_of(step)
    held = [variables[name] for name in (step.attrs["variable"], *(name for _, name in step.attrs["slots"]))]
    touched = [byte_size(variable.value_spec) for variable in held]
    if step.op.name == "apply_rows":
        touched = [distinct * _row_bytes(size, variable.shape) for size, variable in zip(touched, held, strict=True)]
    return plan.bytes_of(step) + 2 * sum(touched)


def _row_bytes(size: int, shape: tuple[int | None, ...] | None) -> int:
    return size // ((shape or (1,))[0] or 1)
