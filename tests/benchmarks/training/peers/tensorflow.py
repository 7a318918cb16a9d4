"""The training step in TensorFlow: one tf.function, updates by the kernels in which its optimizers end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.benchmarks.training.data import dense_values, table_values
from tests.benchmarks.training.rate import Training
from tests.benchmarks.training.workloads import (
    ADAGRAD_EPSILON,
    ADAGRAD_INITIAL,
    ADAM_BETA1,
    ADAM_BETA2,
    ADAM_EPSILON,
    FIELDS,
    WIDTH,
    Workload,
)

ACTIVATIONS = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu}


def training(workload: Workload, threads: int, rows: int) -> Training:
    """The step, with so many threads."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    weights, biases = ([tf.Variable(value) for value in values] for values in dense_values(workload))
    tables = [tf.Variable(value) for value in table_values(workload, rows)] if workload.has_tables else []
    learning = [*weights, *biases, *tables]
    update = RULES[workload.rule](learning, workload.learning_rate)

    def network(x: Any) -> Any:
        for place, (matrix, bias) in enumerate(zip(weights, biases, strict=True)):
            x = tf.nn.bias_add(tf.matmul(x, matrix), bias)
            if place < workload.layers - 1:
                x = ACTIVATIONS[workload.activation](x)
        return x

    @tf.function
    def step(*batch: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _click_loss(network, tables, *batch) if tables else _class_loss(network, *batch)
        update(tape.gradient(loss, learning))
        return loss

    return Training(lambda batch: tuple(map(tf.constant, batch)), lambda batch: step(*batch), float)


def _class_loss(network: Callable[[Any], Any], x: Any, label: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=network(x)))


def _click_loss(network: Callable[[Any], Any], tables: list[Any], ids: Any, numbers: Any, label: Any) -> Any:
    embeddings, wide, of_numbers = tables
    embedded = tf.reshape(tf.gather(embeddings, ids), [-1, FIELDS * WIDTH])
    deep = network(tf.concat([embedded, numbers], 1))[:, 0]
    linear = tf.reduce_sum(tf.gather(wide, ids)[:, :, 0], 1) + tf.linalg.matvec(numbers, of_numbers)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=deep + linear))


class _GradientDescent:
    """w -= lr * g."""

    def __init__(self, variables: list[Any], learning_rate: float) -> None:
        self._variables, self._rate = variables, learning_rate

    def __call__(self, gradients: list[Any]) -> None:
        for variable, gradient in zip(self._variables, gradients, strict=True):
            variable.assign_sub(self._rate * gradient)


class _Adam:
    """Adam, with "epsilon hat"."""

    def __init__(self, variables: list[Any], learning_rate: float) -> None:
        self._learning = [(v, tf.Variable(tf.zeros(v.shape)), tf.Variable(tf.zeros(v.shape))) for v in variables]
        self._powers = tf.Variable(1.0), tf.Variable(1.0)
        self._constants = {"lr": learning_rate, "beta1": ADAM_BETA1, "beta2": ADAM_BETA2, "epsilon": ADAM_EPSILON}

    def __call__(self, gradients: list[Any]) -> None:
        for power, beta in zip(self._powers, (ADAM_BETA1, ADAM_BETA2), strict=True):
            power.assign(power * beta)
        powers = {"beta1_power": self._powers[0], "beta2_power": self._powers[1]}
        for (variable, m, v), gradient in zip(self._learning, gradients, strict=True):
            places = {"var": variable.handle, "m": m.handle, "v": v.handle}
            tf.raw_ops.ResourceApplyAdam(**places, **powers, **self._constants, grad=gradient)


class _Adagrad:
    """Adagrad; the gradients of rows used more than once are summed first."""

    def __init__(self, variables: list[Any], learning_rate: float) -> None:
        self._learning = [(v, tf.Variable(tf.fill(v.shape, ADAGRAD_INITIAL))) for v in variables]
        self._constants = {"lr": learning_rate, "epsilon": ADAGRAD_EPSILON}

    def __call__(self, gradients: list[Any]) -> None:
        for (variable, total), gradient in zip(self._learning, gradients, strict=True):
            places = {"var": variable.handle, "accum": total.handle, **self._constants}
            if isinstance(gradient, tf.IndexedSlices):
                values, rows = _summed(gradient, variable.shape[1])
                tf.raw_ops.ResourceSparseApplyAdagradV2(**places, grad=values, indices=rows)
            else:
                tf.raw_ops.ResourceApplyAdagradV2(**places, grad=gradient)


def _summed(gradient: Any, width: int) -> tuple[Any, Any]:
    rows, places = tf.unique(tf.reshape(gradient.indices, [-1]))
    return tf.math.unsorted_segment_sum(tf.reshape(gradient.values, [-1, width]), places, tf.size(rows)), rows


RULES: dict[str, Callable[[list[Any], float], Callable[[list[Any]], None]]] = {
    "gradient_descent": _GradientDescent,
    "adam": _Adam,
    "adagrad": _Adagrad,
}
