"""The three training steps that are timed: their data, initial values and constants, the same for us and for the peers.

tiny   2-4-8-2-2, sigmoid, batch 200, gradient descent: what a step costs besides arithmetic
mlp    784-512-256-10, relu, softmax cross-entropy, batch 128, Adam: matrix products
ctr    wide & deep: 26 ids (zipf) in one table of `rows` x 16, 13 numbers, deep 256-128-64 relu, a linear wide part,
       binary cross-entropy, batch 4096, Adagrad, of the tables by the rows used

All float32. This module must not import NumPy: the command line is read, and the process pinned, before that is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS, FIELDS, WIDTH, NUMBERS = 1_000_000, 26, 16, 13

# Adagrad as in Keras, Adam as in TensorFlow 1.
ADAGRAD_INITIAL, ADAGRAD_EPSILON = 0.1, 1e-7
ADAM_BETA1, ADAM_BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Workload:
    """One training step: the widths of its layers, inputs first, and how it learns."""

    name: str
    batch: int
    widths: tuple[int, ...]
    activation: str
    rule: str
    learning_rate: float

    @property
    def has_tables(self) -> bool:
        """Whether it is the one with tables of embeddings."""
        return self.name == "ctr"

    @property
    def layers(self) -> int:
        """How many matrices it has."""
        return len(self.widths) - 1


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tiny", 200, (2, 4, 8, 2, 2), "sigmoid", "gradient_descent", 0.03),
        Workload("mlp", 128, (784, 512, 256, 10), "relu", "adam", 1e-3),
        Workload("ctr", 4096, (FIELDS * WIDTH + NUMBERS, 256, 128, 64, 1), "relu", "adagrad", 0.01),
    )
}
