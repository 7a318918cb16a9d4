"""The training step in JAX: one jitted function that gives its state back, the old state's memory reused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from tests.benchmarks.training.data import dense_values, table_values
from tests.benchmarks.training.rate import Training
from tests.benchmarks.training.workloads import (
    ADAGRAD_EPSILON,
    ADAGRAD_INITIAL,
    ADAM_BETA1,
    ADAM_BETA2,
    ADAM_EPSILON,
    Workload,
)

ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}


def training(workload: Workload, threads: int, rows: int) -> Training:
    """The step; how many threads it has was said in the environment."""
    pure = (
        _click_step if workload.has_tables else {"gradient_descent": _descent_step, "adam": _adam_step}[workload.rule]
    )
    jitted = jax.jit(partial(pure, workload), donate_argnums=0)
    state = _first_state(workload, rows)

    def step(batch: tuple[Any, ...]) -> Any:
        nonlocal state
        state, loss = jitted(state, *batch)
        return loss

    return Training(lambda batch: tuple(map(jnp.array, batch)), step, float)


def _first_state(workload: Workload, rows: int) -> Any:
    layers = jax.tree.map(jnp.array, dense_values(workload))
    if not workload.has_tables:
        return layers, jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers), 0
    embeddings, wide, numbers = map(jnp.array, table_values(workload, rows))
    return [(value, _initial_sums(value)) for value in ((*layers, numbers), embeddings, wide)]


def _initial_sums(values: Any) -> Any:
    return jax.tree.map(lambda value: jnp.full(value.shape, ADAGRAD_INITIAL), values)


def _network(workload: Workload, layers: Any, x: Any) -> Any:
    for place, (matrix, bias) in enumerate(zip(*layers, strict=True)):
        x = x @ matrix + bias
        if place < workload.layers - 1:
            x = ACTIVATIONS[workload.activation](x)
    return x


def _class_loss(layers: Any, workload: Workload, x: Any, label: Any) -> Any:
    likelihoods = jax.nn.log_softmax(_network(workload, layers, x))
    return -jnp.mean(jnp.take_along_axis(likelihoods, label[:, None], 1))


def _descent_step(workload: Workload, state: Any, x: Any, label: Any) -> Any:
    layers, *rest = state
    loss, slopes = jax.value_and_grad(_class_loss)(layers, workload, x, label)
    return (jax.tree.map(lambda w, g: w - workload.learning_rate * g, layers, slopes), *rest), loss


def _adam_step(workload: Workload, state: Any, x: Any, label: Any) -> Any:
    layers, m, v, done = state
    loss, slopes = jax.value_and_grad(_class_loss)(layers, workload, x, label)
    done += 1
    m = jax.tree.map(lambda m, g: ADAM_BETA1 * m + (1 - ADAM_BETA1) * g, m, slopes)
    v = jax.tree.map(lambda v, g: ADAM_BETA2 * v + (1 - ADAM_BETA2) * g * g, v, slopes)

    def moved(w: Any, m: Any, v: Any) -> Any:
        root = jnp.sqrt(v / (1 - ADAM_BETA2**done)) + ADAM_EPSILON
        return w - workload.learning_rate * (m / (1 - ADAM_BETA1**done)) / root

    return (jax.tree.map(moved, layers, m, v), m, v, done), loss


def _click_loss(dense: Any, embedded: Any, wide: Any, workload: Workload, numbers: Any, label: Any) -> Any:
    """By the rows that were looked up, not by the tables: their gradient would be as large as they are."""
    *layers, of_numbers = dense
    deep = _network(workload, layers, jnp.concatenate([embedded.reshape(len(embedded), -1), numbers], 1))[:, 0]
    z = deep + wide[:, :, 0].sum(1) + numbers @ of_numbers
    return jnp.mean(jnp.maximum(z, 0) - z * label + jnp.log1p(jnp.exp(-jnp.abs(z))))


def _click_step(workload: Workload, state: Any, ids: Any, numbers: Any, label: Any) -> Any:
    (dense, sums), *tables = state
    slopes_of = jax.value_and_grad(_click_loss, (0, 1, 2))
    loss, (slopes, *of_rows) = slopes_of(dense, *(table[ids] for table, _ in tables), workload, numbers, label)
    sums = jax.tree.map(lambda s, g: s + g * g, sums, slopes)
    dense = jax.tree.map(lambda w, g, s: w - _change(workload, g, s), dense, slopes, sums)
    used = jnp.unique(ids.ravel(), return_inverse=True, size=ids.size, fill_value=len(tables[0][0]))
    update: Callable[..., Any] = partial(_update_rows, workload, *used)
    return [(dense, sums), *(update(*table, g) for table, g in zip(tables, of_rows, strict=True))], loss


def _update_rows(workload: Workload, rows: Any, places: Any, table: Any, sums: Any, slopes: Any) -> Any:
    """Rows beyond the table stand for none: there are as many as ids, since sizes must not depend on data."""
    slopes = jax.ops.segment_sum(slopes.reshape(places.size, -1), places.ravel(), places.size)
    sums = sums.at[rows].add(slopes * slopes, mode="drop")
    change = _change(workload, slopes, sums.at[rows].get(mode="fill", fill_value=1))
    return table.at[rows].add(-change, mode="drop"), sums


def _change(workload: Workload, slope: Any, total: Any) -> Any:
    return workload.learning_rate * slope / (jnp.sqrt(total) + ADAGRAD_EPSILON)
