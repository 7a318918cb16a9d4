"""Clean the logs of a day: every line becomes an event, a duplicate or a quarantined row, and is counted as that.

Read in this order: lines (bytes to fields), columns (fields to values), rules (what is rejected), duplicates below,
rooms and bots (what is known besides).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import Config, Source
from pipeline.days import Day, add_days
from pipeline.schemas import Columns
from pipeline.steps.clean_logs.bots import with_bots
from pipeline.steps.clean_logs.columns import default_of as default_of
from pipeline.steps.clean_logs.columns import text_of, value_of
from pipeline.steps.clean_logs.lines import RawLines, decoded, is_blank, with_fields
from pipeline.steps.clean_logs.lines import raw_lines as raw_lines
from pipeline.steps.clean_logs.pii import hashed
from pipeline.steps.clean_logs.rooms import rooms_known, still_of_use
from pipeline.steps.clean_logs.rules import RULES as RULES
from pipeline.steps.clean_logs.rules import TEXT, VALUE, Context, verdict
from pipeline.steps.instants import day_start, local_day, shifted

KEPT, DUPLICATE = "kept", "duplicate"
BLANK, HEADER, COMMENT, NOT_BEFORE = "blank", "header", "comment", "not_before"
NO_ROWS = (BLANK, HEADER, COMMENT, NOT_BEFORE)
"""Lines that are none of a source's rows: they are counted apart."""
NOT_REJECTED = (KEPT, DUPLICATE, *NO_ROWS)


@dataclass(frozen=True)
class CleanLogs:
    """What became of a day's lines. `accounting` has (source, fate, lines), fate a rule's id or one of NOT_REJECTED."""

    events: DataFrame
    quarantine: DataFrame
    attributes: Mapping[str, DataFrame]
    rooms: DataFrame | None
    accounting: DataFrame
    release: Callable[[], None]


def clean_logs(
    config: Config,
    day: Day,
    raw: Mapping[str, RawLines],
    earlier: Mapping[str, DataFrame],
    earlier_rooms: DataFrame | None,
    pii_key: bytes | None = None,
) -> CleanLogs:
    """Judge every line of every source; a pure function of the day's lines and of the days before.

    `raw` has the lines of each source that a dataset uses; `earlier`, by source, the event ids of the look-back days
    (a room that is told twice stays one room, so its source needs none); `earlier_rooms` the rooms of the day before;
    `pii_key` what the columns that name a person are hashed with.
    Lines are read and parsed once: `release()` gives that memory back.
    """
    datasets = config.datasets
    judged: dict[str, DataFrame] = {}
    for name in sorted(raw, key=lambda name: name == datasets.events):  # events last: they need the rooms
        rooms = None
        if name == datasets.events and datasets.rooms is not None:
            rooms = rooms_known(_kept(judged[datasets.rooms]), earlier_rooms)
        judged[name] = _judge(config, day, name, raw[name], rooms, earlier.get(name), pii_key).persist(
            StorageLevel.MEMORY_AND_DISK
        )
    return CleanLogs(
        events=_events(config, _kept(judged[datasets.events])),
        quarantine=_union([_quarantine(name, table) for name, table in judged.items()]),
        attributes={
            entity: _shaped(_kept(judged[source]), schemas.attributes(config, entity))
            for entity, source in datasets.attributes.items()
        },
        rooms=still_of_use(config, day, rooms_known(_kept(judged[datasets.rooms]), earlier_rooms))
        if datasets.rooms
        else None,
        accounting=_union([_count(name, table) for name, table in judged.items()]),
        release=lambda: _release(judged.values()),
    )


def _release(tables: Iterable[DataFrame]) -> None:
    for table in tables:
        table.unpersist()


def _judge(
    config: Config,
    day: Day,
    name: str,
    raw: RawLines,
    rooms: DataFrame | None,
    earlier: DataFrame | None,
    pii_key: bytes | None,
) -> DataFrame:
    """Each line with its `fate`, its `detail` and the columns of its source; the bytes only where it is rejected."""
    source = config.sources[name]
    lines = _of_the_day(config, day, source, raw, _valued(config, day, source, raw, pii_key))
    if source.not_before is not None:
        old = local_day(F.col("event_time"), config.product.zone) < F.lit(source.not_before)
        lines = lines.withColumn("fate", F.coalesce("fate", F.when(old, F.lit(NOT_BEFORE))))
    if rooms is not None:
        known = rooms.drop("item_id").withColumnRenamed("room_id", f"{VALUE}room_id")
        lines = lines.join(F.broadcast(known), on=f"{VALUE}room_id", how="left")  # some days of broadcasts: small
    context = Context(config, source, day, rooms is not None)
    first = F.when(F.col("fate").isNull(), verdict(context))
    ruled = lines.withColumn("verdict", first).withColumns(
        {"fate": F.coalesce(F.col("fate"), F.col("verdict.rule")), "detail": F.col("verdict.detail")}
    )
    fated = _without_duplicates(ruled, earlier)
    rejected = ~F.col("fate").isin(*NOT_REJECTED)
    columns = [F.col(VALUE + column).alias(column) for column in source.columns if column not in schemas.CLOCKS]
    return fated.select(
        "fate", "detail", "source_file", F.when(rejected, F.col("line")).alias("line"), *columns, *schemas.CLOCKS
    )


def _valued(config: Config, day: Day, source: Source, raw: RawLines, pii_key: bytes | None = None) -> DataFrame:
    """Lines with their fields, each column's text and value, and both clocks."""
    return typed(source, taken_apart(config, source, raw), pii_key).withColumns(
        {"event_time": F.col(f"{VALUE}event_time"), "available_at": _available(config, day, source)}
    )


def taken_apart(config: Config, source: Source, raw: RawLines) -> DataFrame:
    """Lines with `fate` (blank, header, comment or null), `text` (null where the encoding is another) and the parsed
    `fields`."""
    table = raw.table.withColumn("text", decoded(F.col("line"), source.encoding))
    table = table.withColumn("fate", _no_row(source, raw))
    short = F.when(F.octet_length("line") <= config.clean.max_line_bytes, F.rtrim("text", F.lit("\r")))
    return with_fields(table, short, source, raw)


def typed(source: Source, table: DataFrame, pii_key: bytes | None = None) -> DataFrame:
    """Lines that are taken apart, with the text and the value of each declared column; what names a person is hashed
    with the key."""
    fields = table.select("fields.*").columns
    texts = {TEXT + name: text_of(column, "fields", fields) for name, column in source.columns.items()}
    written = [name for name, column in source.columns.items() if column.sql is not None]
    if written:  # their `sql` sees the fields of the line, and nothing else
        alone = table.select(F.struct("*").alias("_line"), "fields.*")
        table = alone.select("_line.*", *[texts.pop(TEXT + name).alias(TEXT + name) for name in written])
    table = table.withColumns(texts)
    table = table.withColumns(
        {VALUE + name: value_of(column, F.col(TEXT + name)) for name, column in source.columns.items()}
    )
    if pii_key is not None:
        named = [VALUE + name for name, column in source.columns.items() if column.pii]
        table = table.withColumns({name: hashed(F.col(name), pii_key) for name in named})
    return table


def _no_row(source: Source, raw: RawLines) -> Column:
    """The fate of a line that is none of the source's rows, else null."""
    if source.format == "parquet":
        return F.lit(None).cast("string")
    fate = F.when(is_blank(F.col("line")), F.lit(BLANK))
    if source.comment is not None:
        fate = fate.when(F.col("line").startswith(F.lit(source.comment.encode(source.encoding))), F.lit(COMMENT))
    if raw.header is not None:
        fate = fate.when(F.rtrim("text", F.lit("\r")) == F.lit(raw.header), F.lit(HEADER))
    return fate


def _available(config: Config, day: Day, source: Source) -> Column:
    """When the line could be known. One that was delivered on `day` was not known before, whatever it says; where it
    says nothing, it came with the usual delay, but on that day. (What it says of a later day is a rule's business.)"""
    said = F.col(f"{VALUE}available_at") if "available_at" in source.columns else F.lit(None).cast("timestamp")
    usual = shifted(F.col(f"{VALUE}event_time"), source.delay_s * 1_000_000)
    if not source.has_day:
        return F.coalesce(said, usual)
    begin, end = (day_start(d, config.product.zone) for d in (day, add_days(day, 1)))
    known = F.coalesce(said, F.when(usual.isNotNull(), F.least(usual, shifted(end, -1))))
    return F.when(known.isNotNull(), F.greatest(known, begin))


def _of_the_day(config: Config, day: Day, source: Source, raw: RawLines, lines: DataFrame) -> DataFrame:
    """Where the path names no day: the lines that arrived on it.

    A line without a clock arrived with the last one of its file that has one, so that a file that comes later changes
    no earlier day; a file without any clock belongs to the first day.
    """
    if source.has_day:
        return lines
    files = lines.sparkSession.createDataFrame(list(raw.arrived.items()), "source_file string, _file_arrived date")
    first = F.lit(config.product.first_day)
    arrived = F.greatest(F.coalesce(_arrived(config), "_file_arrived"), first)  # skips nulls
    return lines.join(F.broadcast(files), on="source_file", how="left").where(arrived == F.lit(day))


def arrivals(config: Config, source: Source, raw: RawLines) -> DataFrame:
    """For a source whose path names no day: `source_file`, and `first` and `last`, the days on which a line of it
    arrived; without files that have no clock at all."""
    lines = _valued(config, config.product.first_day, source, raw).withColumn("arrived", _arrived(config))
    days = [F.min("arrived").alias("first"), F.max("arrived").alias("last")]
    return lines.groupBy("source_file").agg(*days).where("last is not null")


def _arrived(config: Config) -> Column:
    return local_day(F.col("available_at"), config.product.zone)


def _without_duplicates(lines: DataFrame, earlier: DataFrame | None) -> DataFrame:
    """Of the good lines with one event_id the first stays: smallest (available_at, xxh64 of the line, the line).

    A line without an id is not good; a text of its own, which no id is, keeps such lines from coming together.
    """
    good, bytes_ = F.col("fate").isNull(), F.col("line")
    alone = F.concat(F.lit("\0"), F.hex(F.xxhash64(bytes_)))
    order = Window.partitionBy("_id").orderBy(~good, "available_at", F.xxhash64(bytes_), bytes_)
    again = good & (F.row_number().over(order) > 1)
    fate = F.coalesce(F.col("fate"), F.when(again, F.lit(DUPLICATE)))
    ranked = lines.withColumn("_id", F.coalesce(F.col(f"{VALUE}event_id"), alone)).withColumn("fate", fate)
    if earlier is not None:
        seen = earlier.select(F.col("event_id").alias("_id"), F.lit(True).alias("_seen")).distinct()
        ranked = ranked.join(seen, on="_id", how="left")
        ranked = ranked.withColumn("fate", F.coalesce(F.col("fate"), F.when(F.col("_seen"), F.lit(DUPLICATE))))
    return ranked.withColumn("fate", F.coalesce(F.col("fate"), F.lit(KEPT)))


def _kept(judged: DataFrame) -> DataFrame:
    return judged.where(F.col("fate") == KEPT)


def _events(config: Config, kept: DataFrame) -> DataFrame:
    columns = schemas.events(config)
    return _shaped(
        with_bots(
            config, _shaped(kept, {k: v for k, v in columns.items() if k not in ("bot_rule", "bot_available_at")})
        ),
        columns,
    )


def _shaped(table: DataFrame, columns: Columns) -> DataFrame:
    """The schema's columns in its order; one that the source does not declare is null."""
    return table.select(
        *[
            (F.col(name) if name in table.columns else F.lit(None)).cast(type_).alias(name)
            for name, type_ in columns.items()
        ]
    )


def _quarantine(name: str, judged: DataFrame) -> DataFrame:
    rejected = judged.where(~F.col("fate").isin(*NOT_REJECTED))
    return rejected.select(F.lit(name).alias("source"), "source_file", "line", F.col("fate").alias("rule"), "detail")


def _count(name: str, judged: DataFrame) -> DataFrame:
    return judged.groupBy("fate").agg(F.count("*").alias("lines")).select(F.lit(name).alias("source"), "fate", "lines")


def _union(tables: list[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, tables)
