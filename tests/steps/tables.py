"""A small product of labelled rows, for the tests of the steps and of the road of tables."""

from __future__ import annotations

import datetime
from typing import Any

from pipeline.config import Config, parse_config

DAY = datetime.date(2026, 1, 1)
BY_FILE = {"by": "file", "train": "raw/train*.csv", "validation": "raw/valid.csv", "test": "raw/test.csv"}
COLUMNS: dict[str, Any] = {
    "label": {"from": "label", "required": True},
    "user": {"from": "user", "required": True},
    "city": {"from": "city"},
    "age": {"from": "age", "type": "int", "min": 0, "max": 120},
}
TABLES: dict[str, Any] = {
    "product": {"name": "toy", "first_day": DAY},
    "sources": {"clicks": {"kind": "table", "format": "csv", "split": BY_FILE, "columns": COLUMNS}},
    "datasets": {"rows": "clicks", "user": "user"},
    "labels": {"click": {"column": "label"}},
    "vocabularies": {"city": {"min_count": 2}},
    "features": {"context": {"user": {"column": "user"}, "city": {"column": "city"}, "age": {"sql": "age + 1"}}},
    "training": {"label": "click"},
    "gate": {"auc": {"at_least": 0.0}},
}


def table_tables(source: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    """TOML tables of the product: keys of its source and whole sections replaced; a key of None is taken away."""
    changed = {**TABLES["sources"]["clicks"], **(source or {})}
    clicks = {key: value for key, value in changed.items() if value is not None}
    return {**TABLES, "sources": {"clicks": clicks}, **sections}


def table_config(source: dict[str, Any] | None = None, **sections: Any) -> Config:
    """The same, checked."""
    return parse_config(table_tables(source, **sections))


def anywhere(split: dict[str, Any], **source: Any) -> dict[str, Any]:
    """A source whose rows lie in one place, with fields `label,user,city,age,fold,at`."""
    columns = COLUMNS | {"fold": {"from": "fold", "required": True}}
    columns |= {"at": {"from": "at", "type": "long", "required": True}}
    return {"path": "raw/*.csv", "split": split, "columns": columns, **source}
