"""What can go wrong with an artifact."""

from __future__ import annotations

from pipeline.errors import PipelineError, Refused


class ParityFailure(Refused):
    """An exported form does not give the engine's numbers; nothing was published."""


class BadBatch(PipelineError):
    """Arrays that do not fit the model's door; the message lists every fault."""
