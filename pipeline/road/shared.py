"""What several steps of the road are told apart by, and computed with."""

from __future__ import annotations

ENTITIES = ("user", "item")
CLOCKS = ("pipeline.days", "pipeline.steps.instants")
SHARED = (
    *CLOCKS, "pipeline.steps.measures", "pipeline.steps.sums", "pipeline.steps.splits",
    "pipeline.steps.check_features", "pipeline.features",
)  # fmt: skip
"""Modules that several steps compute with: a change there does them again."""
