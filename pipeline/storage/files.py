"""The one door to bytes: the same few calls whatever the storage.

Only local paths are served now. Another storage is one more class with these calls and one more line in `files_at`.
"""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO, Protocol

from pipeline.errors import ConfigError


class Files(Protocol):
    """What a storage must be able to do. Paths are full; nothing here follows a relative folder."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def names(self, folder: str) -> list[str]:
        """Sorted names of what lies directly in the folder; empty when it does not exist."""

    def glob(self, pattern: str) -> list[str]:
        """Sorted paths of the files that match a shell pattern."""

    def size(self, path: str) -> int:
        """Bytes of a file; FileNotFoundError when absent."""

    def modified_s(self, path: str) -> float:
        """When a file or folder last changed, seconds since the epoch."""

    def open(self, path: str) -> BinaryIO:
        """A seekable file to read."""

    def read(self, path: str) -> bytes:
        """All bytes of a file."""

    def write_atomic(self, path: str, content: bytes) -> None:
        """Create or replace a file; a reader sees the old bytes or the new ones, never a mixture."""

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents."""

    def remove(self, path: str) -> None:
        """Remove a file or a whole folder; nothing happens when it is absent."""

    def rename_new(self, source: str, target: str) -> None:
        """Rename a folder to a name that does not exist; FileExistsError when it does."""


class LocalFiles:
    """A disk of this machine."""

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def names(self, folder: str) -> list[str]:
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def glob(self, pattern: str) -> list[str]:
        return sorted(path for path in glob.glob(pattern) if os.path.isfile(path))

    def size(self, path: str) -> int:
        return os.path.getsize(path)

    def modified_s(self, path: str) -> float:
        return os.path.getmtime(path)

    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write_atomic(self, path: str, content: bytes) -> None:
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def make_folder(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def remove(self, path: str) -> None:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)

    def rename_new(self, source: str, target: str) -> None:
        if os.path.exists(target):
            raise FileExistsError(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)


def files_at(path: str) -> Files:
    """The storage that holds `path`; ConfigError for a scheme that is not served."""
    scheme, found, _ = path.partition("://")
    if found:
        raise ConfigError(f"storage {scheme}:// is not served (path {path}); give a local path in $.product.warehouse")
    return LocalFiles()
