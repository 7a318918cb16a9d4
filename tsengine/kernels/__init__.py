"""The hot loops. NumPy's are plain functions over arrays; `compiled` holds those that Numba makes, chosen by `kernels`.

"numpy"  every op's own kernel
"numba"  a plan's steps as rows of a compiled machine, where it knows them; all else as "numpy"
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsengine.kernels.calls import Calls
    from tsengine.kernels.compiled.encoder import Encoder

NAMES = ("numpy", "numba")


def resolved(name: str | None) -> str:
    """The name of a set of kernels; without one, of the fastest that is installed."""
    if name is not None and name not in NAMES:
        raise ValueError(f"kernels must be one of {', '.join(NAMES)}, got {name!r}")
    if name == "numba" and not installed():
        raise ValueError("kernels='numba' needs the package numba: pip install numba, or take kernels='numpy'")
    return name or ("numba" if installed() else "numpy")


def encoder(name: str) -> Encoder | None:
    """What turns steps into rows of the machine; None for NumPy alone."""
    if name == "numpy":
        return None
    from tsengine.kernels.compiled.encoder import Encoder

    return Encoder()


def calls_for(name: str | None = None) -> Calls:
    """What a trainer calls outside of plans."""
    if resolved(name) == "numpy":
        from tsengine.kernels.calls import Calls

        return Calls()
    from tsengine.kernels.compiled.calls import CompiledCalls

    return CompiledCalls()


@cache
def installed() -> bool:
    """Whether Numba can be imported."""
    return find_spec("numba") is not None
