"""One Spark session a worker, started when the first of its tests asks for it.

What such a test mostly waits for is Spark's planning, the work of one core: so the files are spread over the workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parent.parent


class SparkByFile(LoadScopeScheduling):
    """The tests of a file that uses the `spark` fixture go to one worker, as they share what they build; others go
    wherever there is time. Files of many tests come first."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _uses_spark(path) else nodeid


@cache
def _uses_spark(path: str) -> bool:
    return re.search(r"\bspark: SparkSession\b", (ROOT / path).read_text(encoding="utf-8")) is not None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SparkByFile:
    """How `-n` spreads the tests. (The marker for groups is not heard by this pytest.)"""
    return SparkByFile(config, log)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session with two cores and four shuffle partitions."""
    from pipeline.session import build_session

    settings = {"spark.master": "local[2]", "spark.local.dir": str(tmp_path_factory.mktemp("spark"))}
    session = build_session("tests", settings)
    yield session
    session.stop()
