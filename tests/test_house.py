"""The walls of the house: which room may import what, how large the heart of the engine may be, what the lock holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import median, quantiles

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PACKAGES = ("jobs", "pipeline", "tsengine")

# What a room must not import, however deep inside a function. The first column is a folder or a file.
WALLS = {
    "tsengine": {"pipeline", "jobs", "pyspark", "pyarrow", "google", "tensorboard"},
    "pipeline": {"jobs"},
    "pipeline/artifact": {"pyspark"},
    "pipeline/loader": {"pyspark"},
    "pipeline/models": {"pyspark"},
    "pipeline/storage": {"pyspark"},
    "pipeline/training": {"pyspark"},
}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

# Spark functions whose result depends on the order or the number of partitions.
UNSTABLE = {"rand", "randn", "uuid", "shuffle", "first", "monotonically_increasing_id", "percentile_approx"}
JUSTIFIED = {Path("pipeline/steps/build_vocab.py"): {"monotonically_increasing_id"}}
"""Where one is used in a way that no result depends on: of a sorted table, kept while it is numbered."""

HEART = ("graph.py", "specs.py", "scopes.py", "variables.py", "gradients.py", "session.py", "compiler")
SILENT_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base"}


def sources(*folders: str) -> list[Path]:
    """Every Python file of the folders, as paths from the root."""
    return [path.relative_to(ROOT) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."


def breaches(path: Path, text: str) -> list[str]:
    """What is wrong with a file that lies at `path` (from the root) and holds `text`."""
    banned = PICKLES.union(*(names for room, names in WALLS.items() if path.is_relative_to(room)))
    tree = ast.parse(text)
    return [f"{path}:{line} imports {name}" for line, name in imported(tree) if name.split(".")[0] in banned]


def unstable_calls(path: Path, text: str) -> list[str]:
    """Calls `F.x` of Spark functions that would make a rebuild differ."""
    banned = UNSTABLE - JUSTIFIED.get(path, set())
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute) and node.attr in banned)
    return [f"{path}:{node.lineno} uses F.{node.attr}" for node in nodes if ast.unparse(node.value) == "F"]


def test_every_room_imports_only_what_it_may() -> None:
    found = [
        fault for path in sources(*PACKAGES, "tests") for fault in breaches(path, (ROOT / path).read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tsengine/ops/x.py", "from pipeline.config import Config"),
        ("tsengine/session.py", "import pyarrow.parquet as pq"),
        ("tsengine/summary/x.py", "from tensorboard.compat.proto import event_pb2"),
        ("pipeline/days.py", "from jobs import arguments"),
        ("pipeline/loader/read.py", "def read() -> None:\n    from pyspark.sql import DataFrame"),
        ("pipeline/training/gate.py", "import pyspark"),
        ("jobs/train.py", "import pickle"),
        ("tests/test_x.py", "from joblib import dump"),
    ],
)
def test_a_planted_breach_is_found(path: str, text: str) -> None:
    assert len(breaches(Path(path), text)) == 1


def test_what_a_room_may_import_is_no_breach() -> None:
    assert breaches(Path("pipeline/steps/x.py"), "import pyspark\nfrom pipeline import config\nimport tsengine") == []


def ruff(path: str, text: str) -> str:
    """What ruff says, by the settings in pyproject.toml, of a file that holds `text` and would lie at `path`."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format=concise",
        "--stdin-filename",
        path,
        "-",
    ]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8", cwd=ROOT).stdout


@pytest.mark.parametrize(
    "room", ["tsengine", "pipeline/loader", "pipeline/models", "pipeline/training", "pipeline/artifact"]
)
def test_ruff_refuses_spark_where_it_does_not_belong(room: str) -> None:
    text = "from pyspark.sql import SparkSession\n\nprint(SparkSession)\n"
    assert "TID251" in ruff(f"{room}/planted.py", text)
    assert "TID251" not in ruff("pipeline/steps/planted.py", text)


def test_ruff_refuses_pickle_and_the_global_seed_everywhere() -> None:
    assert "TID253" in ruff("jobs/planted.py", "import pickle\n")
    assert "S301" in ruff(
        "pipeline/steps/planted.py", "def f(x: bytes) -> object:\n    import pickle\n\n    return pickle.loads(x)\n"
    )
    assert "NPY002" in ruff("tests/planted.py", "import numpy as np\n\nnp.random.seed(0)\n")


def test_steps_use_no_function_whose_result_depends_on_partitions() -> None:
    found = [fault for path in sources("pipeline") for fault in unstable_calls(path, (ROOT / path).read_text("utf-8"))]
    assert found == []
    assert unstable_calls(Path("x.py"), "df.select(F.rand(), F.first('a'), F.sum('b'))") == [
        "x.py:1 uses F.rand",
        "x.py:1 uses F.first",
    ]


def test_import_tsengine_loads_numpy_and_nothing_heavy() -> None:
    heavy = {"numba", "onnx", "onnxruntime", "pandas", "pyarrow", "pyspark", "safetensors", "scipy", "pipeline"}
    command = "import sys, tsengine; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    answer = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, check=True, encoding="utf-8", cwd=ROOT
    )
    loaded = set(answer.stdout.split())
    assert "numpy" in loaded
    assert loaded & heavy == set()


def test_the_heart_of_the_engine_can_be_read_in_an_afternoon() -> None:
    files = [path for path in sources("tsengine") if path.parts[1] in HEART]
    lines = {str(path): len((ROOT / path).read_text("utf-8").splitlines()) for path in files}
    assert set(HEART) <= {path.parts[1] for path in files}
    assert sum(lines.values()) < 2500, lines


def test_file_names_say_something() -> None:
    assert [str(path) for path in sources(*PACKAGES, "tests") if path.stem.strip("_") in SILENT_NAMES] == []


def test_functions_are_short() -> None:
    trees = (ast.parse((ROOT / path).read_text("utf-8")) for path in sources(*PACKAGES))
    functions = (
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for node in functions]
    assert median(lengths) < 10
    assert quantiles(lengths, n=10)[-1] < 30


def requirements() -> list[str]:
    """Every requirement that pyproject.toml declares: the core, all extras, all groups, and what builds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    return [*project["build-system"]["requires"], *project["project"]["dependencies"], *chain(*extras, *groups)]


@pytest.mark.parametrize("requirement", requirements())
def test_the_lock_holds_what_is_declared(requirement: str) -> None:
    wanted = Requirement(requirement)
    pins = re.findall(rf"(?m)^{re.escape(wanted.name)}==([^ ;]+)", (ROOT / "requirements.lock").read_text("utf-8"))
    assert pins, f"{requirement} is declared, not locked: compile requirements.lock again, as its first lines say"
    assert all(wanted.specifier.contains(Version(pin)) for pin in pins)


COMPUTE = (
    "pipeline.days", "pipeline.features", "pipeline.steps", "pipeline.statistics", "pipeline.artifact",
    "pipeline.models", "tsengine",
)  # fmt: skip
"""Rooms whose code decides the rows that a step makes; the others read, write and carry."""


def reached(module: str) -> set[str]:
    """The modules of COMPUTE that a module or package imports, directly or through one another."""
    found, pending = set[str](), [module]
    while pending:
        name = pending.pop()
        path = ROOT / name.replace(".", "/")
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            for _, target in imported(ast.parse(file.read_text(encoding="utf-8"))):
                if target.startswith(COMPUTE) and target not in found:
                    found.add(target)
                    pending.append(target)
    return found


def test_a_step_s_key_knows_all_code_that_decides_its_rows() -> None:
    from pipeline import road, table_road

    for step in (*road.DATA_STEPS, road.RECOMMEND, *table_road.TABLE_STEPS):
        known = step.modules
        for module in known[:1]:
            unknown = {
                name for name in reached(module) if not any(name == m or name.startswith(f"{m}.") for m in known)
            }
            assert unknown == set(), f"{step.name} computes with these too"
