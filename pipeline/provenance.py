"""Which code made something: the hash of a step's source is in its key, the commit is for the record."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


@cache
def source_hash(module: str) -> str:
    """SHA-256 of a module's source, or of all sources of a package."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    origin = Path(spec.origin)
    paths = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


@cache
def code_version() -> str:
    """The commit that is checked out; `unknown` outside a repository."""
    command = ["git", "-C", str(PROJECT), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return result.stdout.strip() or "unknown"
