"""How variables begin: small frozen rules that give any range of a variable's rows.

Random ones are keyed by (seed, name, row): a table that grows keeps the rows it had, and a range can be filled by
whoever owns it. A scalar variable is one row. Weights are [in, out], filters of a convolution [out, in, height, width].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tsengine.philox import normal, stream_key, uniform, words
from tsengine.specs import Array


class Initializer(Protocol):
    """Gives rows start..stop of a variable of that name and shape, as [stop - start, *shape[1:]]."""

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array: ...


@dataclass(frozen=True)
class Constant:
    """The same number everywhere."""

    value: float = 0.0

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        return np.full((stop - start, *shape[1:]), self.value)


@dataclass(frozen=True)
class Given:
    """An array (a private copy is kept)."""

    value: NDArray[Any]

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        return self.value[start:stop] if self.value.ndim else self.value.reshape(1)


@dataclass(frozen=True)
class Normal:
    """Normal with a mean and a standard deviation."""

    seed: int
    mean: float = 0.0
    stddev: float = 0.05

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        return self.mean + self.stddev * normal(_drawn(self.seed, name, shape, start, stop))


@dataclass(frozen=True)
class Uniform:
    """Uniform in [low, high)."""

    seed: int
    low: float = -0.05
    high: float = 0.05

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        return self.low + (self.high - self.low) * uniform(_drawn(self.seed, name, shape, start, stop))


@dataclass(frozen=True)
class GlorotUniform:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010; for tanh and linear layers."""

    seed: int

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        limit = math.sqrt(6.0 / max(1, sum(_fans(shape))))
        return Uniform(self.seed, -limit, limit).rows(name, shape, start, stop)


@dataclass(frozen=True)
class HeNormal:
    """Normal with standard deviation sqrt(2 / fan_in). He et al. 2015; for relu layers."""

    seed: int

    def rows(self, name: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
        return Normal(self.seed, 0.0, math.sqrt(2.0 / max(1, _fans(shape)[0]))).rows(name, shape, start, stop)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out): of filters [out, in, height, width] the channels times height * width, else of a weight
    [..., in, out]; a vector counts as [size, 1]."""
    if len(shape) == 4:
        patch = math.prod(shape[2:])
        return shape[1] * patch, shape[0] * patch
    if len(shape) < 2:
        return (shape[0] if shape else 1), 1
    return math.prod(shape[:-1]), shape[-1]


def _drawn(seed: int, name: str, shape: tuple[int, ...], start: int, stop: int) -> NDArray[np.uint64]:
    per_row = math.prod(shape[1:])
    return words(stream_key(seed, name), start, stop, per_row).reshape(stop - start, *shape[1:])
