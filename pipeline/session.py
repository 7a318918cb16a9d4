"""The one place that builds a SparkSession, and checks the cluster it got."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from pipeline.cluster import check_cluster
from pipeline.errors import PipelineError

ROW_GROUP_ROWS = 131_072
"""Rows of a Parquet row group at most: what the loader shuffles within must fit in memory (see pipeline.loader)."""

LOG4J = Path(__file__).with_name("log4j2.properties").as_uri()
COMPILE_ALL = "-XX:-DontCompileHugeMethods"
"""For the Java that runs tasks: otherwise it interprets every method of more than 8,000 bytes, and Spark generates such
ones for our rules (judging a line took twice as long)."""

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",  # stored times are UTC; a zone is named where a day is cut
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # Spark's default INT96 is read wrongly by other tools
    "spark.sql.parquet.compression.codec": "zstd",  # a third smaller than snappy at the same reading speed
    "spark.hadoop.parquet.block.row.count.limit": str(ROW_GROUP_ROWS),
    "spark.sql.adaptive.enabled": "true",  # joins and partitions by measured size
    # One user or item may own a fifth of the rows: where a join brings these together, its task is cut into several.
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor": "3.0",
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes": "64MB",  # a task of the advised size is left alone
    # Merged projections repeat what they share: cleaning parsed a line many times over, and compiled for 40 s.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.CollapseProject",
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, not a wrong number
    "spark.sql.legacy.javaCharsets": "true",  # logs come in any encoding that Java knows, not only in UTF and Latin-1
    "spark.sql.legacy.codingErrorAction": "true",  # bytes that are not of it are a rule's business, not the job's end
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",  # our manifest commits
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.scheduler.mode": "FAIR",  # days that are built side by side share the cores; one alone has them all
    "spark.ui.showConsoleProgress": "false",  # our own progress line says more
    "spark.sql.redaction.string.regex": "(?i)(0x|x')?[0-9a-f]{128}'?",  # blocks of a key (pipeline.pii), in plans
}
LOCAL_SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",  # a local session serves nobody else
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",  # two per core; the default 200 costs seconds a step on small days
    "spark.default.parallelism": "4",
    "spark.driver.memory": "3g",
    "spark.python.worker.reuse": "true",
}


def build_session(name: str, settings: dict[str, str] | None = None) -> SparkSession:
    """The session of this process: the one that `spark-submit` prepared, or a local one with every core.

    Raises PipelineError naming what is missing or differs when Java is missing, or the cluster runs another Spark, or
    its executors another Java, Python or package than the driver.
    """
    builder = SparkSession.builder.appName(name)
    chosen = {**SETTINGS, **(_local_settings() if _is_local() else {}), **(settings or {})}
    for key, value in chosen.items():
        builder = builder.config(key, value)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers run the Python that has our packages
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise PipelineError(
            f"cannot start Spark: {_first_line(error)}. Java 17 or later is needed; `make setup` finds or installs it"
        ) from None
    _quieten(session)
    _check(session)
    return session


def _is_local() -> bool:
    """Whether the master is this process's own: always, unless `spark-submit` named another."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return True
    SparkContext._ensure_initialized()
    return SparkConf().get("spark.master", "local[*]").startswith("local")


def _local_settings() -> dict[str, str]:
    return {**LOCAL_SETTINGS, "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOG4J} {COMPILE_ALL}"}


def _quieten(session: SparkSession) -> None:
    """Errors only; of a local session also no stack traces, for `spark-submit` started its Java with other settings."""
    jvm = session.sparkContext._jvm
    if jvm is not None and (session.sparkContext.master or "").startswith("local"):
        jvm.org.apache.logging.log4j.core.config.Configurator.reconfigure(jvm.java.net.URI(LOG4J))
    session.sparkContext.setLogLevel("ERROR")
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):  # they repeat an error as a line of JSON
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _check(session: SparkSession) -> None:
    """A local session is one process with one Python: there is nothing to compare, and no job is run."""
    ours = version("pyspark")
    if session.version != ours:
        raise PipelineError(
            f"the cluster runs Spark {session.version}, this package was made for {ours}; submit with the same version"
        )
    if not (session.sparkContext.master or "").startswith("local"):
        check_cluster(session)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
