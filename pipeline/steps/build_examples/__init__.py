"""Labelled examples: every exposure with the features as they were known at its time, and what followed."""

from pipeline.steps.build_examples.examples import build_examples
from pipeline.steps.build_examples.features import features_at

__all__ = ["build_examples", "features_at"]
