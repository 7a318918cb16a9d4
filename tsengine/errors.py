"""Every error of the engine. A message names the node, its op, the input shapes and the user's own file and line."""

from __future__ import annotations


class EngineError(Exception):
    """Root of all errors that the engine raises on purpose."""


class ShapeError(EngineError, ValueError):
    """A shape rule refused its inputs; the graph turns it into a GraphError that names the node."""


class GraphError(EngineError, ValueError):
    """A graph was built wrongly: shapes, dtypes, names, or a node of another graph."""


class FetchError(EngineError, TypeError):
    """Something was fetched that is not a node of the session's graph."""


class FeedError(EngineError, ValueError):
    """A fed value does not fit the node it was fed to."""


class FeedKeyError(EngineError, TypeError):
    """A key of a feed is not a node of the session's graph, or a node that holds no value."""


class MissingFeed(EngineError, KeyError):
    """A placeholder that the fetches need was not fed. (A KeyError too, so that older programs catch it.)"""

    def __str__(self) -> str:
        return str(self.args[0])


class UninitializedVariable(EngineError, RuntimeError):
    """A variable made without an initial value was read before anything was put into it."""


class StoreError(EngineError, ValueError):
    """An array does not fit the variable whose storage or value it should be."""


class GradientError(EngineError, ValueError):
    """A gradient was asked for that does not exist, or a gradient rule returned something of the wrong shape."""


class ExecutionError(EngineError, RuntimeError):
    """A kernel failed while a plan ran."""


class IndexOutOfRange(ExecutionError, IndexError):
    """An id lies outside the table it should select from."""


class NotFinite(EngineError, ArithmeticError):
    """A value is NaN or infinite; the message names the node or the variable."""


class ManyPlans(RuntimeWarning):
    """A session binds plan after plan: it is run with ever other shapes, or nodes are made in a loop."""


class CompileError(EngineError, RuntimeError):
    """A compiler pass broke an invariant of the program; always a defect of the engine."""


class ExportError(EngineError, ValueError):
    """A node on the way to the outputs has no ONNX rule."""


class SummaryError(EngineError, ValueError):
    """Something cannot be a summary: it is no number, its tag is taken, its step below 0, or the writer is closed."""
