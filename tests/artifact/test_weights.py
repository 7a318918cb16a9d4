"""The weights file: its bytes, and where each tensor lies in them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from pipeline.artifact.weights import places, read_weights, weights_bytes
from pipeline.errors import DamagedData

TENSORS = {
    "wide/bias": np.array([1.5], np.float32),
    "embedding/a": np.arange(12, dtype=np.float32).reshape(4, 3),
    "empty": np.zeros((0, 2), np.float32),
    "scalar": np.array(7, np.float32),
}


def test_tensors_survive_and_lie_where_the_header_says() -> None:
    content = weights_bytes(TENSORS)
    found, where = read_weights(content), places(content)
    assert set(found) == set(where) == set(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)
        place = where[name]
        assert content[place.offset : place.offset + place.length] == value.tobytes()


def test_the_format_is_a_length_a_header_and_raw_bytes() -> None:
    content = weights_bytes({"b": np.array([1.0, 2.0], np.float32)})
    header = b'{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    assert content == struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1, 2)


def test_equal_parameters_give_equal_bytes_whatever_their_order() -> None:
    reordered = dict(reversed(TENSORS.items()))
    assert weights_bytes(TENSORS) == weights_bytes(
        {name: np.asfortranarray(value) for name, value in reordered.items()}
    )


@pytest.mark.parametrize("content", [b"", b"0123456789", weights_bytes(TENSORS)[:-1]])
def test_cut_or_strange_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(DamagedData, match="not a safetensors file"):
        read_weights(content)
