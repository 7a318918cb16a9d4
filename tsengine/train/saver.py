"""Arrays by name in one safetensors file, written so that a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

import numpy as np

from tsengine.specs import Array


def save(path: str, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays (and string metadata) to `path`: a temporary file beside it, flushed to disk, then renamed."""
    from safetensors.numpy import save as to_bytes

    data = to_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(metadata or {}))
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".saving-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def restore(path: str) -> dict[str, Array]:
    """The arrays of a file written by `save`."""
    from safetensors.numpy import load_file

    return dict(load_file(path))
