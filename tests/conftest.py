"""One Spark session for the whole run, started when the first test asks for it."""

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


class OneSession(LoadScopeScheduling):
    """Files whose tests use the `spark` fixture go to one worker, so that there is one session in all."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "spark" if _uses_spark(path) else nodeid


@cache
def _uses_spark(path: str) -> bool:
    return re.search(r"\bspark: SparkSession\b", (ROOT / path).read_text(encoding="utf-8")) is not None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneSession:
    """How `-n` spreads the tests. (The marker for groups is not heard by this pytest.)"""
    return OneSession(config, log)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session with two cores and four shuffle partitions."""
    from pipeline.session import build_session

    settings = {"spark.master": "local[2]", "spark.local.dir": str(tmp_path_factory.mktemp("spark"))}
    session = build_session("tests", settings)
    yield session
    session.stop()
