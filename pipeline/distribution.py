"""What a cluster needs to run our jobs on executors with a bare Python: two archives, one of packages, one of code.

Executors unpack `--archives` beside their tasks and find both through PYTHONPATH. The packages are copied from this
environment, which is made from requirements.lock and nothing else: nothing is downloaded, and an executor computes with
the very files that the driver has. They are packed anew only when a version changes; the code takes a second.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import platform
import re
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.provenance import PROJECT
from pipeline.session import COMPILE_ALL

CODE = ("jobs", "pipeline", "tsengine", "conf")
REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)
LEFT_OUT = {"tests", "__pycache__"}
"""Folders that no import needs: a tenth of the bytes."""


def pack_code(folder: Path) -> Path:
    """`code.tar.gz` in the folder: our packages and the configs, as they lie in this tree."""
    files = {
        str(path.relative_to(PROJECT)): path
        for part in CODE
        for path in (PROJECT / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return _pack(folder / "code.tar.gz", files)


def pack_packages(folder: Path, names: Sequence[str], lock: Path = PROJECT / "requirements.lock") -> Path:
    """`packages-<digest>.tar.gz` in the folder: these packages and all that they require, with the locked versions.

    Returns the one that is there when it holds the same versions for the same Python and machine; others are removed.
    Raises PipelineError naming each package that is not here or not in its locked version.
    """
    found = required(names)
    _refuse_unlocked(found, lock)
    pins = [f"{one.metadata['Name']}=={one.version}" for one in found]
    made_for = [f"python{_python()}", sysconfig.get_platform(), *pins]
    digest = hashlib.sha256("\n".join(made_for).encode()).hexdigest()[:12]
    path = folder / f"packages-{digest}.tar.gz"
    if not path.exists():
        _pack(path, dict(_files(found)))
    for old in folder.glob("packages-*.tar.gz"):
        if old != path:
            old.unlink()
    return path


def submit_line(master: str, packages: Path, code: Path, job: str, *arguments: str) -> str:
    """What to type so that the job runs on the cluster; the driver is this environment."""
    lines = [
        f".venv/bin/spark-submit --master {master}",
        f"--archives {packages}#packages,{code}#code",
        "--conf spark.executorEnv.PYTHONPATH=code:packages",
        f"--conf spark.executor.extraJavaOptions={COMPILE_ALL}",
        f"--conf spark.pyspark.driver.python=.venv/bin/python --conf spark.pyspark.python=python{_python()}",
        " ".join([f"jobs/{job}.py", *arguments]),
    ]
    return " \\\n    ".join(lines)


def required(names: Iterable[str]) -> list[Distribution]:
    """The installed packages of these names and, transitively, what they require here; sorted by name.

    Raises PipelineError when one of the names is not installed. (What a marker excludes on this machine is not.)
    """
    found: dict[str, Distribution] = {}
    asked = [_canonical(name) for name in names]
    pending = list(asked)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            if name in asked:
                raise PipelineError(f"{name} is not installed here, and executors need it. Type: make setup") from None
            continue
        needed = [text for text in found[name].requires or () if "extra ==" not in text]
        pending += [_canonical(match[1]) for text in needed if (match := REQUIREMENT.match(text))]
    return [found[name] for name in sorted(found)]


def _refuse_unlocked(found: Iterable[Distribution], lock: Path) -> None:
    pins: dict[str, set[str]] = {}
    for name, version in PIN.findall(lock.read_text(encoding="utf-8")):
        pins.setdefault(_canonical(name), set()).add(version)
    faults = [
        f"{one.metadata['Name']} {one.version} is installed, locked is {' or '.join(sorted(locked)) or 'none'}"
        for one in found
        if one.version not in (locked := pins.get(_canonical(one.metadata["Name"]), set()))
    ]
    if faults:
        raise PipelineError(f"this environment is not what {lock} says: {'; '.join(faults)}. Type: make setup")


def _files(found: Iterable[Distribution]) -> Iterator[tuple[str, Path]]:
    """Name in the archive -> file. What lies outside of site-packages (scripts) is for people."""
    for one in found:
        for name in one.files or ():
            path = Path(os.path.abspath(str(name.locate())))
            if ".." not in name.parts and not LEFT_OUT.intersection(name.parts) and path.is_file():
                yield str(name), path


def _pack(path: Path, files: dict[str, Path]) -> Path:
    """The same files give the same bytes; the archive appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with (
        unfinished.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for name, file in sorted(files.items()):
            content = file.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    unfinished.replace(path)
    return path


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
