"""The benchmarks: `python -m tests.benchmarks [PART ...]`, from the root of the tree.

A part is a module `tests/benchmarks/<part>.py` whose `measure(settings)` returns the rows of its table; what parts
share lies in folders. The table is printed in Markdown and kept, with every figure behind it and the machine it was
taken on, in `prove/benchmarks/<part>.md` and `.json`.
Machines are noisy: a part runs what it compares alternately, and states the ratio of medians.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring.machine import machine
from tests.benchmarks.measuring.settings import Settings
from tests.benchmarks.measuring.table import markdown

HERE = Path(__file__).parent
TABLES = Path("prove/benchmarks")


def parts() -> list[str]:
    """The names of all parts, sorted."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__")


def run_part(part: str, settings: Settings, of: dict[str, Any], tables: Path = TABLES) -> None:
    """Measure one part, print its table and keep it in `tables` with the machine that it is `of`."""
    module = importlib.import_module(f"tests.benchmarks.{part}")
    title = (module.__doc__ or part).strip().splitlines()[0]
    measured = module.measure(settings)
    text = f"## {part}\n\n{title}\n\n{markdown(measured.rows)}\n"
    print(text, flush=True)
    tables.mkdir(parents=True, exist_ok=True)
    (tables / f"{part}.md").write_text(text, encoding="utf-8")
    record = {"part": part, "title": title, "machine": of, "rows": measured.rows, "figures": measured.figures}
    (tables / f"{part}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the parts named, or all; 2 when there is no such part."""
    named, settings = _asked(arguments)
    known = parts()
    unknown = [part for part in named if part not in known]
    if unknown:
        print(f"no part {', '.join(unknown)}; the parts are: {', '.join(known)}", file=sys.stderr)
        return 2
    of = machine(settings.peers)
    for part in named or known:
        run_part(part, settings, of)
    return 0


def _asked(arguments: list[str]) -> tuple[list[str], Settings]:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--peers", default=Settings.peers, help="the Python that has the peers (this one)")
    parser.add_argument("--repeats", type=int, default=Settings.repeats, help="processes of each side (5)")
    parser.add_argument("--seconds", type=float, default=Settings.seconds, help="of the clock in each of them (5)")
    parser.add_argument("--rows", type=int, default=Settings.rows, help="of the table in part memory (50,000,000)")
    parser.add_argument("--lines", type=int, default=Settings.lines, help="of a day in part features (4,000,000)")
    asked = vars(parser.parse_args(arguments))
    return asked.pop("parts"), Settings(**asked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
