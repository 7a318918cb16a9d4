"""Versions of a model: the cut day and a counter of two digits, compared as numbers. The highest one serves."""

from __future__ import annotations

from pipeline.days import Day
from pipeline.storage.files import files_at
from pipeline.storage.manifest import has_manifest

MOST_VERSIONS = 99
"""Of one cut day: versions are compared as numbers, so the counter must keep its two digits."""


def published_versions(folder: str) -> list[str]:
    """The published versions under `models/<name>` or `candidates/<name>`, ascending."""
    names = files_at(folder).names(folder)
    return sorted((name for name in names if name.isdigit() and has_manifest(f"{folder}/{name}")), key=int)


def serving_version(folder: str, day: Day) -> str | None:
    """The one that serves on a day: the highest that was not cut on a later day; None where there is none."""
    latest = int(f"{day:%Y%m%d}{MOST_VERSIONS}")
    return max((version for version in published_versions(folder) if int(version) <= latest), key=int, default=None)
