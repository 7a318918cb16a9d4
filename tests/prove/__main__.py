"""The long demonstrations: `python -m tests.prove [PART ...]`, from the root of the tree.

A part is a script `tests/prove/<part>.py`. It prints what it shows and exits with 0 when that holds; what it printed is
kept in `prove/<part>.txt`. Each part has a small sibling among the tests.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PRINTOUTS = Path("prove")


def parts() -> list[str]:
    """The names of all parts, sorted."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__")


def run_part(part: str, printouts: Path = PRINTOUTS) -> int:
    """Run one part, show what it prints and keep it in `printouts`; its exit code, negative when a signal ended it."""
    printouts.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    command = [sys.executable, "-u", "-m", f"tests.prove.{part}"]
    with (
        (printouts / f"{part}.txt").open("w", encoding="utf-8") as kept,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8") as process,
    ):
        for line in process.stdout or ():
            print(line, end="", flush=True)
            kept.write(line)
        code = process.wait()
        kept.write(f"exit code {code} after {time.monotonic() - start:.0f} s\n")
    return code


def main(arguments: list[str]) -> int:
    """Run the parts named, or all; 0 when all hold, 1 when one does not, 2 when there is no such part."""
    known = parts()
    unknown = [part for part in arguments if part not in known]
    if unknown:
        print(f"no part {', '.join(unknown)}; the parts are: {', '.join(known)}", file=sys.stderr)
        return 2
    codes = {}
    for part in arguments or known:
        print(f"== {part}", flush=True)
        codes[part] = run_part(part)
    for part, code in codes.items():
        print(f"{part}: {'holds' if code == 0 else f'FAILED with exit code {code}'} ({PRINTOUTS / part}.txt)")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
