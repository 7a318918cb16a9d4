"""The one door to bytes: the same few calls whatever the storage.

Only local paths are served now. Another storage is one more class with these calls and one more line in `files_at`.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote

from pipeline.errors import ConfigError

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
"""Names of what is not there yet, or not any more: hidden, and no collector's. A killed process leaves them behind."""


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name (not path) is a temporary one of ours: it does not exist for a reader."""
    return TEMPORARY.fullmatch(name) is not None


def temporary_path(path: str) -> str:
    """A fresh temporary name beside `path`."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{uuid.uuid4().hex}.tmp"


class Files(Protocol):
    """What a storage must be able to do. Paths are full; nothing here follows a relative folder."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def names(self, folder: str) -> list[str]:
        """Sorted names of what lies directly in the folder, temporaries too; empty when it does not exist."""

    def glob(self, pattern: str) -> list[str]:
        """Sorted paths of the files that match a shell pattern, without temporaries."""

    def size(self, path: str) -> int:
        """Bytes of a file; FileNotFoundError when absent."""

    def modified_s(self, path: str) -> float:
        """When a file or folder last changed, seconds since the epoch; FileNotFoundError when absent."""

    def touch(self, path: str) -> None:
        """Say that a file or folder changed now; nothing happens when it is absent."""

    def open(self, path: str) -> BinaryIO:
        """A seekable file to read."""

    def read(self, path: str) -> bytes:
        """All bytes of a file."""

    def write_atomic(self, path: str, content: bytes | Iterable[bytes]) -> None:
        """Create or replace a file, from all its bytes or from blocks of them; a reader sees the old bytes or the new
        ones, never a mixture. Who may read it stays."""

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents."""

    def remove(self, path: str) -> None:
        """Remove a file or a whole folder; nothing happens when it is absent. No reader sees half a folder."""

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
        found = (path for path in glob.glob(pattern) if not is_temporary(os.path.basename(path)))
        return sorted(path for path in found if os.path.isfile(path))

    def size(self, path: str) -> int:
        return os.path.getsize(path)

    def modified_s(self, path: str) -> float:
        return os.path.getmtime(path)

    def touch(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)

    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write_atomic(self, path: str, content: bytes | Iterable[bytes]) -> None:
        temporary = temporary_path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def make_folder(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def remove(self, path: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            doomed = temporary_path(path)
            os.rename(path, doomed)
            shutil.rmtree(doomed)
        else:
            Path(path).unlink(missing_ok=True)

    def rename_new(self, source: str, target: str) -> None:
        if os.path.exists(target):
            raise FileExistsError(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)


def path_of(uri: str) -> str:
    """The path that a storage knows, of the URI by which Spark names a file."""
    return unquote(re.sub(r"^file:/+", "/", uri))


def files_at(path: str) -> Files:
    """The storage that holds `path`; ConfigError for a scheme that is not served."""
    scheme, found, _ = path.partition("://")
    if found:
        raise ConfigError(f"storage {scheme}:// is not served (path {path}); give a local path in $.product.warehouse")
    return LocalFiles()
