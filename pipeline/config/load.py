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
    tables, overrides = _read(path), list(overrides)
    if base := _base_of(tables):
        return _load_derived(Path(path), tables, base, overrides)
    for override in overrides:
        _override(tables, override)
    config = parse_config(tables, str(path))
    config._told_by = _told(path, overrides)
    return config


def _read(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}. Give a product's TOML by --conf") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _told(path: str | Path, overrides: list[str]) -> str:
    return f"CONF={path}" + (f" SET={shlex.quote(' '.join(overrides))}" if overrides else "")


def _base_of(tables: Mapping[str, Any]) -> str | None:
    product = tables.get("product")
    base = product.get("base") if isinstance(product, dict) else None
    return base if isinstance(base, str) else None


def _load_derived(path: Path, tables: dict[str, Any], name: str, overrides: list[str]) -> Config:
    """A product with a base; an override of what the base says is one of the base's."""
    from pipeline.config.derived import TAKEN, TAKEN_OF_PRODUCT, refuse_what_the_base_lacks, with_base

    of_base = [*(f"{section}." for section in TAKEN), *(f"product.{key}=" for key in TAKEN_OF_PRODUCT)]
    theirs = [one for one in overrides if one.replace(" ", "").startswith(tuple(of_base))]
    for override in overrides:
        if override not in theirs:
            _override(tables, override)
    place = path.with_name(f"{name}.toml")
    base = load_config(place, theirs)
    if base.product.name != name or base.product.base is not None or base.table is not None:
        raise ConfigError(
            f"$.product.base: {place} must be the TOML of the product {name!r}, of events and with no base itself; it "
            f"is that of {base.product.name!r}"
        )
    base_tables = _read(place)
    for override in theirs:
        _override(base_tables, override)
    config = parse_config(with_base(tables, base_tables, str(path)), str(path))
    config._base, config._told_by = base, _told(path, overrides)
    refuse_what_the_base_lacks(config, base, str(path))
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
