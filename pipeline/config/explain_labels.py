"""Labels and sampled candidates in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.labels import ChosenLabel, ColumnLabel, Label
from pipeline.config.negatives import Negatives
from pipeline.words import days, duration


def label_words(label: Label | ChosenLabel | ColumnLabel) -> str:
    """When it is 1, and when it is final."""
    if isinstance(label, ColumnLabel):
        return _of_a_table(label)
    positive = _chosen(label) if isinstance(label, ChosenLabel) else _followed(label)
    return f"1 for an event {label.of} {positive}; final {duration(label.mature_after_s)} after the {label.of}."


def _of_a_table(label: ColumnLabel) -> str:
    if label.classes is not None:
        return f"the class 0 to {label.classes - 1} that column {label.column} says."
    zeros = " or ".join(label.zeros) or "any other text"
    return f"1 where column {label.column} is {' or '.join(label.positive)}, 0 where it is {zeros}."


def _chosen(label: ChosenLabel) -> str:
    if label.column is None:
        return "in the log, 0 for what is sampled beside it"
    return f"whose own {label.column} is at least {label.at_least:g}, else 0, and no feature sees it"


def _followed(label: Label) -> str:
    same, within = " and ".join(label.match), duration(label.within_s)
    if label.next:
        return f"whose user's next {label.event}, within {within}, has the same {same}, else 0"
    if label.column is not None:
        return (
            f"that events {label.event} of the same {same} follow within {within} whose {label.column} sum to "
            f"{label.at_least:,} or more, else 0"
        )
    return f"that {label.event} of the same {same} follows within {within}, else 0"


def negatives_words(negatives: Negatives, exposure: str) -> Iterator[str]:
    """What is sampled beside an example, and what it shares with it."""
    pool = (
        "rooms on air then" if negatives.candidates == "on_air" else f"items of the day before's {negatives.popularity}"
    )
    seen = f", none that the user met in the last {days(negatives.unseen_days)}" if negatives.unseen_days else ""
    shared = ", ".join(("user_id", "event_time", *negatives.keep))
    yield f"Beside each {exposure} stand up to {negatives.per_example} sampled candidates with its {shared}:"
    yield (
        f"  {pool}{seen}, drawn by (1 + events {negatives.popularity} of the day before) ^ {negatives.power:g}; "
        "sampling_probability says how likely each was."
    )
