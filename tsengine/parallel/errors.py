"""What can go wrong in a training over processes."""

from __future__ import annotations

from tsengine.errors import EngineError
from tsengine.errors import NotFinite as NotFinite


class TrainingFailure(EngineError, RuntimeError):
    """A worker failed or died; the message says which one, why, and where."""


class CheckpointMismatch(EngineError, ValueError):
    """A checkpoint of another run or of another graph."""


class ProgramError(EngineError, ValueError):
    """A program's replica or its batches break what `Replica` asks for."""


class Stalled(EngineError, TimeoutError):
    """A rank did not arrive in time."""


class Aborted(EngineError):
    """Another rank failed, or the parent gave up; there is nothing more to do."""
