"""The page of a day: one self-contained HTML file, and the numbers on it as JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.config import Config
from pipeline.days import Day
from pipeline.errors import PipelineError
from pipeline.report import pictures
from pipeline.report.numbers import (
    KEPT,
    NO_LINES,
    Accounting,
    accounting,
    artifact_json,
    damaged_files,
    fates_of,
    label_rates,
    learning_curve,
    line_counts,
    oracle_share,
    relative,
    rounded,
    serving_model,
)
from pipeline.report.quality import quality
from pipeline.storage import Warehouse, files_at

TEMPLATE = "page.html"
PICTURES = ("rejected", "label_rates", "areas", "curve", "calibration", "histograms", "labels")
"""What may be drawn; a picture without numbers stays empty."""
DAYS = 30
"""A page goes back so far: a product's thousandth day has a page as fast as its hundredth."""


def write_page(config: Config, warehouse: Warehouse, day: Day, extra: Mapping[str, Any]) -> str:
    """Write `reports/dt=<day>/index.html` and `numbers.json`; returns the path of the page.

    extra  what this run knows: artifact (folder), metrics, gate, baseline_auc, seconds_by_step; each may be absent,
           then those of the model that serves are read.
    Where jinja2 or matplotlib are not installed the numbers are still written, and the page says what to install.
    """
    folder = warehouse.folder("reports", day)
    numbers = page_numbers(config, warehouse, day, extra)
    storage = files_at(folder)
    storage.write_atomic(f"{folder}/numbers.json", (json.dumps(numbers, indent=1) + "\n").encode())
    storage.write_atomic(f"{folder}/index.html", _page_or_notice(numbers).encode())
    return f"{folder}/index.html"


def page_numbers(config: Config, warehouse: Warehouse, day: Day, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page shows."""
    days = [known for known in warehouse.days("events") if known <= day][-DAYS:]
    counted = accounting(warehouse, days)
    found: dict[str, Any] = rounded(
        {
            "product": config.product.name,
            "day": str(day),
            "label": config.training.label,
            "quality": quality(config, warehouse, day),
            "accounting": counted,
            "damaged_files": damaged_files(warehouse, days),
            "events": {"source": config.datasets.events, **line_counts(fates_of(counted, config.datasets.events))},
            "label_rates": label_rates(config, warehouse, days),
            "model": _model(config, warehouse, day, extra),
            "seconds_by_step": dict(extra.get("seconds_by_step", {})),
        }
    )
    return found


def _model(config: Config, warehouse: Warehouse, day: Day, extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is known of the model: this run's, or the one that serves on the day."""
    folder = extra.get("artifact") or serving_model(config, warehouse, day)
    if folder is None:
        return None
    metrics = {**artifact_json(folder, "metrics.json"), **extra.get("metrics", {})}
    verdict = artifact_json(folder, "gate.json")
    return {
        "artifact": relative(warehouse, folder),
        "metrics": {name: value for name, value in metrics.items() if isinstance(value, int | float)},
        "calibration": metrics.get("calibration") or [],
        "baseline_auc": extra.get("baseline_auc"),
        "oracle_share": oracle_share(metrics.get("auc"), metrics.get("oracle_auc")),
        "gate": {**verdict, "outcome": verdict.get("outcome", extra.get("gate", "not judged"))},
        "curve": learning_curve(config, warehouse, folder),
    }


def _page_or_notice(numbers: Mapping[str, Any]) -> str:
    try:
        return render(numbers)
    except PipelineError as error:
        notice = f"{html.escape(str(error))}. The numbers are in numbers.json beside this file."
        return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Report</title><p>{notice}</p></html>\n'


def render(numbers: Mapping[str, Any]) -> str:
    """The page for these numbers. Raises PipelineError, saying what to install, where a package is absent."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise PipelineError(
            "the report's page needs jinja2, which is not installed. Type: pip install 'tsrank[report]'"
        ) from None
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    drawn = dict.fromkeys(PICTURES, "") | {name: _marked(Markup, one) for name, one in _pictures(numbers).items()}
    rows = accounting_rows(numbers["accounting"])
    return environment.get_template(TEMPLATE).render(**numbers, pictures=drawn, accounting_rows=rows)


def accounting_rows(counted: Accounting) -> list[dict[str, Any]]:
    """One row a source and fate: lines by day and in all."""
    sources = sorted({source for of_day in counted.values() for source in of_day})
    return [
        {"source": source, "fate": fate, "total": total, "days": _lines_by_day(counted, source, fate)}
        for source in sources
        for fate, total in fates_of(counted, source).items()
    ]


def _marked(markup: Callable[[str], str], drawn: str | list[str]) -> str | list[str]:
    """What was drawn is no text of the data."""
    return markup(drawn) if isinstance(drawn, str) else [markup(one) for one in drawn]


def _pictures(numbers: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Only what there are numbers for."""
    drawn: dict[str, str | list[str]] = _quality_pictures(numbers["quality"])
    days, by_rule = _rejected(numbers["accounting"], numbers["events"]["source"])
    if by_rule:
        drawn["rejected"] = pictures.rejected_lines(days, by_rule)
    if rates := numbers["label_rates"]:
        names = [_short(row["day"]) for row in rates]
        drawn["label_rates"] = pictures.rates_by_day(names, [row["rate"] for row in rates])
    return drawn | (_model_pictures(numbers["model"]) if numbers["model"] else {})


def _quality_pictures(found: Mapping[str, Any]) -> dict[str, str | list[str]]:
    labels, worst = found["labels"], found["histograms"]
    return {
        "histograms": [pictures.shares(f"{one['name']}, psi {one['psi']:.3f}", one["groups"]) for one in worst],
        "labels": [pictures.known_in_time(one["after_s"], one["known"], one["known_before"]) for one in labels],
    }


def _rejected(counted: Accounting, source: str) -> tuple[list[str], dict[str, list[int]]]:
    """Days, and lines not kept by fate."""
    fates = [fate for fate in fates_of(counted, source) if fate not in (KEPT, *NO_LINES)]
    return [_short(day) for day in counted], {fate: _lines_by_day(counted, source, fate) for fate in fates}


def _lines_by_day(counted: Accounting, source: str, fate: str) -> list[int]:
    return [sources.get(source, {}).get(fate, 0) for sources in counted.values()]


def _model_pictures(model: Mapping[str, Any]) -> dict[str, str | list[str]]:
    metrics = model["metrics"]
    values = {
        "this model": metrics.get("auc"), "gradient-boosted trees": model["baseline_auc"],
        "oracle": metrics.get("oracle_auc"),
    }  # fmt: skip
    known = {name: value for name, value in values.items() if value is not None}
    drawn: dict[str, str | list[str]] = {"areas": pictures.areas(known)} if "this model" in known else {}
    if curve := model["curve"]:
        drawn["curve"] = pictures.loss_by_step([line["step"] for line in curve], [line["loss"] for line in curve])
    if model["calibration"]:
        drawn["calibration"] = pictures.calibration_curve(model["calibration"])
    return drawn


def _short(day: str) -> str:
    """`01-07`: the year is in the title."""
    return day[5:]
