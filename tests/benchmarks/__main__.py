"""The benchmarks: `python -m tests.benchmarks [PART ...]`, from the root of the tree.

A part is a module `tests/benchmarks/<part>.py` whose `measure()` returns the rows of its table. The table is printed in
Markdown and kept, with the machine it was taken on, in `prove/benchmarks/<part>.md` and `.json`.
Machines are noisy: a part runs what it compares alternately, and states the ratio of medians.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

Row = dict[str, str | int | float]

HERE = Path(__file__).parent
TABLES = Path("prove/benchmarks")


def parts() -> list[str]:
    """The names of all parts, sorted."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__")


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; the first row names the columns, floats have four digits."""
    body = [[format(cell, ".4g" if isinstance(cell, float) else "") for cell in row.values()] for row in rows]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> dict[str, str | int | None]:
    """What a figure depends on and the table should say."""
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def run_part(part: str, tables: Path = TABLES) -> None:
    """Measure one part, print its table and keep it in `tables`."""
    module = importlib.import_module(f"tests.benchmarks.{part}")
    title = (module.__doc__ or part).strip().splitlines()[0]
    rows = module.measure()
    text = f"## {part}\n\n{title}\n\n{markdown(rows)}\n"
    print(text, flush=True)
    tables.mkdir(parents=True, exist_ok=True)
    (tables / f"{part}.md").write_text(text, encoding="utf-8")
    record = {"part": part, "title": title, "machine": machine(), "rows": rows}
    (tables / f"{part}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the parts named, or all; 2 when there is no such part."""
    known = parts()
    unknown = [part for part in arguments if part not in known]
    if unknown:
        print(f"no part {', '.join(unknown)}; the parts are: {', '.join(known)}", file=sys.stderr)
        return 2
    for part in arguments or known:
        run_part(part)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
