"""What may be wrong with a checkpoint."""

from __future__ import annotations

from tsengine.errors import StoreError


class CheckpointError(StoreError):
    """A file is no checkpoint, or one of other variables; the message lists every difference."""
