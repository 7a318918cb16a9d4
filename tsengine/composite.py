"""Functions that are made of primitives: what they refuse is told as a primitive would tell it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

from tsengine.errors import GraphError, ShapeError
from tsengine.graph import Node
from tsengine.sites import refusal
from tsengine.specs import spec_of

P = ParamSpec("P")
T = TypeVar("T")


def composite(build: Callable[P, T]) -> Callable[P, T]:
    """A function that may raise ShapeError; it becomes a GraphError that names function, inputs and the user's line."""

    @wraps(build)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return build(*args, **kwargs)
        except ShapeError as error:
            values = [*args, *kwargs.values()]
            given = [f"'{value.name}' {value.spec}" for value in values if isinstance(value, Node)]
            arrays = [f"an array {spec_of(value)}" for value in values if isinstance(value, np.ndarray)]
            name = kwargs.get("name") or build.__name__
            raise GraphError(refusal(str(name), build.__name__, [*given, *arrays], error)) from None

    return told
