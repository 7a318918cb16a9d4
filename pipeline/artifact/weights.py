"""Parameters as one safetensors file: eight bytes of header length, a JSON header, then the raw tensors.

The ONNX forms refer into the same file as their external data, so the weights lie on disk once.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DamagedData

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes lie in the file."""

    offset: int
    length: int


def weights_bytes(parameters: Mapping[str, NDArray[Any]]) -> bytes:
    """The file, deterministic for equal parameters."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(parameters[name]) for name in sorted(parameters)})


def read_weights(content: bytes) -> dict[str, NDArray[Any]]:
    """Name -> array; DamagedData when the bytes are no such file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedData(f"{WEIGHTS} is not a safetensors file: {error}") from None


def places(content: bytes) -> dict[str, Place]:
    """Where each tensor lies."""
    (header_length,) = struct.unpack_from("<Q", content)
    start = 8 + header_length
    header = json.loads(content[8:start])
    return {
        name: Place(start + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__"
    }
