"""A config in plain words: what will be read, what counts as a clean event, which inputs the model gets and from what.

The sentences say what the config says, nothing of the data: whoever wrote the TOML can see whether it means what they
meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.cleaning import Rate, Regularity, Speed
from pipeline.config.columns import Column
from pipeline.config.explain_inputs import inputs
from pipeline.config.explain_labels import label_words, negatives_words
from pipeline.config.product import Config
from pipeline.config.sessions import Sessions
from pipeline.config.sources import Source
from pipeline.config.table_sources import FileSplit, ImageFiles, TableSource
from pipeline.config.times import TimeFormat
from pipeline.config.training import Threshold
from pipeline.features import feature_specs
from pipeline.words import INDENT, days, duration, table


def explain(config: Config) -> str:
    """The whole config, a section a topic."""
    sections = {
        f"Product {config.product.name}": _product(config),
        "What is read": _sources(config),
        f"What is a clean {'event' if config.table is None else 'row'}": _cleaning(config),
        **({} if config.sessions is None else {"What is a session": _sessions(config.sessions)}),
        "What is learnt": _labels(config),
        f"The model's {len(feature_specs(config))} inputs": inputs(config),
        "How it is trained and judged": _training(config),
    }
    return "\n\n".join(
        "\n".join([title, *((INDENT + line).rstrip() for line in lines)]) for title, lines in sections.items()
    )


def _product(config: Config) -> Iterator[str]:
    product = config.product
    yield f"Datasets lie in {product.warehouse}/{product.name}/<dataset>/dt=<day>/."
    if product.base is not None:
        yield f"Events, sums, profiles and vocabularies are those of {product.base!r}, which are read, never written."
    if config.table is not None:
        yield f"It is a table of rows without a clock; its one day is {product.first_day}."
        return
    yield f"A day begins at midnight of {product.day_zone}; the first one is {product.first_day}."
    yield f"The profile of a day is used from {duration(config.profiles.ready_after_s)} after its end."


def _sources(config: Config) -> Iterator[str]:
    fills = {config.datasets.events: ["events"], config.datasets.rows or "": ["rows"]}
    for entity, filled in config.datasets.attributes.items():
        fills.setdefault(filled, []).append(f"attributes of each {entity}")
    if config.datasets.rooms is not None:
        fills.setdefault(config.datasets.rooms, []).append("rooms")
    for name, source in config.sources.items():
        use = f"fills {', '.join(fills[name])}" if name in fills else "is not used by any dataset"
        what = "rows" if source.format == "parquet" else "lines"
        yield f"{name} {use}: {source.format} {what} of {source.path or 'the files of each split'}"
        yield from (
            INDENT + line for line in (_splits(source) if isinstance(source, TableSource) else [_arrival(source)])
        )
        columns = source.columns.items()
        yield from table([(INDENT + column, _type(declared), _origin(declared)) for column, declared in columns])


def _arrival(source: Source) -> str:
    if source.has_day:
        return f"The path names the day on which a line arrived, usually {duration(source.delay_s)} after it happened."
    left_out = "" if source.not_before is None else f" What happened before {source.not_before} is only counted."
    return f"The path names no day: a line arrives {duration(source.delay_s)} after it happened.{left_out}"


def _splits(table: TableSource) -> Iterator[str]:
    """Which rows are for what."""
    for name in table.split.names if isinstance(table.split, FileSplit) else ():
        files = getattr(table.split, name)
        said = f"{files.images} with {files.labels}" if isinstance(files, ImageFiles) else files
        yield f"For {name}: the rows of {said}"
    if not isinstance(table.split, FileSplit):
        said = ", ".join(f"{key} = {value}" for key, value in table.split.model_dump().items() if value)
        yield f"Which rows are for what: {said}"


def _type(column: Column) -> str:
    return "time" if column.time is not None else "text" if column.type == "string" else column.type


def _origin(column: Column) -> str:
    said = [f'field "{column.source}"' if column.source is not None else f"sql {column.sql}"]
    if column.time is not None:
        said.append("as " + " or ".join(map(_written, column.time)))
    if column.values is not None:
        words = [raw if raw == value else f"{raw} -> {value}" for raw, value in column.values.items()]
        said.append("one of " + ", ".join(words))
    bounds = [("from", column.min), ("to", column.max)]
    if said_bounds := " ".join(f"{word} {bound:,}" for word, bound in bounds if bound is not None):
        said.append(said_bounds)
    if column.default is not None:
        said.append(f"{column.default!r} where there is none")
    if column.required:
        said.append("required")
    if column.pii:
        said.append("hashed with the key: it names a person")
    return ", ".join(said)


def _written(time: TimeFormat) -> str:
    zone = f" of {time.zone}" if time.zone is not None else ""
    return time.name or f"{time.pattern}{zone}"


def _cleaning(config: Config) -> Iterator[str]:
    clean = config.clean
    if config.table is not None:
        yield f"A line may have {clean.max_line_bytes:,} bytes."
    else:
        yield from _cleaning_of_events(config)
    yield "A rule fails the job where it rejects more than this share of a source's lines:"
    yield from (f"{INDENT}{rule} {share:g}" for rule, share in clean.budgets.items())


def _cleaning_of_events(config: Config) -> Iterator[str]:
    clean = config.clean
    yield f"A line sent again is known for {days(clean.lookback_days)}; an event older than that is too_late."
    yield f"A clock may run ahead by {duration(clean.future_tolerance_s)}."
    yield f"A line may have {clean.max_line_bytes:,} bytes."
    if config.datasets.rooms is not None:
        yield f"An event belongs to a room that is on air, or was until {duration(clean.on_air_grace_s)} ago."
    if clean.bots is not None:
        yield "In a clock hour a user's events are marked as a robot's by the first of these:"
        yield from (f"{INDENT}{name}: {_bots(rule)}" for name, rule in clean.bots.rules.items())


def _bots(rule: Rate | Regularity | Speed) -> str:
    if isinstance(rule, Rate):
        return f"more than {rule.per_hour} events {rule.event}"
    if isinstance(rule, Regularity):
        return f"{rule.at_least} or more {rule.event}, whose pauses spread by at most {rule.spread:.0%} of their mean"
    return f"{rule.times} times or more two events {rule.event} within {rule.within_ms} ms"


def _sessions(sessions: Sessions) -> Iterator[str]:
    types = "any type" if sessions.events is None else " or ".join(sessions.events)
    yield f"Events of {types} of one user that are at most {duration(sessions.gap_s)} apart, from first to last."
    yield f"An event that arrives more than {duration(sessions.settle_s)} after it happened is left out."
    yield f"A session is over, and known, {duration(sessions.gap_s + sessions.settle_s)} after its last event."


def _labels(config: Config) -> Iterator[str]:
    for name, label in config.labels.items():
        learnt = " This is what the model learns." if name == config.training.label else ""
        yield f"{name}: {label_words(label)}{learnt}"
    if config.negatives is not None:
        yield from negatives_words(config.negatives, config.event_labels[config.training.label].of)


def _training(config: Config) -> Iterator[str]:
    training, model = config.training, config.model
    layers = ", ".join(map(str, model.hidden))
    epochs = "once" if training.epochs == 1 else f"{training.epochs} times over"
    learnt = f"{days(training.days)} of examples" if config.table is None else "the split train"
    yield f"{model.kind}, layers of {layers}; {learnt}, {epochs}."
    yield (
        f"Batches of {training.batch_size:,} in {training.shards} shards by {training.workers} processes; "
        f"{training.optimizer.kind} at {training.optimizer.learning_rate:g}, "
        f"tables {training.optimizer.tables.kind} at {training.optimizer.tables.learning_rate:g}."
    )
    judged = f"the {days(training.evaluation_days)} after them"
    if config.table is not None:
        judged = f"the split {training.evaluate_on or config.table.split.names[1]}"
    yield f"Judged on {judged}; it goes into service if"
    yield from (f"{INDENT}{metric} {_threshold(threshold)}" for metric, threshold in config.gate.items())
    if config.table is not None:
        return
    recommend = config.recommend
    pool = "the rooms on air" if recommend.candidates == "on_air" else f"the day's {recommend.pool} most frequent items"
    yield f"Users of the last {days(recommend.active_days)} get the best {recommend.top} of {pool}."


def _threshold(threshold: Threshold) -> str:
    words = {
        "at_least": "is at least {:g}",
        "at_most": "is at most {:g}",
        "change_at_least": "is at most {:g} below the model in service",
        "change_at_most": "is at most {:g} above the model in service",
    }
    said = threshold.model_dump(exclude_none=True)
    return " and ".join(words[key].format(-said[key] if key == "change_at_least" else said[key]) for key in said)
