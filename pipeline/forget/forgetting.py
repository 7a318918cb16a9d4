"""A user is forgotten: found everywhere, then taken out, in an order that a killed job can take up again.

1  find       one pass over raw files and datasets
2  write down which steps are up to date (pipeline.forget.journal): from here on nothing else runs
3  erase      datasets, then raw files, then (when asked) models; each is judged by itself, so what is done stays done
4  leftovers  superseded files, the steps of trainings
5  sign       steps that were up to date get the keys that their changed inputs give them: no day is built again
6  pages      written again

Sums that are not split by user keep what he did: what is counted of an item, a day or a group names nobody. A line of
his that is delivered after that is a new event of a new user, with another id; so is one that is delivered again, for
nothing remembers that it came before. A day that is built again later is built from lines without his, so its sums
lack him too; his ids stay taken. Only the vocabularies of a day under a newer one are then refused (pipeline.runner):
without him others of that day came in another order, and would get other ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from pipeline.compaction import steps_of
from pipeline.config import Config
from pipeline.days import parse_day
from pipeline.errors import Refused
from pipeline.forget import models, pages, raw_files
from pipeline.forget.datasets import Datasets, Holding
from pipeline.forget.journal import Journal, begin, finish, unfinished
from pipeline.forget.leftovers import remove_leftovers
from pipeline.forget.person import Person, person_of
from pipeline.forget.raw_files import Delivery
from pipeline.raw import RawLogs
from pipeline.runner import Runner
from pipeline.steps.clean_logs import raw_lines
from pipeline.storage import Warehouse, files_at

LOG = "forgotten.jsonl"
"""Beside the datasets: when somebody was forgotten, and how much that was; not who."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """What says something of a user: files of deliveries with so many lines, days of datasets, pages, models."""

    raw: list[tuple[Delivery, list[tuple[str, int]]]]
    datasets: list[Holding]
    pages: list[str]
    models: list[str]

    def table(self, with_models: bool) -> list[list[str]]:
        """(what, where, rows), without any id."""
        rows = [[f"raw/{one.name}", path, f"{lines:,}"] for one, files in self.raw for path, lines in files]
        held = sorted(self.datasets, key=lambda one: (one.dataset, one.day))
        rows += [[one.dataset, str(one.day), f"{one.rows:,}"] for one in held]
        rows += [["reports", day, ""] for day in self.pages]
        return rows + [["model", folder, ""] for folder in self.models if with_models]


@dataclass(frozen=True)
class Forgotten:
    """What was taken out (or would be), and the folders of models that still know him."""

    table: list[list[str]]
    models: list[str]


class Forgetting:
    """Of one user, in one product."""

    def __init__(self, config: Config, spark: SparkSession, user: str, with_models: bool = False) -> None:
        """Raises ConfigError, Refused as `person_of` does; Refused while another user's forgetting is unfinished."""
        self._config, self._spark, self._user, self._with_models = config, spark, user.strip(" "), with_models
        self._warehouse = Warehouse.of(config)
        self._person: Person = person_of(config, self._warehouse, user)
        self._journal = unfinished(self._warehouse)
        if self._journal is not None and not self._journal.is_of(self._user):
            raise Refused(
                f"another user's forgetting was interrupted in {self._warehouse.path()}: finish that first, by the "
                "same command with that user's id"
            )
        raw = RawLogs(config, self._warehouse, spark)
        own = config.product.base is None  # else the raw files are the base's, and so is forgetting there
        found = raw_files.deliveries(config, raw, self._person) if own else ()
        self._deliveries = [one for one in found if one.paths]
        self._datasets = Datasets(config, spark, self._person, self._headers())

    def dry_run(self) -> Forgotten:
        """What would be taken out. Nothing is changed."""
        found = self._find()
        return Forgotten(found.table(self._with_models), found.models)

    def run(self, say: Say = lambda what: None) -> Forgotten:
        """Take him out. Killed at any instant, the same call goes on where it stopped."""
        say("find")
        found = self._find()
        if found.table(self._with_models) and self._journal is None:
            self._journal = self._begin(found)
        if self._journal is not None:
            self._erase(found, say)
        say("leftovers")
        remove_leftovers(self._warehouse)
        raw_files.remove_unlisted(self._warehouse, [one.folder for one in self._deliveries if one.folder])
        if self._journal is not None:
            say("sign")
            self._finish(self._journal)
        table = [] if self._journal is None else self._journal.found
        return Forgotten(table, models.knowing(self._warehouse, self._person))

    def _find(self) -> Found:
        raw = [(one, raw_files.holdings(self._spark, self._config, one, self._person)) for one in self._deliveries]
        held = self._datasets.holdings()
        shown = {one.day for one in held if one.dataset == "statistics"}
        days = [str(day) for day in pages.naming(self._warehouse, self._person, shown)]
        known = models.knowing(self._warehouse, self._person)
        return Found([(one, files) for one, files in raw if files], held, days, known)

    def _begin(self, found: Found) -> Journal:
        runner = Runner(self._config, self._spark)
        current = [
            [step.name, str(day)]
            for step in steps_of(self._config)
            for day in sorted({day for made in step.writes(self._config) for day in self._warehouse.days(made.name)})
            if runner.is_current(step, day)
        ]
        return begin(self._warehouse, self._user, current, found.pages, found.table(self._with_models))

    def _erase(self, found: Found, say: Say) -> None:
        for holding in found.datasets:
            say(f"{holding.dataset} {holding.day}")
            self._datasets.erase(holding)
        self._datasets.release()
        for delivery, _ in found.raw:
            say(f"raw/{delivery.name}")
            raw_files.rewrite(self._spark, self._config, delivery, self._person)
        if self._with_models:
            say("models")
            models.replace(self._warehouse, self._person)

    def _finish(self, journal: Journal) -> None:
        """The road goes on as if it had been built so."""
        runner, steps = Runner(self._config, self._spark), {step.name: step for step in steps_of(self._config)}
        for name, day in journal.current:
            runner.sign_again(steps[name], parse_day(day))
        for day in journal.pages:
            pages.write_again(self._config, self._warehouse, parse_day(day))
        self._log(journal)
        finish(self._warehouse)

    def _log(self, journal: Journal) -> None:
        path, storage = self._warehouse.path(LOG), files_at(self._warehouse.root)
        rows: dict[str, int] = {}
        for what, _, count in journal.found:
            rows[what] = rows.get(what, 0) + int(count.replace(",", "") or 1)
        line = json.dumps({"finished_at": datetime.now(UTC).isoformat(timespec="seconds"), "taken_out": rows}) + "\n"
        before = storage.read(path) if storage.exists(path) else b""
        storage.write_atomic(path, before + line.encode())

    def _headers(self) -> dict[str, list[str | None]]:
        """Those that the files of each delimited source have: the lines in quarantine lie under one of them."""
        found: dict[str, dict[str | None, None]] = {}
        for one in self._deliveries:
            if one.source.format == "csv" and one.source.header:
                header = raw_lines(self._spark, one.paths, one.source).header
                found.setdefault(one.name, {})[header] = None
        return {name: list(headers) for name, headers in found.items()}
