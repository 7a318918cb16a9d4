"""The manifest is the commit: a dataset is exactly the files that its `_MANIFEST.json` lists.

Publishing replaces this one file and nothing else, so a reader sees the dataset of before or of after. Whatever else
lies in the folder (the files of a killed job, a superseded version) does not exist for a reader.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors import DamagedData, MissingInput
from pipeline.storage.files import Files, files_at, is_temporary

MANIFEST = "_MANIFEST.json"
DATA = "data-"
"""How the folder begins that a publishing writes its files into; one for each."""
GRACE_S = 86_400.0
"""What was superseded or abandoned is removed when that is longer ago: a reader that began with it has had a day."""


@dataclass(frozen=True)
class FileEntry:
    """One file of a dataset: its name relative to the folder, its rows and bytes, the SHA-256 of its bytes."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a dataset is and what it was made from.

    `content_digest` is the order-free sum of xxh64 over the rows (hex), equal for equal sets of rows; `key` is the hash
    that lets a step be skipped; `inputs` are `{path, digest}`; `origin` is "simulated" when every raw line was.
    """

    dataset: str
    product: str
    dt: str
    origin: str
    run: str
    files: tuple[FileEntry, ...]
    rows: int
    schema: Mapping[str, str]
    content_digest: str
    inputs: tuple[Mapping[str, str], ...]
    key: str
    config_hash: str
    code_version: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def schema_hash(self) -> str:
        """SHA-256 of the column names and types in order."""
        return digest_of(list(self.schema.items()))


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def has_manifest(folder: str) -> bool:
    """Whether a dataset is published there."""
    return files_at(folder).exists(f"{folder}/{MANIFEST}")


def read_manifest(folder: str) -> Manifest:
    """The manifest of a dataset folder.

    Raises MissingInput when nothing is published there, DamagedData when the file is not a manifest.
    """
    path = f"{folder}/{MANIFEST}"
    storage = files_at(folder)
    if not storage.exists(path):
        raise MissingInput(f"no dataset at {folder}: {MANIFEST} is absent, so nothing was published there")
    try:
        fields = json.loads(storage.read(path))
        fields.pop("schema_hash")
        files = tuple(FileEntry(**entry) for entry in fields.pop("files"))
        return Manifest(files=files, inputs=tuple(fields.pop("inputs")), **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedData(f"{path} is not a manifest ({error}); remove it and build this day again") from None


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Commit: replace the folder's manifest at once. The grace period of what it supersedes begins now."""
    _touch_superseded(folder, manifest)
    fields = {**asdict(manifest), "schema_hash": manifest.schema_hash}
    files_at(folder).write_atomic(
        f"{folder}/{MANIFEST}", (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode()
    )


def _touch_superseded(folder: str, manifest: Manifest) -> None:
    """A data folder's time says when it was last in use; a process killed before the commit has only said so early."""
    try:
        old = read_manifest(folder)
    except (MissingInput, DamagedData):
        return
    for name in _data_folders(old) - _data_folders(manifest):
        files_at(folder).touch(f"{folder}/{name}")


def _data_folders(manifest: Manifest) -> set[str]:
    return {entry.name.split("/")[0] for entry in manifest.files if entry.name.startswith(DATA)}


def data_files(folder: str) -> list[str]:
    """Full paths of exactly the files that the manifest lists, in its order.

    Raises DamagedData naming a file that is missing or whose size is not what the manifest says.
    """
    storage = files_at(folder)
    paths = []
    for entry in read_manifest(folder).files:
        path = f"{folder}/{entry.name}"
        if not storage.exists(path):
            raise DamagedData(f"{path} is missing, but {folder}/{MANIFEST} lists it; build this day again")
        if storage.size(path) != entry.bytes:
            raise DamagedData(
                f"{path} has {storage.size(path)} bytes, its manifest says {entry.bytes}; build this day again"
            )
        paths.append(path)
    return paths


def describe_file(folder: str, name: str, rows: int) -> FileEntry:
    """Size and SHA-256 of a file as it lies on the storage."""
    digest, size = hashlib.sha256(), 0
    with files_at(folder).open(f"{folder}/{name}") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return FileEntry(name, rows, size, digest.hexdigest())


def sweep(folder: str, now_s: float | None = None, grace_s: float = GRACE_S) -> list[str]:
    """Remove data folders that the manifest does not name, and temporaries, once their grace is over; returns them."""
    storage = files_at(folder)
    used = _data_folders(read_manifest(folder))
    now_s = time.time() if now_s is None else now_s
    old = [
        name
        for name in storage.names(folder)
        if (is_temporary(name) or (name.startswith(DATA) and name not in used))
        and now_s - _modified_s(storage, f"{folder}/{name}", now_s) > grace_s
    ]
    for name in old:
        storage.remove(f"{folder}/{name}")
    return old


def _modified_s(storage: Files, path: str, now_s: float) -> float:
    """When it last changed; now, where another process has just renamed it to what it is to be."""
    try:
        return storage.modified_s(path)
    except FileNotFoundError:
        return now_s
