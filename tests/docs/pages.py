"""The pages of docs/ are programs: their Python blocks run in order, the text block after one is what it prints.

`python -m tests.docs.pages` runs every page and writes into it what its blocks print now. It exits with 1 when that
changed a page: read the difference, and see that the words around it are still true, before running the tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
_PYTHON = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)


def python(*arguments: str, tree: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Python on the packages of `tree`; a warning is an error."""
    command = [sys.executable, "-W", "error", *arguments]
    surroundings = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=surroundings, input=stdin, capture_output=True, encoding="utf-8")


def patched(page: Path, tree: Path) -> Path:
    """The engine and the test of its ops in `tree`, with the page's diff applied, as `git apply` reads it."""
    for name in ("tsengine", "tests/tsengine/conftest.py", "tests/tsengine/test_op_table.py", "pyproject.toml"):
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)  # with what is compiled, or every copy would compile its kernels anew
        else:
            shutil.copy(source, target)
    alone = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    alone["GIT_CEILING_DIRECTORIES"] = str(tree.parent)  # no repository around it is meant
    subprocess.run(["git", "apply", str(page)], cwd=tree, env=alone, check=True)
    return tree


def rebuilt(text: str, tree: Path) -> str:
    """The text of a page with what its blocks print when they run on `tree`."""
    sources = [found["code"] for found in _PYTHON.finditer(text)]
    done = python(str(Path(__file__).with_name("run_blocks.py")), tree=tree, stdin=json.dumps(sources))
    if done.returncode:
        raise RuntimeError(f"a block of the page fails:\n{done.stderr}")
    outputs = iter(json.loads(done.stdout))

    def block(found: re.Match[str]) -> str:
        printed = next(outputs)
        return f"```python\n{found['code']}```\n" + (f"\n```text\n{printed}```\n" if printed else "")

    return _PYTHON.sub(block, text)


def main() -> int:
    """Rebuild every page; 1 when one changed."""
    changed = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            found = rebuilt(text, patched(page, Path(folder)) if "```diff\n" in text else ROOT)
        if found != text:
            page.write_text(found, encoding="utf-8")
            changed.append(page)
    for page in changed:
        print(f"{page.relative_to(ROOT)} is rewritten: read the difference, then run the tests")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
