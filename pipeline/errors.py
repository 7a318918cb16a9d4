"""What can go wrong on the road, each with the exit code that a job ends with."""

from __future__ import annotations


class PipelineError(Exception):
    """A failure that a person can act on: the message says what was expected, what came, where, and the way out."""

    exit_code = 1


class ConfigError(PipelineError):
    """Bad arguments or a bad TOML file."""

    exit_code = 2


class MissingInput(PipelineError):
    """Something that this step reads does not exist (yet)."""


class DamagedData(PipelineError):
    """Bytes that are not what their manifest or their format says."""


class Refused(PipelineError):
    """A data check or the gate said no."""

    exit_code = 3
