"""The road of a table of labelled rows: no profiles, no clocks, and one day, the product's first.

raw -> clean_table -> rows of each split, quarantine
                      rows for training -> build_vocab
                      rows, vocabularies -> encode_rows -> examples of each split -> (train)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import functions as F

from pipeline import schemas
from pipeline.config import ColumnSplit, Config, FileSplit, TableSource
from pipeline.datasets import quarantine, vocabulary
from pipeline.days import Day
from pipeline.errors import ConfigError, DamagedData, Refused
from pipeline.features import vocabulary_names
from pipeline.pii import fingerprint, pii_key
from pipeline.raw import Outside, RawLogs
from pipeline.raw_table import ALL, checked_pairs, pairs_of, table_files
from pipeline.road import DATA_STEPS
from pipeline.road.clean import check_accounting
from pipeline.road.shared import CLOCKS
from pipeline.road.vocab import FORGOTTEN, taken
from pipeline.step import Dataset, Input, Output, Step, Tables
from pipeline.steps.build_sessions import declared_sessions
from pipeline.steps.build_vocab import build_vocab, vocabulary_values
from pipeline.steps.clean_logs import KEPT, raw_lines
from pipeline.steps.clean_logs.lines import RawLines
from pipeline.steps.clean_table import CleanTable, clean_table, in_two_splits
from pipeline.steps.clean_table.images import image_rows
from pipeline.steps.clean_table.splits import unlisted
from pipeline.steps.encode_rows import encode_rows

SHOWN = 5
"""Of what is wrong with single rows, so many are named."""


def table_of(config: Config) -> TableSource:
    """The product's table; ConfigError where it has none."""
    if config.table is None:
        raise ConfigError(f"product {config.product.name!r} has events, no table of rows ($.datasets.rows)")
    return config.table


def rows(config: Config, split: str) -> Dataset:
    """The clean rows of a split."""
    return Dataset(f"rows/{split}", schemas.rows(config), ("row_id",))


def split_examples(config: Config, split: str) -> Dataset:
    """The examples of a split."""
    return Dataset(f"examples/{config.training.label}/{split}", schemas.examples(config), ("example_id",))


def _names(config: Config) -> tuple[str, ...]:
    return table_of(config).split.names


# ---- clean_table ---------------------------------------------------------------------------------------------------


def _outside(config: Config, day: Day, raw: RawLogs) -> list[Outside]:
    return list(table_files(config, raw).values())


def _lines(config: Config, tables: Tables, outside: Sequence[Outside]) -> tuple[dict[str, RawLines], int]:
    """Split -> its lines, and how many were delivered."""
    table = table_of(config)
    names = _names(config) if isinstance(table.split, FileSplit) else (ALL,)
    if table.format == "idx":
        assert table.shape is not None
        files = [checked_pairs(tables.spark, found, table.shape) for found in outside]
        read = [RawLines(image_rows(tables.spark, pairs_of(found), table.shape)) for found in files]
    else:
        files = list(outside)
        read = [raw_lines(tables.spark, found.paths, table) for found in files]
        _same_header(dict(zip(names, read, strict=True)))
    return dict(zip(names, read, strict=True)), sum(found.lines for found in files)


def _same_header(read: Mapping[str, RawLines]) -> None:
    headers = {lines.header: split for split, lines in read.items() if lines.header is not None}
    if len(headers) > 1:
        said = "; ".join(f"{split} has {header[:200]!r}" for header, split in headers.items() if header is not None)
        raise DamagedData(f"the files of a table must have the same header: {said}")


def _clean(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    name, (raw, delivered) = str(config.datasets.rows), _lines(config, tables, outside)
    key = pii_key(config)
    cleaned = clean_table(config, raw, key)
    counted = [(row["split"], row["fate"], int(row["lines"])) for row in cleaned.accounting.collect()]
    fates: dict[str, int] = {}
    for _, fate, lines in counted:
        fates[fate] = fates.get(fate, 0) + lines
    check_accounting(config, {name: fates}, {name: Outside(f"raw/{name}", (), "", "", delivered)})
    kept = {split: lines for split, fate, lines in counted if fate == KEPT}
    _check_splits(config, cleaned, kept)
    made = {f"rows/{split}": table for split, table in cleaned.rows.items()}
    return Output(
        {**made, "quarantine": cleaned.quarantine},
        {"accounting": {name: fates}, "pii_key": fingerprint(key)},
        release=cleaned.release,
    )


def _check_splits(config: Config, cleaned: CleanTable, kept: Mapping[str | None, int]) -> None:
    """Every row is in one split, and every split has a row."""
    table, place = table_of(config), f"$.sources.{config.datasets.rows}.split"
    if isinstance(table.split, ColumnSplit) and kept.get(None):
        stray = unlisted(cleaned.judged, table.split).orderBy(F.desc("rows"), "value").limit(SHOWN).collect()
        told = ", ".join(f"{row['value']!r} ({row['rows']} rows)" for row in stray)
        raise Refused(f"no split lists these texts of column {table.split.column!r}: {told}. List them in {place}")
    if table.key is not None:
        twice = in_two_splits(cleaned.judged, table.key).orderBy("key").limit(SHOWN).collect()
        if twice:
            told = ", ".join(f"{row['key']!r} in {' and '.join(row['splits'])}" for row in twice)
            raise Refused(f"rows of one {table.key!r} are in two splits: {told}. Look at the raw files, or at {place}")
    if empty := [split for split in table.split.names if not kept.get(split)]:
        raise Refused(
            f"split {', '.join(empty)} has no row; the rows are {dict(sorted((str(k), v) for k, v in kept.items()))}. "
            f"Look at the quarantine rules and at {place}"
        )


CLEAN = Step(
    "clean_table", ("product", "sources", "datasets", "clean", "labels"),
    ("pipeline.steps.clean_table", "pipeline.steps.clean_logs", "pipeline.idx", "pipeline.pii", *CLOCKS),
    lambda config, day: {}, lambda config: (*(rows(config, split) for split in _names(config)), quarantine(config)),
    _clean, _outside, lambda config: fingerprint(pii_key(config)),
)  # fmt: skip


# ---- build_vocab ---------------------------------------------------------------------------------------------------


def _vocab(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    forgotten = taken(tables, vocabulary_names(config), day)
    made = build_vocab(config, day, vocabulary_values(config, tables.expect("train"), {}), {}, forgotten)
    found = {f"vocab/{name}": table for name, table in made.tables.items()}
    return Output(found, {FORGOTTEN: forgotten}, release=made.release)


VOCAB = Step(
    "build_vocab", ("product", "datasets", "vocabularies"),
    ("pipeline.steps.build_vocab", "pipeline.days", "pipeline.features"),
    lambda config, day: {"train": Input(rows(config, "train"), (day,))},
    lambda config: tuple(map(vocabulary, vocabulary_names(config))), _vocab,
    settings=lambda config: list(vocabulary_names(config)),
)  # fmt: skip


# ---- encode_rows ---------------------------------------------------------------------------------------------------


def _encode_reads(config: Config, day: Day) -> Mapping[str, Input]:
    inputs = {f"rows_{split}": Input(rows(config, split), (day,)) for split in _names(config)}
    return inputs | {f"vocab_{column}": Input(vocabulary(column), (day,)) for column in vocabulary_names(config)}


def _encode(config: Config, day: Day, tables: Tables, outside: Sequence[Outside]) -> Output:
    known = {column: tables.expect(f"vocab_{column}") for column in vocabulary_names(config)}
    made = {
        split_examples(config, split).name: encode_rows(config, tables.expect(f"rows_{split}"), known)
        for split in _names(config)
    }
    return Output(made)


ENCODE = Step(
    "encode_rows", ("product", "datasets", "labels", "features", "training.label"),
    (
        "pipeline.steps.encode_rows", "pipeline.steps.clean_table.labels", "pipeline.steps.build_examples.encoding",
        "pipeline.features",
    ),
    _encode_reads, lambda config: tuple(split_examples(config, split) for split in _names(config)), _encode,
)  # fmt: skip

OWN_STEPS = ("build_examples", "build_statistics", "recommend")
"""What a product with a base does itself."""
TABLE_STEPS = (CLEAN, VOCAB, ENCODE)
"""What the data of a table takes, in order; training follows."""


def data_steps(config: Config) -> tuple[Step, ...]:
    """The steps of a product's data, whichever kind it is: those that write something of it, and no base does."""
    if config.product.base is not None:
        return tuple(step for step in DATA_STEPS if step.name in OWN_STEPS)
    steps = DATA_STEPS if config.table is None else TABLE_STEPS
    return tuple(step for step in steps if step.writes(config))


def step_named(config: Config, name: str) -> Step:
    """The step of pipeline.road of that name, or what stands for it on the road of a table."""
    from pipeline import road

    if config.table is None:
        if name == "SESSIONS":
            declared_sessions(config)
        found: Step = getattr(road, name)
        if config.product.base is not None and found.name not in OWN_STEPS:
            command = config.base.command("backfill", FROM=config.product.first_day, TO="...", STEP=found.name)
            raise ConfigError(f"{found.name} is done for the base, {config.product.base!r}, alone: {command}")
        return found
    known = {"CLEAN": CLEAN, "VOCAB": VOCAB, "EXAMPLES": ENCODE}
    if name not in known:
        step: Step = getattr(road, name)
        raise ConfigError(
            f"{step.name} does not apply to {config.product.name!r}: a table of rows has no clock, so no profiles, "
            f"no recent items and no candidates on air. Its road is {', '.join(s.name for s in TABLE_STEPS)}, train"
        )
    return known[name]
