"""What all tables of a config share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, WrapValidator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]

WRITTEN = "written by a person"
"""The validation context of a TOML: what it says without effect is a mistake. (A dump of a config says everything.)"""


class Table(BaseModel):
    """A TOML table: frozen, and a stranger to keys it does not know, to nan and to inf."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def one_of(choose: Callable[[dict[str, Any]], type[Table]]) -> WrapValidator:
    """A TOML table of which what it says decides the class; a fault's place is then the same as without a choice."""

    def validate(given: Any, handler: object, info: ValidationInfo) -> Table:
        if isinstance(given, Table):
            return given
        if not isinstance(given, dict):
            raise ValueError("must be a table")
        return choose(given).model_validate(given, context=info.context)

    return WrapValidator(validate)


def by_name(key: str, classes: dict[str, type[Table]]) -> WrapValidator:
    """The same, chosen by the name that stands at `key`."""

    def choose(given: dict[str, Any]) -> type[Table]:
        if given.get(key) not in classes:
            raise ValueError(f"needs {key} = one of {sorted(classes)}, got {given.get(key)!r}")
        return classes[given[key]]

    return one_of(choose)
