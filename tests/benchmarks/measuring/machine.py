"""What a figure depends on besides our code: the processor, and the versions of what computes."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measuring.alternate import answer_of


def machine(peers: str) -> dict[str, Any]:
    """The machine, our libraries, and those of the Python `peers`."""
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **versions(("numpy", "numba")),
        "blas": blas(),
        "peers": peer_versions(peers),
    }


def cpu_model() -> str:
    """As the kernel names it, or "unknown"."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def blas() -> str:
    """Name and version of the library that makes NumPy's matrix products."""
    config: Any = np.show_config(mode="dicts")
    found = config["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package by the name it is imported by, whatever it was installed as; or "absent"."""
    installed = metadata.packages_distributions()
    return {name: metadata.version(installed[name][0]) if name in installed else "absent" for name in packages}


def peer_versions(python: str) -> dict[str, str]:
    """The same of the peers, as their own Python says it."""
    return answer_of([python, "-m", "tests.benchmarks.training.peers", "--versions"])
