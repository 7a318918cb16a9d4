"""What all tables of a config share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
