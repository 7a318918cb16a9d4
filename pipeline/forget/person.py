"""Who is forgotten: the text that raw lines name him by, and the value that stands for it in the datasets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.config import Config
from pipeline.errors import ConfigError, Refused
from pipeline.pii import fingerprint, keyed_hash, pii_key
from pipeline.schemas import ENTITY_ID
from pipeline.storage import Warehouse, has_manifest, read_manifest

USER_ID = ENTITY_ID["user"]


@dataclass(frozen=True)
class Person:
    """`text` is the raw id, `value` the one of the datasets (its keyed hash where the column is `pii`), `columns` what
    a dataset may call the column that holds it, `sources` the column of each source that names him."""

    text: str
    value: str
    columns: tuple[str, ...]
    sources: dict[str, str]


def person_of(config: Config, warehouse: Warehouse, text: str) -> Person:
    """Raises ConfigError where the product names no users or the id is empty, Refused where published days were hashed
    with another key than the one that is given now."""
    text = text.strip(" ")
    if not text:
        raise ConfigError("--user needs an id, as the logs say it, got nothing")
    sources = dict(_user_columns(config))
    if not sources:
        raise ConfigError(
            f"product {config.product.name!r} names no users: no source has a column {USER_ID!r}, and $.datasets.user "
            "says no column of a table. There is nobody to forget"
        )
    key = pii_key(config)
    hashed = [config.sources[name].columns[column].pii for name, column in sources.items()]
    _refuse_other_key(config, warehouse, fingerprint(key))
    value = keyed_hash(key, text) if key is not None and any(hashed) else text
    return Person(text, value, tuple(sorted({USER_ID, *sources.values()})), sources)


def _user_columns(config: Config) -> Iterator[tuple[str, str]]:
    """(source, column): a column of the name `user_id`, or the one of a table that $.datasets.user says."""
    for name, source in config.sources.items():
        named = config.datasets.user if name == config.datasets.rows else None
        column = named or USER_ID
        if column in source.columns:
            yield name, column


def _refuse_other_key(config: Config, warehouse: Warehouse, ours: str | None) -> None:
    """What was hashed with another key cannot be found."""
    names = ["events"] if config.table is None else [f"rows/{split}" for split in config.table.split.names]
    for name in names:
        for day in warehouse.days(name):
            folder = warehouse.folder(name, day)
            if has_manifest(folder) and read_manifest(folder).extra.get("pii_key") != ours:
                raise Refused(
                    f"{folder} was hashed with another key than $.clean.pii_key_file holds, or without one: the user "
                    "cannot be found there. Give that key, or build the day again from its raw lines first"
                )
