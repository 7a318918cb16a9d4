"""Run blocks of Python in one namespace: a JSON list of sources on stdin, a JSON list of what each printed on stdout.

Lines are counted as if the blocks stood one after the other in one file `program.py`, so that a reader who puts them
there gets the same messages.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def run(blocks: list[str]) -> list[str]:
    """What each block prints."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outputs, before = [], 0
    for block in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile("\n" * before + block, "program.py", "exec"), namespace)
        outputs.append(printed.getvalue())
        before += block.count("\n")
    return outputs


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
