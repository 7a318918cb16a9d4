"""The pictures of a report: inline SVG, the same bytes for the same numbers, text as text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import PipelineError

INK, GRID, ACCENT, SECOND = "#33415c", "#e3e7ee", "#4a90c2", "#d07a3d"
OF_THE_PAGE = {INK: "currentColor", GRID: "var(--line)"}
"""Colours that the page decides, in light and in dark."""
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # the page's own font
    "svg.hashsalt": "report",  # names of clip paths would be random
    "text.parse_math": False,  # a name with dollar signs is no formula
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def draw(plot: Callable[[Any], None], width_in: float = 6.0, height_in: float = 2.6) -> str:
    """One picture as an `<svg>` element; `plot` gets the axes. Raises PipelineError where matplotlib is absent."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise PipelineError(
            "the report's pictures need matplotlib, which is not installed. Type: pip install 'tsrank[report]'"
        ) from None
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        plot(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=NO_METADATA, transparent=True)
    text = buffer.getvalue()
    for color, variable in OF_THE_PAGE.items():
        text = text.replace(color, variable)
    return text[text.index("<svg") :]


def rejected_lines(days: Sequence[str], by_rule: Mapping[str, Sequence[int]]) -> str:
    """Lines that were not kept, stacked by rule, one bar a day."""

    def plot(axes: Any) -> None:
        from matplotlib import colormaps

        below = [0] * len(days)
        for position, (rule, lines) in enumerate(by_rule.items()):
            color = colormaps["tab20"](position % 20)
            axes.bar(days, lines, bottom=below, width=0.7, color=color, label=rule)
            below = [low + count for low, count in zip(below, lines, strict=True)]
        axes.set_ylabel("lines")
        axes.tick_params(axis="x", rotation=30)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)

    return draw(plot, 7.4, 3.0)


def rates_by_day(days: Sequence[str], rates: Sequence[float | None]) -> str:
    """The label's mean by day."""

    def plot(axes: Any) -> None:
        axes.plot(days, [float("nan") if rate is None else rate for rate in rates], "o-", color=ACCENT)
        axes.set_ylim(0, max((rate for rate in rates if rate), default=1.0) * 1.15)
        axes.set_ylabel("share of positives")
        axes.tick_params(axis="x", rotation=30)

    return draw(plot)


def loss_by_step(steps: Sequence[float], losses: Sequence[float]) -> str:
    """The learning curve."""

    def plot(axes: Any) -> None:
        axes.plot(steps, losses, color=ACCENT, linewidth=1.4)
        axes.set_xlabel("step")
        axes.set_ylabel("training loss")

    return draw(plot)


def calibration_curve(groups: Sequence[Mapping[str, float]]) -> str:
    """Observed against predicted rate; the diagonal is a model whose probabilities can be believed."""

    def plot(axes: Any) -> None:
        predicted, observed = ([group[name] for group in groups] for name in ("predicted", "observed"))
        end = max(*predicted, *observed) * 1.05
        axes.plot([0, end], [0, end], "--", color="#9aa5b8", linewidth=1)
        axes.plot(predicted, observed, "o-", color=ACCENT, markersize=4)
        axes.set_xlabel("predicted")
        axes.set_ylabel("observed")

    return draw(plot, 4.0, 3.2)


def areas(values: Mapping[str, float]) -> str:
    """AUCs beside each other, from chance on."""

    def plot(axes: Any) -> None:
        names = list(values)[::-1]
        bars = axes.barh(names, [values[name] - 0.5 for name in names], left=0.5, height=0.55, color=SECOND)
        axes.patches[names.index("this model")].set_color(ACCENT)
        axes.bar_label(bars, [f"{values[name]:.4f}" for name in names], padding=4)
        axes.set_xlim(min(0.5, *values.values()), max(values.values()) + 0.05)
        axes.set_xlabel("AUC (0.5 is chance)")

    return draw(plot, 5.2, 0.9 + 0.4 * len(values))


def shares(name: str, groups: Sequence[Mapping[str, Any]]) -> str:
    """A column's histogram: the reference days beside the day."""

    def plot(axes: Any) -> None:
        places = range(len(groups))
        for side, (of, color) in enumerate((("reference", SECOND), ("day", ACCENT))):
            shifted = [place + 0.4 * side - 0.2 for place in places]
            axes.bar(shifted, [group[of] for group in groups], 0.4, color=color, label=of)
        axes.set_xticks(places, [str(group["name"])[:14] for group in groups], rotation=60, ha="right", fontsize=7)
        axes.set_title(name, fontsize=9)
        axes.legend(frameon=False, fontsize=7)

    return draw(plot, 4.6, 2.8)


def known_in_time(after_s: Sequence[float], day: Sequence[float], reference: Sequence[float]) -> str:
    """How the positives of a label become known."""

    def plot(axes: Any) -> None:
        if reference:
            axes.plot(after_s, reference, color=SECOND, linewidth=1.2, label="reference")
        axes.plot(after_s, day, color=ACCENT, linewidth=1.6, label="day")
        axes.set_xscale("log", base=2)
        axes.set_xticks(after_s[::4], [f"{point:g}" for point in after_s[::4]])
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("seconds after the exposure")
        axes.set_ylabel("share of positives known")
        axes.legend(frameon=False, loc="lower right")

    return draw(plot)
