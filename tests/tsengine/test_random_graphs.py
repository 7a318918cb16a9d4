"""Random graphs: gradients, buffers and passes. The long form is `make prove PART=random_graphs`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import tsengine as ts
from tests.tsengine import random_graph_checks as checks
from tsengine.compiler.pipeline import compile_program
from tsengine.ops.registry import REGISTRY
from tsengine.specs import Array
from tsengine.testing.opcases import TABLE
from tsengine.testing.random_graphs import SHAPES, Recipe
from tsengine.testing.random_ops import OPS


def computes_nothing(out: Array, *inputs: Array, **attrs: Any) -> None:
    """A kernel that forgets to compute."""


def test_gradients_are_those_of_central_differences() -> None:
    tally = checks.hold(checks.gradient_is_right, graphs=250)
    assert min(tally.sizes) < 6
    assert max(tally.sizes) > 54
    assert len(tally.ops) > 0.95 * len(OPS)


def test_second_derivatives_are_right_or_refused() -> None:
    checks.hold(checks.second_derivative_is_right, graphs=60, largest=12)


def test_no_live_value_is_overwritten() -> None:
    assert sum(checks.hold(checks.no_live_value_is_overwritten, graphs=50).results) > 10_000


def test_a_training_step_overwrites_no_live_value() -> None:
    assert sum(checks.hold(checks.training_overwrites_no_live_value, graphs=50, largest=30).results) > 5_000


def test_every_subset_of_passes_gives_the_same_numbers() -> None:
    checks.hold(checks.every_subset_of_passes_gives_the_same, graphs=15, largest=25)


def test_every_subset_of_passes_trains_the_same() -> None:
    checks.hold(checks.every_subset_of_passes_trains_the_same, graphs=12, largest=20)


def test_random_graphs_are_made_of_nearly_all_primitives() -> None:
    """Those that draw have no value to compare; the rest appears in second derivatives, in clipping or where part of a
    concatenation needs no gradient."""
    found = set()
    for number in range(len(OPS)):
        for variant in range(9):
            recipe = Recipe(len(SHAPES), variant, ((number, 5 * (variant % 2), 3, variant),))
            fetches, feeds = checks.forward_and_backward(recipe)
            found |= {node.op.name for node in fetches[0].graph.nodes}
            found |= {step.op.name for step in compile_program(fetches, list(feeds)).steps}
    assert set(TABLE) - found == {
        "random_uniform", "random_normal", "dropout", "snapshot", "max_pool2d_pick", "sum_duplicates",
        "fused_matmul_columns",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("op", "planted", "check"),
    [
        ("tanh", {"gradient": lambda node, grad: (grad * (1.0 - node),)}, checks.gradient_is_right),
        ("softplus", {"inplace": (0,)}, checks.no_live_value_is_overwritten),
        ("divide", {"shape_only": (1,)}, checks.no_live_value_is_overwritten),
        ("fused_linear", {"kernel": computes_nothing}, checks.every_subset_of_passes_gives_the_same),
    ],
)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, op: str, planted: Any, check: Any) -> None:
    monkeypatch.setitem(REGISTRY, op, replace(REGISTRY[op], **planted))
    with pytest.raises((AssertionError, ts.errors.EngineError)):
        checks.hold(check, graphs=100, largest=20, shrink=False)
