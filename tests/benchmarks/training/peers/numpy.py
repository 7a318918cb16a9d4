"""The training step in NumPy, written by hand: in place, without a graph. What an engine on NumPy can hope for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.training.data import Array, dense_values, table_values
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

Update = Callable[[Array], None]
"""Changes one parameter by its gradient, which it may overwrite."""


def training(workload: Workload, threads: int, rows: int) -> Training:
    """The step; how many threads BLAS has was said in the environment."""
    network = _Network(workload)
    model = _WideDeep(workload, network, rows) if workload.has_tables else _Classifier(network)
    return Training(lambda batch: batch, lambda batch: model.step(*batch), float)


def _descent(parameter: Array, rate: float) -> Update:
    def update(gradient: Array) -> None:
        np.multiply(gradient, rate, out=gradient)
        np.subtract(parameter, gradient, out=parameter)

    return update


def _adam(parameter: Array, rate: float) -> Update:
    m, v, scratch = (np.zeros_like(parameter) for _ in range(3))
    done = 0

    def update(gradient: Array) -> None:
        nonlocal done
        done += 1
        np.multiply(m, ADAM_BETA1, out=m)
        np.multiply(gradient, 1 - ADAM_BETA1, out=scratch)
        np.add(m, scratch, out=m)
        np.multiply(v, ADAM_BETA2, out=v)
        np.multiply(gradient, gradient, out=gradient)
        np.multiply(gradient, 1 - ADAM_BETA2, out=gradient)
        np.add(v, gradient, out=v)
        np.sqrt(v, out=scratch)
        np.add(scratch, ADAM_EPSILON, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, rate * np.sqrt(1 - ADAM_BETA2**done) / (1 - ADAM_BETA1**done), out=scratch)
        np.subtract(parameter, scratch, out=parameter)

    return update


def _adagrad(parameter: Array, rate: float) -> Update:
    sums, scratch = np.full_like(parameter, ADAGRAD_INITIAL), np.empty_like(parameter)

    def update(gradient: Array) -> None:
        np.multiply(gradient, gradient, out=scratch)
        np.add(sums, scratch, out=sums)
        np.sqrt(sums, out=scratch)
        np.add(scratch, ADAGRAD_EPSILON, out=scratch)
        np.divide(gradient, scratch, out=gradient)
        np.multiply(gradient, rate, out=gradient)
        np.subtract(parameter, gradient, out=parameter)

    return update


RULES: dict[str, Callable[[Array, float], Update]] = {
    "gradient_descent": _descent,
    "adam": _adam,
    "adagrad": _adagrad,
}


class _Network:
    """The layers, forwards and backwards."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self._weights, self._biases = dense_values(workload)
        self._updates = [
            [self.update_of(parameter) for parameter in layer]
            for layer in zip(self._weights, self._biases, strict=True)
        ]
        self._activate, self._slope = {"sigmoid": (_sigmoid, _sigmoid_slope), "relu": (_relu, _relu_slope)}[
            workload.activation
        ]

    def update_of(self, parameter: Array) -> Update:
        return RULES[self.workload.rule](parameter, self.workload.learning_rate)

    def forward(self, x: Array) -> list[Array]:
        """The inputs of every layer, and the outputs of the last."""
        values = [x]
        for place, (weights, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            value = values[-1] @ weights
            value += bias
            if place < self.workload.layers - 1:
                self._activate(value)
            values.append(value)
        return values

    def backward(self, values: list[Array], gradient: Array, to_input: bool) -> Array:
        """Update every layer; the gradient by the inputs, where it is wanted."""
        for place in reversed(range(self.workload.layers)):
            of_weights, of_bias = values[place].T @ gradient, gradient.sum(axis=0)
            if place or to_input:
                gradient = gradient @ self._weights[place].T
            if place:
                gradient *= self._slope(values[place])
            for update, slope in zip(self._updates[place], (of_weights, of_bias), strict=True):
                update(slope)
        return gradient


def _sigmoid(x: Array) -> None:
    np.negative(x, out=x)
    np.exp(x, out=x)
    np.add(x, 1, out=x)
    np.reciprocal(x, out=x)


def _sigmoid_slope(y: Array) -> Array:
    slope: Array = y * (1 - y)
    return slope


def _relu(x: Array) -> None:
    np.maximum(x, 0, out=x)


def _relu_slope(y: Array) -> Array:
    return np.greater(y, 0)


class _Classifier:
    """Softmax cross-entropy of the layers alone."""

    def __init__(self, network: _Network) -> None:
        self._network = network

    def step(self, x: Array, label: Array) -> Any:
        values = self._network.forward(x)
        shifted = values[-1] - values[-1].max(axis=1, keepdims=True)
        gradient = np.exp(shifted)
        totals = gradient.sum(axis=1, keepdims=True)
        rows = np.arange(len(label))
        loss = np.mean(np.log(totals[:, 0]) - shifted[rows, label])
        gradient /= totals
        gradient[rows, label] -= 1
        gradient /= len(label)
        self._network.backward(values, gradient, to_input=False)
        return loss


class _WideDeep:
    """The layers over embeddings and numbers, and a linear part."""

    def __init__(self, workload: Workload, network: _Network, rows: int) -> None:
        self._network, self._rate = network, workload.learning_rate
        self._embeddings, self._wide, self._numbers = table_values(workload, rows)
        self._sums = [np.full_like(table, ADAGRAD_INITIAL) for table in (self._embeddings, self._wide)]
        self._update_numbers = network.update_of(self._numbers)

    def step(self, ids: Array, numbers: Array, label: Array) -> Any:
        values = self._network.forward(self._inputs(ids, numbers))
        z = values[-1][:, 0] + self._wide[ids][:, :, 0].sum(axis=1) + numbers @ self._numbers
        loss = np.mean(np.maximum(z, 0) - z * label + np.log1p(np.exp(-np.abs(z))))
        slope = (1 / (1 + np.exp(-z)) - label) / len(label)
        self._update_numbers(numbers.T @ slope)
        gradient = self._network.backward(values, slope[:, None], to_input=True)
        self._update_tables(ids.ravel(), gradient[:, : FIELDS * WIDTH].reshape(-1, WIDTH), np.repeat(slope, FIELDS))
        return loss

    def _inputs(self, ids: Array, numbers: Array) -> Array:
        inputs = np.empty((len(ids), FIELDS * WIDTH + numbers.shape[1]), np.float32)
        inputs[:, : FIELDS * WIDTH] = self._embeddings[ids].reshape(len(ids), -1)
        inputs[:, FIELDS * WIDTH :] = numbers
        return inputs

    def _update_tables(self, ids: Array, of_embeddings: Array, of_wide: Array) -> None:
        """Gradients of rows used more than once are summed first."""
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        rows = ordered[starts]
        gradients = of_embeddings[order], of_wide[order][:, None]
        for table, sums, slopes in zip((self._embeddings, self._wide), self._sums, gradients, strict=True):
            self._update_rows(table, sums, rows, np.add.reduceat(slopes, starts, axis=0))

    def _update_rows(self, table: Array, sums: Array, rows: Array, gradients: Array) -> None:
        total = sums[rows]
        total += gradients * gradients
        sums[rows] = total
        np.sqrt(total, out=total)
        total += ADAGRAD_EPSILON
        gradients /= total
        gradients *= self._rate
        table[rows] -= gradients
