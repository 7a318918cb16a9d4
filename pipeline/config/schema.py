"""The JSON Schema of a config: an editor completes and checks a TOML by it while it is written.

It says what each table may hold. What must hold between tables (a feature names a column that a source declares) only
`python -m jobs.check_config` can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.config.cleaning import RULE_IDS
from pipeline.config.product import Config


def json_schema() -> dict[str, Any]:
    """As Draft 2020-12; the texts are the docstrings of the config's classes and fields."""
    from pipeline.models.registry import FAMILIES

    schema = Config.model_json_schema(by_alias=True)
    tables = schema["$defs"]
    tables["Clean"]["properties"]["budgets"]["propertyNames"] = {"enum": list(RULE_IDS)}
    tables["Model"]["properties"]["kind"]["enum"] = sorted(FAMILIES)
    properties = schema["properties"]
    table_source = {"properties": {"kind": {"const": "table"}}}
    _choose(properties["sources"], [(table_source, "TableSource")], "Source")
    of_a_table = {"required": ["column"], "not": {"required": ["event"]}}
    _choose(properties["labels"], [({"required": ["chosen"]}, "ChosenLabel"), (of_a_table, "ColumnLabel")], "Label")
    tables["TimeFormat"] = {"anyOf": [tables["TimeFormat"], _name_alone(tables["TimeFormat"])]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _name_alone(table: dict[str, Any]) -> dict[str, Any]:
    """What may stand for a table that has a name and nothing else."""
    names: dict[str, Any] = table["properties"]["name"]["anyOf"][0]
    return names


def _choose(tables: dict[str, Any], kinds: Sequence[tuple[dict[str, Any], str]], otherwise: str) -> None:
    """The class of the first condition that holds, so that a fault is told of the class that was meant."""
    choice: dict[str, Any] = {"$ref": f"#/$defs/{otherwise}"}
    for condition, name in reversed(kinds):
        choice = {"if": condition, "then": {"$ref": f"#/$defs/{name}"}, "else": choice}
    (patterns,) = [key for key in ("patternProperties", "additionalProperties") if key in tables]
    tables[patterns] = choice if patterns == "additionalProperties" else dict.fromkeys(tables[patterns], choice)
