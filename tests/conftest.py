"""One Spark session for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use Spark go to one xdist worker, so that there is one session in all."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("spark"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session with two cores and four shuffle partitions."""
    from pipeline.session import build_session

    settings = {"spark.master": "local[2]", "spark.local.dir": str(tmp_path_factory.mktemp("spark"))}
    session = build_session("tests", settings)
    yield session
    session.stop()
