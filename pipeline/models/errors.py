"""What can be wrong with the description of a model."""

from __future__ import annotations

from pipeline.errors import PipelineError


class ModelFault(PipelineError):
    """A model spec that no graph can be built from; the message lists every fault."""
