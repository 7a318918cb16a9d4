"""Which rules of `tsengine.train` the machine takes, and the constants that each needs at a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsengine.compiler.operands import Operand, fixed
from tsengine.kernels.compiled import updates
from tsengine.kernels.compiled.encode import Row, aligned, collapsed, row
from tsengine.specs import Array
from tsengine.train.adagrad import Adagrad, RowWiseAdagrad
from tsengine.train.adam import Adam, AdamW, LazyAdam
from tsengine.train.momentum import Momentum
from tsengine.train.rules import GradientDescent, Rule

_LARGEST_SCRATCH = 1 << 30


def _adam(rule: Any, step: int, rate: float) -> tuple[float, ...]:
    first, second = 1.0 - rule.beta1 ** (step + 1), 1.0 - rule.beta2 ** (step + 1)
    whole, epsilon, kept = rate * math.sqrt(second) / first, rule.epsilon, 1.0
    if isinstance(rule, AdamW):
        epsilon, kept = epsilon * math.sqrt(second), 1.0 - rate * rule.decay
    return whole, rule.beta1, rule.beta2, 1.0 - rule.beta1, 1.0 - rule.beta2, epsilon, kept


_KNOWN: dict[type[Rule], tuple[int, Callable[[Any, int, float], tuple[float, ...]]]] = {
    GradientDescent: (updates.DESCENT, lambda rule, step, rate: (rate,)),
    Momentum: (updates.MOMENTUM, lambda rule, step, rate: (rate, rule.momentum, float(rule.nesterov))),
    Adagrad: (updates.ADAGRAD, lambda rule, step, rate: (rate, rule.epsilon)),
    RowWiseAdagrad: (updates.ROWWISE_ADAGRAD, lambda rule, step, rate: (rate, rule.epsilon)),
    Adam: (updates.ADAM, _adam),
    LazyAdam: (updates.ADAM, _adam),
    AdamW: (updates.ADAM, _adam),
}


def number_of(rule: Rule) -> int | None:
    """The number of a rule that kernels take: these classes alone, because one that inherits may do something else."""
    return _KNOWN[type(rule)][0] if type(rule) in _KNOWN else None


def constants_of(rule: Rule, step: int, rate: float) -> Array:
    """What its kernel reads besides arrays, after `step` other updates."""
    values = np.zeros(8)
    found = _KNOWN[type(rule)][1](rule, step, rate)
    values[: len(found)] = found
    return values


@dataclass
class Constants:
    """What a rule's kernel reads besides arrays: set before each run, from the step and the rate."""

    rule: Rule
    counter: str
    learning_rate: Callable[[int], float]
    values: Array = field(default_factory=lambda: np.zeros(8))

    def set(self, step: int) -> None:
        """For the update after `step` others."""
        self.values[:] = constants_of(self.rule, step, self.learning_rate(step))

    @property
    def operand(self) -> Operand:
        """Where the kernel finds them."""
        found = fixed(self.values)
        assert found is not None
        return found


def dense(
    rule: Rule, parameter: Operand, slots: Sequence[Operand], grad: Operand, constants: Constants
) -> list[Row] | None:
    """A step on a whole parameter; None where the rule is not known here."""
    number = _number(rule, parameter, slots)
    if number is None or number == updates.ROWWISE_ADAGRAD:
        return None
    if grad.shape != parameter.shape or grad.dtype != parameter.dtype or not grad.contiguous:
        return None
    arrays = [parameter, *_padded(slots, parameter), grad, constants.operand]
    return [row(updates.dense, arrays, parameter.dtype.itemsize, number, math.prod(parameter.shape))]


@dataclass
class Numbering:
    """The rows of the machine that number the distinct ids of an operand, and what they write."""

    made: list[Row]
    arrays: tuple[Array, Array]
    places: Array

    @staticmethod
    def of(ids: Operand, table_rows: int) -> Numbering | None:
        """For ids that look into a table of that many rows; None where the kernel does not take them."""
        count = math.prod(ids.shape)
        if not count or not ids.contiguous or ids.dtype.kind != "i" or ids.dtype.itemsize not in (4, 8):
            return None
        if table_rows >= 1 << 31:
            return None
        places = np.empty(1 << max(4, (2 * count - 1).bit_length()), np.int64)
        numbers, found = np.empty(count, np.int32), np.empty(count + 1, np.int64)
        arrays = [fixed(numbers), fixed(found), ids, fixed(places)]
        facts = [count, table_rows, len(places), ids.dtype.itemsize]
        made = [row(updates.number, [item for item in arrays if item is not None], *facts)]
        return Numbering(made, (numbers, found), places)


def rows(
    rule: Rule,
    parameter: Operand,
    slots: Sequence[Operand],
    values: Operand,
    numbering: Numbering,
    constants: Constants,
    keep: list[Array],
) -> list[Row] | None:
    """A step on the rows that numbered ids name, with values [*ids.shape, *row]; scratch goes into `keep`."""
    number = _number(rule, parameter, slots)
    width, count = math.prod(parameter.shape[1:]), len(numbering.arrays[0])
    if number is None or not rule.only_given_rows or not parameter.shape or not width:
        return None
    bags = _bags(values, count, width)
    if bags is None or values.dtype != parameter.dtype or count * width * 8 > _LARGEST_SCRATCH:
        return None
    sums = np.empty(count * width, parameter.dtype)
    keep.append(sums)
    arrays = [parameter, *_padded(slots, parameter), values, constants.operand]
    arrays += [found for item in (*numbering.arrays, sums) if (found := fixed(item)) is not None]
    return [row(updates.rows, arrays, parameter.dtype.itemsize, *bags[0], width, *bags[1], number)]


def _bags(values: Operand, count: int, width: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(bags, ids of a bag) and the strides of the values by both, where each row of values is without gaps."""
    axes, covered = len(values.shape), 1
    while covered < width and axes > 0:
        axes -= 1
        covered *= values.shape[axes]
    rest = values._replace(shape=values.shape[axes:], strides=values.strides[axes:])
    leading = values.shape[:axes]
    if covered != width or math.prod(leading) != count or not rest.contiguous:
        return None
    return collapsed_pair(leading, values.strides[:axes])


def collapsed_pair(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """One operand's axes as two: their sizes and strides."""
    lines = collapsed(shape, [aligned(Operand(0, 0, shape, strides, np.dtype(np.float32)), shape)])
    return None if lines is None else (lines[0], lines[1][0])


def _number(rule: Rule, parameter: Operand, slots: Sequence[Operand]) -> int | None:
    if len(slots) > updates.SLOTS or parameter.dtype.itemsize not in (4, 8):
        return None
    alike = all(item.dtype == parameter.dtype and item.contiguous for item in (parameter, *slots))
    return number_of(rule) if alike else None


def _padded(slots: Sequence[Operand], parameter: Operand) -> list[Operand]:
    """A rule without that many slots gets the parameter in their place, which its kernel does not look at."""
    return [*slots, *[parameter] * (updates.SLOTS - len(slots))]
