"""From a TOML file to a Config, or to every fault in it with its place and the way out."""

from __future__ import annotations

import difflib
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from pipeline.config.product import Config
from pipeline.config.table import WRITTEN, Table
from pipeline.errors import ConfigError


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a product's TOML; `overrides` are `a.b=value` with value in TOML (a bare word is a string).

    Raises ConfigError with every fault, each with its path in the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}. Give a product's TOML by --conf") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    overrides = list(overrides)
    for override in overrides:
        _override(tables, override)
    config = parse_config(tables, str(path))
    config._told_by = f"CONF={path}" + (f" SET={shlex.quote(' '.join(overrides))}" if overrides else "")
    return config


def parse_config(tables: Mapping[str, Any], origin: str = "config") -> Config:
    """Check parsed TOML tables; ConfigError lists every fault with its path."""
    try:
        return Config.model_validate(tables, context=WRITTEN)
    except ValidationError as error:
        faults = [_explain(fault, tables) for fault in error.errors()]
    raise ConfigError(f"{origin} has {len(faults)} fault(s):\n" + "\n".join(f"  {fault}" for fault in faults))


def _override(tables: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in nested tables."""
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set takes section.key=value, got {override!r}")
    *parents, key = path.strip().split(".")
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} is a value, not a table")
    table[key] = _value(text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(fault: Any, tables: Mapping[str, Any]) -> str:
    """One line for one fault: where, what was expected, what came, and the likely way out."""
    place = "$" + "".join(f".{part}" for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key{_nearest(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{place}: is missing"
    message = fault["msg"].removeprefix("Value error, ")
    came = "" if isinstance(fault["input"], dict) else f", got {fault['input']!r}"
    return f"{place}: {message}{came if 'got' not in message else ''}"


def _nearest(location: tuple[str | int, ...]) -> str:
    """`; did you mean ...` from the keys that the table at this place knows, or else any table."""
    for tables in (_at(location[:-1]), _below(Table)):
        known = {str(field.alias or name) for table in tables for name, field in table.model_fields.items()}
        if close := difflib.get_close_matches(str(location[-1]), sorted(known), n=1):
            return f"; did you mean {close[0]!r}?"
    return ""


def _at(location: tuple[str | int, ...]) -> list[type[Table]]:
    """The kinds of table that a place may hold."""
    found: list[type[Table]] = [Config]
    for part in location:
        fields = [field for table in found for name, field in table.model_fields.items() if part in (name, field.alias)]
        found = [table for field in fields for table in _named(field.annotation)] or found  # else a name of a dict
    return found


def _named(annotation: Any) -> Iterator[type[Table]]:
    """The kinds of table that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    for part in get_args(annotation):
        yield from _named(part)


def _below(base: type[Table]) -> Iterator[type[Table]]:
    """All kinds of table."""
    for table in base.__subclasses__():
        yield table
        yield from _below(table)
