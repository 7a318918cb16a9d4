"""What a verdict says to a person: one line, or a message with both histograms and the query that shows the rows."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.errors import Refused
from pipeline.features import NULL_ID
from pipeline.statistics.judge import Finding, Verdict
from pipeline.statistics.published import STATISTICS
from pipeline.statistics.stability import Group
from pipeline.storage import Warehouse, read_manifest

BAR = 20
"""Characters of the longest bar."""
SHOWN = 5
"""Findings that are told at length; the page has them all."""


def summary_of(verdict: Verdict) -> str:
    """`passed: 61 checks, 2 warnings`."""
    failed, warned = len(verdict.of("fail")), len(verdict.of("warn"))
    said = f"{verdict.outcome}: {len(verdict.findings)} checks, {failed} failed, {warned} warnings"
    return f"{said}; {verdict.not_judged}" if verdict.not_judged else said


def refuse(warehouse: Warehouse, verdict: Verdict, page: str) -> None:
    """Raise Refused, telling the worst findings at length, when the day is refused."""
    if verdict.outcome != "refused":
        return
    failed = verdict.of("fail")
    told = [_told(warehouse, verdict, finding) for finding in failed[:SHOWN]]
    more = [f"{_name(finding)}: {_breach(finding)}" for finding in failed[SHOWN:]]
    raise Refused("\n\n".join([_head(verdict), *told, *(["\n".join(more)] if more else []), _way_out(verdict, page)]))


def _head(verdict: Verdict) -> str:
    days = verdict.reference_days
    against = f"held against {days[0]}..{days[-1]}, " if days and not verdict.not_judged else ""
    return f"{verdict.day} is refused: {against}{len(verdict.of('fail'))} of {len(verdict.findings)} checks fail"


def _way_out(verdict: Verdict, page: str) -> str:
    return (
        f"All findings are on {page}. Mend what makes the data and build the day again; if it is as it should be, "
        f"raise the limit of the column ($.drift.examples.<column>), or add {verdict.day} to $.drift.accepted_days"
    )


def _told(warehouse: Warehouse, verdict: Verdict, finding: Finding) -> str:
    lines = [f"{_name(finding)}: {_breach(finding)}", *_histograms(finding.groups)]
    return "\n".join([*lines, f"  rows: {query(warehouse, verdict, finding)}"])


def _name(finding: Finding) -> str:
    return finding.dataset if finding.column is None else f"{finding.dataset}, column {finding.column}"


def _breach(finding: Finding) -> str:
    limit = f"{finding.check} is {finding.value:.4g}, above {finding.level.fail:g} ({finding.place}.fail)"
    if finding.day is None:
        return limit
    was = "" if finding.reference is None else f", was {finding.reference:.4g}"
    return f"{limit}: {finding.check.removesuffix('_change')} is {finding.day:.4g}{was}"


def _histograms(groups: tuple[Group, ...]) -> Iterator[str]:
    """The reference days and the day side by side, a group a line."""
    if not groups:
        return
    references, days = sum(group.reference for group in groups) or 1, sum(group.day for group in groups) or 1
    longest = max(max(group.reference / references, group.day / days) for group in groups) or 1.0
    width = max(len(group.name) for group in groups)
    yield f"  {'':<{width}}  {'reference days':<{BAR + 9}}day"
    for group in groups:
        before, now = group.reference / references, group.day / days
        yield f"  {group.name:<{width}}  {_bar(before, longest)}  {_bar(now, longest)}".rstrip()


def _bar(share: float, longest: float) -> str:
    return f"{share:6.1%} {'#' * round(BAR * share / longest):<{BAR}}"


def query(warehouse: Warehouse, verdict: Verdict, finding: Finding) -> str:
    """Spark SQL that shows what a finding counts."""
    place = _place(warehouse, verdict, finding.dataset)
    if finding.column is None:
        return f"SELECT hour(event_time) AS hour, count(*) AS n FROM {place} GROUP BY 1 ORDER BY 1"
    if finding.column.startswith("known_after_s_"):  # no column of the examples: their statistics alone hold it
        counted = _place(warehouse, verdict, STATISTICS)
        return f"SELECT inline(histogram) FROM {counted} WHERE `column` = '{finding.column}' ORDER BY 1"
    if finding.check.startswith("null_rate"):
        or_null_id = f" OR `{finding.column}` = {NULL_ID}" if finding.kind == "id" else ""
        return f"SELECT * FROM {place} WHERE `{finding.column}` IS NULL{or_null_id} LIMIT 20"
    return f"SELECT `{finding.column}`, count(*) AS n FROM {place} GROUP BY 1 ORDER BY n DESC, 1 LIMIT 100"


def _place(warehouse: Warehouse, verdict: Verdict, dataset: str) -> str:
    """The folder that holds just the files that the manifest lists."""
    folder = warehouse.folder(dataset, verdict.day)
    files = read_manifest(folder).files
    return f"parquet.`{folder}/{files[0].name.split('/')[0]}`" if files else f"parquet.`{folder}`"
