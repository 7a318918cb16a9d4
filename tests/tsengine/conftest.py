"""What tests of the engine share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import tsengine.kernels
from tsengine.specs import Array


@pytest.fixture(params=tsengine.kernels.NAMES)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The set of kernels that a session takes when it is not told; a test that uses this runs once with each."""
    name = str(request.param)
    monkeypatch.setattr(tsengine.kernels, "installed", lambda: name == "numba")
    return name


@pytest.fixture
def assert_same(kernels: str) -> Callable[[Array, Array], None]:
    """Whether values are those of the interpreter: to the bit with NumPy's kernels, whose order of sums it shares."""
    if kernels == "numpy":
        return np.testing.assert_array_equal
    return lambda got, wanted: np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
