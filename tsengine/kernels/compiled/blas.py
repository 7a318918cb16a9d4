"""The BLAS that NumPy itself brings and has loaded: its matrix products, callable by address from compiled kernels.

So a product has the same bits here and there, and no second library of threads is at work. Where NumPy was built on
something else the addresses are 0, and products stay with NumPy.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112
_SYMBOL = "scipy_cblas_{}64_"  # integers are 64 bits wide, as the calls below have them


@cache
def routine(name: str) -> int:
    """The address of `sgemm`, `dgemm`, `sgemv` or `dgemv`; 0 where there is none."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for file in sorted(folder.glob("libscipy_openblas64_*")):
        found = getattr(ctypes.CDLL(str(file)), _SYMBOL.format(name), None)
        if found is not None:
            return ctypes.cast(found, ctypes.c_void_p).value or 0
    return 0


def _product(kind: Any, parameters: str) -> Any:
    """An intrinsic that calls such a routine: e an enumeration, n an integer, s a scalar, p an address."""
    numbers = {"e": types.int32, "n": types.int64, "s": kind, "p": types.int64}

    @intrinsic
    def call(typing: Any, address: Any, arguments: Any) -> Any:
        signature = types.void(types.int64, types.Tuple([numbers[letter] for letter in parameters]))

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            word, scalar = ir.IntType(64), context.get_value_type(kind)
            kinds = {"e": ir.IntType(32), "n": word, "s": scalar, "p": scalar.as_pointer()}
            function = ir.FunctionType(ir.VoidType(), [kinds[letter] for letter in parameters])
            given = [builder.extract_value(values[1], place) for place in range(len(parameters))]
            given = [
                builder.inttoptr(item, kinds["p"]) if letter == "p" else item
                for item, letter in zip(given, parameters, strict=True)
            ]
            builder.call(builder.inttoptr(values[0], function.as_pointer()), given)
            return context.get_dummy_value()

        return signature, generate

    return call


# order, transposes, m, n, k, alpha, a, lda, b, ldb, beta, out, ldc
GEMM = "eeennnspnpnspn"
# order, transpose, m, n, alpha, a, lda, x, step, beta, y, step
GEMV = "eennspnpnspn"
sgemm, dgemm = _product(types.float32, GEMM), _product(types.float64, GEMM)
sgemv, dgemv = _product(types.float32, GEMV), _product(types.float64, GEMV)
