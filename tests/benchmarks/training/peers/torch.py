"""The training step in PyTorch: eager, embeddings with sparse gradients, its own optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import Embedding, Parameter
from torch.nn import functional as F

from tests.benchmarks.training.data import dense_values, table_values
from tests.benchmarks.training.rate import Training
from tests.benchmarks.training.workloads import ADAGRAD_EPSILON, ADAGRAD_INITIAL, Workload

ACTIVATIONS = {"sigmoid": torch.sigmoid, "relu": torch.relu}


def training(workload: Workload, threads: int, rows: int) -> Training:
    """The step, with so many threads."""
    torch.set_num_threads(threads)
    network = _Network(workload)
    model = _WideDeep(workload, network, rows) if workload.has_tables else _Classifier(network)
    optimizer = _optimizer(workload, model.parameters)

    def step(batch: tuple[Any, ...]) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(*batch)
        loss.backward()
        optimizer.step()
        return loss

    return Training(lambda batch: tuple(map(torch.tensor, batch)), step, float)


def _optimizer(workload: Workload, parameters: Iterable[Any]) -> Any:
    make: dict[str, Callable[..., Any]] = {
        "gradient_descent": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adagrad": lambda of, lr: torch.optim.Adagrad(
            of, lr=lr, eps=ADAGRAD_EPSILON, initial_accumulator_value=ADAGRAD_INITIAL
        ),
    }
    return make[workload.rule](parameters, lr=workload.learning_rate)


class _Network:
    """The layers."""

    def __init__(self, workload: Workload) -> None:
        weights, biases = dense_values(workload)
        self.weights = [Parameter(torch.tensor(value)) for value in weights]
        self.biases = [Parameter(torch.tensor(value)) for value in biases]
        self.parameters = [*self.weights, *self.biases]
        self._activation = ACTIVATIONS[workload.activation]

    def __call__(self, x: Any) -> Any:
        *hidden, last = zip(self.biases, self.weights, strict=True)
        for bias, weights in hidden:
            x = self._activation(torch.addmm(bias, x, weights))
        return torch.addmm(last[0], x, last[1])


class _Classifier:
    """Softmax cross-entropy of the layers alone."""

    def __init__(self, network: _Network) -> None:
        self._network, self.parameters = network, network.parameters

    def loss(self, x: Any, label: Any) -> Any:
        return F.cross_entropy(self._network(x), label)


class _WideDeep:
    """The layers over embeddings and numbers, and a linear part."""

    def __init__(self, workload: Workload, network: _Network, rows: int) -> None:
        embeddings, wide, numbers = map(torch.tensor, table_values(workload, rows))
        self._network = network
        self._embeddings = Embedding.from_pretrained(embeddings, freeze=False, sparse=True)
        self._wide = Embedding.from_pretrained(wide, freeze=False, sparse=True)
        self._numbers = Parameter(numbers)
        self.parameters = [*network.parameters, self._numbers, self._embeddings.weight, self._wide.weight]

    def loss(self, ids: Any, numbers: Any, label: Any) -> Any:
        embedded = self._embeddings(ids).reshape(len(ids), -1)
        deep = self._network(torch.cat([embedded, numbers], 1))[:, 0]
        logits = deep + self._wide(ids)[:, :, 0].sum(1) + numbers @ self._numbers
        return F.binary_cross_entropy_with_logits(logits, label)
