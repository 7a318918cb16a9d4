"""Whether a day looks like the days before it: every check of [drift] on every column, from published statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pipeline.days import Day, add_days, days_between
from pipeline.statistics.columns import TABLES, dataset_of
from pipeline.statistics.published import ColumnStatistics, DayStatistics, read_statistics
from pipeline.statistics.stability import Group, groups_of, psi
from pipeline.storage import Warehouse

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.config.drift import Drift, Level

State = Literal["same", "warn", "fail"]
OF_ANY_DAY = ("null_rate", "unknown_rate")
AGAINST_REFERENCE = ("psi", "null_rate_change", "unknown_rate_change", "label_rate_change")


@dataclass(frozen=True)
class Finding:
    """What one check found of a column, or (column None) of the rows of a dataset."""

    dataset: str
    column: str | None
    check: str
    value: float
    level: Level
    place: str
    """Where in the config the level stands."""
    kind: str = ""
    """Of the column."""
    reference: float | None = None
    """The rate, or the rows a day, of the reference days."""
    day: float | None = None
    groups: tuple[Group, ...] = ()

    @property
    def state(self) -> State:
        """By the level."""
        if self.level.fail is not None and self.value > self.level.fail:
            return "fail"
        return "warn" if self.level.warn is not None and self.value > self.level.warn else "same"


@dataclass(frozen=True)
class Verdict:
    """Everything that was found of a day."""

    day: Day
    reference_days: tuple[Day, ...]
    not_judged: str = ""
    """Why the day is not held against days before it, if so."""
    accepted: bool = False
    findings: tuple[Finding, ...] = ()

    def of(self, state: State) -> list[Finding]:
        """The findings in a state, the furthest beyond its limit first."""
        found = [finding for finding in self.findings if finding.state == state]
        return sorted(
            found, key=lambda finding: (-_excess(finding), finding.dataset, finding.column or "", finding.check)
        )

    @cached_property
    def outcome(self) -> str:
        """In a word: passed, accepted, refused or not judged."""
        if self.of("fail"):
            return "accepted" if self.accepted else "refused"
        return "not judged" if self.not_judged else "passed"


def judge(config: Config, warehouse: Warehouse, day: Day) -> Verdict:
    """Hold a day's statistics against those of its reference days. What was not published is not judged, and said."""
    if config.drift is None:
        return Verdict(day, (), "the config has no [drift]")
    today = read_statistics(warehouse, day)
    if today is None:
        return Verdict(day, (), f"the day has no statistics. Build them first: {config.command('day', DT=day)}")
    wanted, first = config.drift.reference_days, add_days(config.product.first_day, config.drift.warm_up_days)
    days = days_between(add_days(day, -wanted), add_days(day, -1), first)
    known = {one: found for one in days if (found := read_statistics(warehouse, one)) is not None}
    reason = _too_few(config, first, days, known)
    findings = list(_findings(config, today, [] if reason else list(known.values())))
    return Verdict(day, tuple(known), reason, day in config.drift.accepted_days, tuple(findings))


def _too_few(config: Config, first: Day, days: Sequence[Day], known: Mapping[Day, DayStatistics]) -> str:
    """Why there is nothing to hold the day against; empty where there is."""
    assert config.drift is not None
    wanted = config.drift.reference_days
    if missing := [one for one in days if one not in known]:
        command = config.command("backfill", FROM=missing[0], TO=missing[-1])
        return f"{len(missing)} of {wanted} reference days have no statistics. Build them first: {command}"
    if len(known) < wanted:
        return f"{len(known)} of {wanted} reference days are there yet ($.drift.reference_days, from {first} on)"
    return ""


def _findings(config: Config, today: DayStatistics, reference: Sequence[DayStatistics]) -> Iterator[Finding]:
    assert config.drift is not None
    names = {dataset_of(config, table): table for table in TABLES}
    for table in TABLES:
        yield from _rows_change(config.drift, dataset_of(config, table), today, reference)
    for key, column in today.items():
        if column.dataset in names:
            before = [of_day[key] for of_day in reference if key in of_day]
            complete = len(before) == len(reference) > 0
            yield from _of_column(config.drift, names[column.dataset], column, before, complete)


def _of_column(
    drift: Drift, table: str, column: ColumnStatistics, before: Sequence[ColumnStatistics], complete: bool
) -> Iterator[Finding]:
    """`complete`: every reference day knows the column; otherwise only what needs no reference is checked."""
    enough = all(one.rows >= drift.least_rows for one in (column, *before))
    checks = (*OF_ANY_DAY, *AGAINST_REFERENCE) if complete and enough else OF_ANY_DAY
    for check in checks:
        level, place = drift.level(table, column.column, check)
        found = None if level is None else _measured(check, column, before)
        if level is not None and found is not None:
            value, reference, day, groups = found
            yield Finding(
                column.dataset, column.column, check, value, level, place, column.kind, reference, day, groups
            )


Measured = tuple[float, float | None, float | None, tuple[Group, ...]]


def _measured(check: str, column: ColumnStatistics, before: Sequence[ColumnStatistics]) -> Measured | None:
    """Value, reference, day and groups of a check; None where it means nothing of such a column."""
    if check == "psi":
        groups = groups_of(before, column)
        return None if groups is None else (psi(groups), None, None, tuple(groups))
    rate = check.removesuffix("_change")
    day = getattr(column, rate)
    if day is None:
        return None
    if check in OF_ANY_DAY:
        return day, None, day, ()
    reference = _rate(rate, before)
    change = relative_change(day, reference) if check == "label_rate_change" else abs(day - reference)
    return change, reference, day, ()


def _rate(rate: str, before: Sequence[ColumnStatistics]) -> float:
    """Of the reference days together."""
    counted = {"null_rate": "nulls", "unknown_rate": "unknown", "label_rate": "positive"}[rate]
    rows = sum(one.rows for one in before)
    return sum(getattr(one, counted) or 0 for one in before) / rows if rows else 0.0


def relative_change(day: float, reference: float) -> float:
    """How far the day is from the reference, of the reference; infinite where there was nothing."""
    if not reference:
        return 0.0 if not day else math.inf
    return abs(day - reference) / reference


def _rows_change(
    drift: Drift, dataset: str, today: DayStatistics, reference: Sequence[DayStatistics]
) -> Iterator[Finding]:
    counts = [_rows_of(dataset, of_day) for of_day in reference]
    if drift.rows_change is None or not counts or None in counts:
        return
    mean, rows = sum(count or 0 for count in counts) / len(counts), _rows_of(dataset, today) or 0
    if mean >= drift.least_rows:
        change = relative_change(rows, mean)
        yield Finding(dataset, None, "rows_change", change, drift.rows_change, "$.drift.rows_change", "", mean, rows)


def _rows_of(dataset: str, of_day: DayStatistics) -> int | None:
    """Rows of the dataset itself: those of its key (a delay's row counts positives only)."""
    return next((one.rows for one in of_day.values() if one.dataset == dataset and one.kind == "key"), None)


def _excess(finding: Finding) -> float:
    """How many times the limit it is."""
    limit = finding.level.fail if finding.level.fail is not None else finding.level.warn
    return finding.value / limit if limit else math.inf
