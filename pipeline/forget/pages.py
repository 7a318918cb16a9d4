"""Pages of days that name a user: written again from what is published, once that says nothing of him."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from pipeline.config import Config
from pipeline.days import Day
from pipeline.forget.person import Person
from pipeline.report import write_page
from pipeline.storage import Warehouse, files_at

REPORTS, NUMBERS = "reports", "numbers.json"


def naming(warehouse: Warehouse, person: Person, changed: Collection[Day]) -> list[Day]:
    """Days with a page whose numbers name him, or that shows statistics of a day in `changed`."""
    return [day for day in warehouse.days(REPORTS) if day in changed or _names(warehouse.folder(REPORTS, day), person)]


def write_again(config: Config, warehouse: Warehouse, day: Day) -> None:
    """The page of a day as jobs.report writes it; nothing of the old one stays."""
    files_at(warehouse.root).remove(warehouse.folder(REPORTS, day))
    write_page(config, warehouse, day, {})


def _names(folder: str, person: Person) -> bool:
    """A page shows what its numbers say; a group of a histogram is called by the text as Python writes it."""
    storage, path = files_at(folder), f"{folder}/{NUMBERS}"
    if not storage.exists(path):
        return True  # what is on it is not known
    said = {person.value, repr(person.value)}
    return any(text in said for text in _texts(json.loads(storage.read(path))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, str):
        yield value
