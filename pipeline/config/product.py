"""A product: its name and place, and all tables of its config together."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from pipeline.config.checks import cross_faults, refuse
from pipeline.config.cleaning import Clean
from pipeline.config.drift import Drift
from pipeline.config.features import Features, Profiles, Vocabulary
from pipeline.config.labels import AnyLabel, EventLabel
from pipeline.config.negatives import Negatives
from pipeline.config.sessions import Sessions
from pipeline.config.sources import Datasets, Source
from pipeline.config.table import WRITTEN, Name, Positive, Table, by_name
from pipeline.config.table_checks import table_faults, unheard_faults
from pipeline.config.table_sources import TableSource
from pipeline.config.training import Model, Recommend, Threshold, Training


class Product(Table):
    """Whose logs these are, and where its datasets lie."""

    name: Name
    base: Name | None = None
    """Another product, whose events, attributes, sums, profiles and vocabularies this one reads. Its TOML is
    `<base>.toml` beside this one; sources, what is a clean event, the days and the warehouse are said there."""
    warehouse: str = "warehouse"
    day_zone: str = "UTC"
    first_day: datetime.date

    @field_validator("day_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"must be a time zone of the IANA database such as 'Asia/Shanghai', got {zone!r}")
        return zone

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose midnight begins a day."""
        return ZoneInfo(self.day_zone)


class Simulate(Table):
    """How much of the demonstration service `make run` simulates."""

    days: Positive = 8
    seed: int = 7
    users: Positive | None = None
    streamers: Positive | None = None


AnySource = Annotated[Source | TableSource, by_name("kind", {"events": Source, "table": TableSource})]


class Config(Table):
    """One product."""

    product: Product
    simulate: Simulate | None = None
    sources: dict[Name, AnySource]
    datasets: Datasets
    clean: Clean = Clean()
    sessions: Sessions | None = None
    labels: dict[Name, AnyLabel]
    negatives: Negatives | None = None
    profiles: Profiles = Profiles()
    vocabularies: dict[Name, Vocabulary] = Field(default={})
    features: Features
    model: Model = Model()
    training: Training
    gate: dict[Literal["auc", "gauc", "logloss"], Threshold] = Field(min_length=1)
    recommend: Recommend = Recommend()
    drift: Drift | None = None
    _told_by: str = PrivateAttr("")
    """`CONF=` and `SET=` as a person would type them."""
    _base: Config | None = PrivateAttr(None)

    @property
    def base(self) -> Config:
        """The config by which events, sums, profiles and vocabularies are made: the base's, or this one."""
        return self if self._base is None else self._base

    def command(self, verb: str, **names: object) -> str:
        """What to type for this product: `make backfill FROM=2026-01-01 TO=2026-01-02 CONF=conf/live.toml`."""
        return " ".join(["make", verb, *(f"{name}={value}" for name, value in names.items()), self._told_by]).rstrip()

    @property
    def table(self) -> TableSource | None:
        """The source of labelled rows, where this is a product of a table."""
        source = self.sources.get(self.datasets.rows or "")
        return source if isinstance(source, TableSource) else None

    @property
    def event_labels(self) -> dict[str, EventLabel]:
        """The labels of a product of events: all of them there."""
        return {name: label for name, label in self.labels.items() if isinstance(label, EventLabel)}

    @property
    def mature_after_s(self) -> int:
        """How long after it happened the last label of an example is final."""
        return max(label.mature_after_s for label in self.event_labels.values())

    @model_validator(mode="after")
    def _references(self, info: ValidationInfo) -> Config:
        faults = cross_faults(self) if self.datasets.rows is None else table_faults(self)
        refuse([*faults, *(unheard_faults(self) if info.context == WRITTEN else ())])
        return self
