"""Where a product's datasets lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.days import Day, parse_day
from pipeline.errors import ConfigError
from pipeline.storage.files import files_at

if TYPE_CHECKING:
    from pipeline.config import Config


OF_THE_BASE = ("raw", "events", "quarantine", "attributes", "rooms", "sessions", "daily", "profiles", "vocab")
"""What a product with a base reads there, and has not itself."""


@dataclass(frozen=True)
class Warehouse:
    """`<root>/<product>/<dataset>/dt=<day>/`; of a product with a base, what the base makes lies under its name."""

    root: str
    product: str
    base: str | None = None

    @staticmethod
    def of(config: Config) -> Warehouse:
        """The warehouse of a product; a relative root is taken from the current folder."""
        root = config.product.warehouse
        return Warehouse(root if "://" in root else os.path.abspath(root), config.product.name, config.product.base)

    def path(self, *parts: str) -> str:
        """A path inside the product's folder, or inside its base's."""
        return "/".join((self.root, self.owner(*parts), *parts))

    def owner(self, *parts: str) -> str:
        """Whose folder a path lies in."""
        first = parts[0].partition("/")[0] if parts else ""
        return self.base if self.base is not None and first in OF_THE_BASE else self.product

    def folder(self, dataset: str, day: Day) -> str:
        """The folder of one day of a dataset."""
        return self.path(dataset, f"dt={day}")

    def days(self, dataset: str) -> list[Day]:
        """The days of a dataset that have a folder, ascending (published or not)."""
        folder = self.path(dataset)
        days = []
        for name in files_at(folder).names(folder):
            if name.startswith("dt="):
                try:
                    days.append(parse_day(name.removeprefix("dt=")))
                except ConfigError:
                    continue
        return sorted(days)
