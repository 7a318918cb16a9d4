"""What the pages show is what happens: outputs, links, the diff, and what the suite says of a diff that is wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, patched, python, rebuilt

OP_PAGE = ROOT / "docs" / "how-to-add-an-op.md"
ACTIVATIONS, CASES = "tsengine/ops/activations.py", "tsengine/testing/opcases/elements.py"
DAMAGE = {
    "no `gradient`": (ACTIVATIONS, r"    @staticmethod\n    def gradient\(.*\n.*\n.*slope \* slope,\)\n", ""),
    "`grad * slope` as the gradient": (ACTIVATIONS, r"slope \* slope", "slope"),
    "no `onnx`": (ACTIVATIONS, r'    @staticmethod\n    def onnx\(.*\n.*\n.*"Add".*\n', ""),
    "no case": (CASES, r'    "softsign": .*\n', ""),
    "`np.abs(x, out=out)` as a line before the division": (
        ACTIVATIONS,
        r"np.divide\(x, np.abs\(x\)",
        "np.abs(x, out=out)\n        np.divide(x, out",
    ),
}
"""What the page leaves out of its diff, as a replacement in one file of the patched tree."""


@pytest.fixture(scope="module")
def with_softsign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the engine to which the page's diff was applied."""
    return patched(OP_PAGE, tmp_path_factory.mktemp("softsign"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_prints_is_what_its_blocks_print(page: Path, request: pytest.FixtureRequest) -> None:
    text = page.read_text(encoding="utf-8")
    tree = request.getfixturevalue("with_softsign") if page == OP_PAGE else ROOT
    assert rebuilt(text, tree) == text, "python -m tests.docs.pages writes what they print now"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def suite(tree: Path) -> str:
    """What the command on the page prints, its lines joined."""
    command = re.search(r"-m (pytest .*)", OP_PAGE.read_text(encoding="utf-8"))
    assert command is not None
    _, path, option, names = command[1].split(maxsplit=3)
    printed = python("-m", "pytest", "-p", "no:cacheprovider", path, option, names.strip('"'), tree=tree).stdout
    return " ".join(printed.replace("\nE ", " ").split())


def test_the_diff_passes_the_suite(with_softsign: Path) -> None:
    assert re.search(r"= \d+ passed, \d+ deselected", suite(with_softsign))


def said() -> dict[str, str]:
    """The page's table: what is wrong with the diff, and what pytest says."""
    return dict(re.findall(r"^\| (.+) \| `(.+)` \|$", OP_PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_damage_of_the_page_is_done_here() -> None:
    assert list(said()) == list(DAMAGE)


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_suite_says_what_is_missing(with_softsign: Path, tmp_path: Path, damage: str) -> None:
    tree = tmp_path / "damaged"
    shutil.copytree(with_softsign, tree)
    name, pattern, replacement = DAMAGE[damage]
    text, count = re.subn(pattern, replacement, (tree / name).read_text(encoding="utf-8"))
    assert count == 1
    (tree / name).write_text(text, encoding="utf-8")
    assert said()[damage] in suite(tree)
