"""What no reader sees and still is there: superseded files within their grace period, what killed jobs left, the steps
of trainings. After a forgetting it is gone. A job that reads a superseded version at that moment fails."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.storage import DATA, MANIFEST, Warehouse, files_at, is_temporary, read_manifest

CHECKPOINTS, CANDIDATES = "checkpoints", "candidates"
OF_A_TRAINING = ("step=", ".writing-", "candidate")
"""How that begins in a run's folder which holds parameters; its curves stay."""


def remove_leftovers(warehouse: Warehouse) -> None:
    """Remove all of it under the product's folder."""
    storage = files_at(warehouse.root)
    for path in list(_leftovers(warehouse)):
        storage.remove(path)


def _leftovers(warehouse: Warehouse) -> Iterator[str]:
    storage, folders = files_at(warehouse.root), [warehouse.path()]
    while folders:
        folder = folders.pop()
        names = storage.names(folder)
        used = _listed(folder) if MANIFEST in names else set()
        for name in names:
            path = f"{folder}/{name}"
            if is_temporary(name) or (name.startswith(DATA) and name not in used) or _is_stale(warehouse, path):
                yield path
            elif storage.is_folder(path):
                folders.append(path)


def _listed(folder: str) -> set[str]:
    """Data folders that the manifest names."""
    return {entry.name.split("/")[0] for entry in read_manifest(folder).files}


def _is_stale(warehouse: Warehouse, path: str) -> bool:
    """A step of a training, or a candidate that was not published."""
    place, *parts = path.removeprefix(warehouse.path("")).split("/")
    if place == CHECKPOINTS and len(parts) == 3:
        return parts[2].startswith(OF_A_TRAINING)
    storage = files_at(path)
    return place == CANDIDATES and len(parts) == 2 and not storage.exists(f"{path}/{MANIFEST}")
