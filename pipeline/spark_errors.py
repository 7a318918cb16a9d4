"""What Spark reports, in words a person can act on: Java's stack traces are read here, and shown to nobody.

Only texts are looked at, so that a job without Spark can ask too.
"""

from __future__ import annotations

import re

from pipeline import errors
from pipeline.errors import DamagedData, PipelineError
from pipeline.storage import path_of

OURS = re.compile(r"^pipeline\.errors\.(\w+): (.+)$", re.MULTILINE)
"""An error of this package that a Python worker raised."""
UNREADABLE = re.compile(r"Encountered error while reading file (.+?)\.(?:\s|$)", re.MULTILINE)
CAUSE = re.compile(r"^Caused by: (.+)$", re.MULTILINE)
JAVA_ERROR = re.compile(r"^: (.+)$", re.MULTILINE)
"""The second line of a Py4JJavaError; the first says only which method was called."""
PYTHON_ERROR = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)$", re.MULTILINE)
CLASS = re.compile(r"^(?:[a-z]\w*\.)+[\w$]+: ")
LONGEST = 300


def known(error: Exception) -> PipelineError | None:
    """The error of this package that a Spark error stands for; None when it stands for none."""
    if not _is_sparks(error):
        return None
    text = _text(error)
    if ours := OURS.search(text):
        kind: type[PipelineError] = getattr(errors, ours[1], PipelineError)
        return kind(ours[2])
    if unreadable := UNREADABLE.search(text):
        return _unreadable(path_of(unreadable[1]), _cause(text))
    return None


def in_a_line(error: Exception) -> str:
    """The error's kind, and of all its lines the one that says most."""
    said = _cause(_text(error)) if _is_sparks(error) else next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _unreadable(path: str, cause: str) -> DamagedData:
    cause = " ".join(cause.replace(f"file:{path}", "").split())
    way_out = "remove it and build this day again" if path.endswith(".parquet") else "deliver it again"
    return DamagedData(f"{path} cannot be read ({cause}); {way_out}")


def _is_sparks(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("py4j", "pyspark")


def _text(error: Exception) -> str:
    return f"{error}\n{getattr(error, '_stackTrace', '') or ''}"


def _cause(text: str) -> str:
    """The deepest cause, without the names of Java's classes."""
    deepest = PYTHON_ERROR.findall(text) or CAUSE.findall(text) or JAVA_ERROR.findall(text)
    said = deepest[-1] if deepest else next(iter(text.strip().splitlines()), "")
    return CLASS.sub("", said).strip()[:LONGEST]
