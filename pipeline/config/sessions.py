"""[sessions]: when events of one user belong together, and what may be asked of the sessions that they make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.config.checks import Fault, features_by_event
from pipeline.config.features import HOUR
from pipeline.config.table import Name, NotNegative, Table

if TYPE_CHECKING:
    from pipeline.config import Config

SESSION = "session"
"""The event type that a session which is over has in the features of users."""
SESSION_SUMS = ("duration_ms", "events")
"""What may be summed over sessions: from the first event to the last, and how many there were."""


class Sessions(Table):
    """When events of one user are one session. Leave the table out, and there are none.

    A session which is over is an event of type `session` at the time of its last event: features of users may count
    it, sum `session.duration_ms` and `session.events`, and so on. It is known `gap_s` + `settle_s` after that time.
    """

    gap_s: Annotated[int, Field(ge=60)] = 1800
    """Two events that are at most so far apart belong together."""
    settle_s: NotNegative = 600
    """How late an event may arrive and still take part; a later one is left out, and counted."""
    events: tuple[Name, ...] | None = Field(default=None, min_length=1)
    """Types of event that take part; all of them where this is left out."""


def session_faults(config: Config) -> Iterator[Fault]:
    """An event type of that name, and what nobody knows of a session."""
    if config.sessions is None:
        return
    place = f"sources.{config.datasets.events}.columns.event_type"
    event_type = config.sources[config.datasets.events].columns.get("event_type")
    values = None if event_type is None else event_type.values
    if event_type is not None and values is None:
        yield (
            f"{place}.values",
            f"is missing: [sessions] makes events of type {SESSION!r}, so say which types lines have",
        )
    if values is not None and SESSION in values.values():
        yield (
            f"{place}.values",
            f"must not give {SESSION!r}: that is what [sessions] makes; call the lines' type otherwise",
        )
    for name, key, event, column in features_by_event(config.features.user):
        if event == SESSION:
            yield from _of_a_session(config, f"features.user.{name}", key, column)


def _of_a_session(config: Config, place: str, key: str, column: str) -> Iterator[Fault]:
    feature = config.features.user[place.rpartition(".")[2]]
    if column and column not in SESSION_SUMS:
        yield f"{place}.{key}", f"sums {column!r} of sessions, of which there are the sums of {list(SESSION_SUMS)}"
    own_hour = HOUR in config.sources[config.datasets.events].columns
    if feature.by is not None and (feature.by != HOUR or own_hour):
        yield (
            f"{place}.by",
            f"is {feature.by!r}, which a session does not have: "
            + (f"sums over sessions are split by {HOUR!r} or not at all" if not own_hour else "leave it out"),
        )
