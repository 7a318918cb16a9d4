"""idx files: read as they were written, and each kind of damage named with its file."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from pipeline.errors import DamagedData
from pipeline.idx import inspect_pair, read_pairs

SHAPE = (2, 3)


def idx(*sizes: int, content: bytes, magic: bytes | None = None) -> bytes:
    """A file of bytes with those sizes in its header."""
    return (magic or bytes((0, 0, 8, len(sizes)))) + struct.pack(f">{len(sizes)}I", *sizes) + content


def images(count: int) -> bytes:
    """Image k has pixels k, k + 1, ... modulo 256."""
    return bytes((k + pixel) % 256 for k in range(count) for pixel in range(6))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 10_000])
def test_images_come_with_their_labels_in_order(tmp_path: Path, suffix: str, count: int) -> None:
    labels = bytes(k % 10 for k in range(count))
    pair = write(tmp_path, idx(count, *SHAPE, content=images(count)), idx(count, content=labels), suffix)
    blocks = list(read_pairs(*pair, SHAPE))
    assert b"".join(image for block, _ in blocks for image in block) == images(count)
    assert bytes(label for _, block in blocks for label in block) == labels
    assert all(len(image) == 6 for block, _ in blocks for image in block)
    assert inspect_pair(*pair, SHAPE) == count


@pytest.mark.parametrize(
    ("of_images", "of_labels", "told"),
    [
        (idx(1, 2, 3, content=b"123456", magic=b"\0\0\x0d\3"), idx(1, content=b"1"), "begins with 00000d03, expected"),
        (b"PK", idx(1, content=b"1"), "no idx file of images: it begins with 504b, expected 00000803"),
        (idx(1, 2, 3, content=b"123456"), idx(1, 1, 1, content=b"1"), "no idx file of labels: it begins with 00000803"),
        (idx(1, 2, 3, content=b"123456")[:9], idx(1, content=b"1"), "images ends within its header"),
        (idx(1, 3, 2, content=b"123456"), idx(1, content=b"1"), "has images of [3, 2], expected [2, 3]"),
        (idx(2, 2, 3, content=images(2)), idx(1, content=b"1"), "says 2 images, but "),
        (idx(2, 2, 3, content=images(2)[:-1]), idx(2, content=b"12"), "images is shorter than its header says"),
        (idx(2, 2, 3, content=images(2)), idx(2, content=b"1"), "labels is shorter than its header says"),
        (idx(1, 2, 3, content=images(2)), idx(1, content=b"1"), "images is longer than its header says (1 rows)"),
        (idx(1, 2, 3, content=images(1)), idx(1, content=b"12"), "labels is longer than its header says (1 rows)"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, of_images: bytes, of_labels: bytes, told: str) -> None:
    pair = write(tmp_path, of_images, of_labels)
    assert told in str(inspect_pair(*pair, SHAPE))
    with pytest.raises(DamagedData):
        list(read_pairs(*pair, SHAPE))


def test_a_cut_container_is_named(tmp_path: Path) -> None:
    pair = write(tmp_path, idx(9, *SHAPE, content=images(9)), idx(9, content=bytes(9)), ".gz")
    path = Path(pair[0])
    path.write_bytes(path.read_bytes()[:-9])
    assert "is damaged (Compressed file ended" in str(inspect_pair(*pair, SHAPE))


def write(folder: Path, of_images: bytes, of_labels: bytes, suffix: str = "") -> tuple[str, str]:
    """Both files, by `suffix` as gzip; their paths."""
    paths = folder / f"images{suffix}", folder / f"labels{suffix}"
    for path, content in zip(paths, (of_images, of_labels), strict=True):
        path.write_bytes(gzip.compress(content) if suffix else content)
    return str(paths[0]), str(paths[1])
