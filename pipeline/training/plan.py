"""What a training is, before its first step: its days, its rows, its inputs and its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from pipeline.config import ColumnLabel, Config
from pipeline.days import Day, add_days, day_start_us
from pipeline.errors import ConfigError, DamagedData
from pipeline.features import FIRST_ID, FeatureSpec, feature_specs, features_digest, vocabulary_names
from pipeline.loader import Loader
from pipeline.models import ModelSpec
from pipeline.provenance import code_version, source_hash
from pipeline.storage import Warehouse, data_files, digest_of, files_at, read_manifest
from pipeline.training.choose_days import (
    example_folders,
    split_folders,
    training_days,
    vocabulary_day,
    vocabulary_folders,
)

SECTIONS = {"labels", "features", "model", "training"}
SOURCES = (
    "pipeline.artifact", "pipeline.features", "pipeline.loader", "pipeline.models", "pipeline.training", "tsengine",
)  # fmt: skip
"""Packages whose change makes another training, or another artifact of it."""


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the first step.

    run      hash of the inputs' digests, the config that training reads, and its sources: a training that is
             interrupted goes on under the same run, one that is finished is not done again
    inputs   path and content digest of the examples; `snapshots` of the vocabularies
    """

    config: Config
    warehouse: Warehouse
    train_days: list[Day]
    evaluation_days: list[Day]
    folders: list[str]
    evaluation_folders: list[str]
    specs: tuple[FeatureSpec, ...]
    vocabularies: dict[str, list[str]]
    run: str
    config_hash: str
    inputs: tuple[dict[str, str], ...]
    snapshots: tuple[dict[str, str], ...]
    origin: str

    @property
    def cut(self) -> str:
        """The last training day, as it begins a version."""
        return f"{self.train_days[-1]:%Y%m%d}"

    @property
    def cut_us(self) -> int:
        """The instant at which the training days end, in microseconds (UTC)."""
        return day_start_us(add_days(self.train_days[-1], 1), self.config.product.zone)

    @property
    def batching(self) -> dict[str, Any]:
        """How rows become batches, as JSON."""
        training = self.config.training
        return {
            "label": f"label_{training.label}", "batch_size": training.batch_size, "shards": training.shards,
            "seed": training.seed, "window_row_groups": training.window_row_groups,
        }  # fmt: skip

    @property
    def checkpoints(self) -> str:
        """The folder of this run's checkpoints and curves."""
        return self.warehouse.path("checkpoints", self.config.model.kind, self.run)

    def training(self) -> Loader:
        """The rows to learn from."""
        return Loader(self.folders, self.specs, **self.batching)

    def evaluation(self, specs: Sequence[FeatureSpec] | None = None) -> Loader:
        """The rows to judge on, as a model of these specs reads them (default: the model of this plan).

        Exposures of before `cut_us`, whose labels matured on the later days, are not among them. Rows have no clock.
        """
        from_us = self.cut_us if self.config.table is None else None
        return Loader(self.evaluation_folders, specs or self.specs, from_us=from_us, **self.batching)

    def model_spec(self, constants: Mapping[str, Mapping[str, float]]) -> ModelSpec:
        """The model to train."""
        model = self.config.model
        sizes = {name: FIRST_ID + len(values) for name, values in self.vocabularies.items()}
        return ModelSpec(
            model.kind, self.specs, sizes, constants, model.embedding_dim, model.hidden, self.config.training.seed
        )

    def lineage(self) -> dict[str, Any]:
        """What the artifact's manifest says of where it comes from."""
        return {
            "origin": self.origin, "run": self.run, "key": self.run, "config_hash": self.config_hash,
            "code_version": code_version(), "features": features_digest(self.config),
            "dt": str(self.train_days[-1]), "inputs": self.inputs, "vocabularies": self.snapshots,
            "train_days": list(map(str, self.train_days)), "evaluation_days": list(map(str, self.evaluation_days)),
        }  # fmt: skip


def make_plan(config: Config, warehouse: Warehouse, day: Day) -> Plan:
    """The training whose evaluation ends on `day`; MissingInput names what is not there and the command to type."""
    if reason := untrainable(config):
        raise ConfigError(reason)
    train_days, evaluation_days, folders, later = _rows(config, warehouse, day)
    known = vocabulary_folders(config, warehouse, vocabulary_names(config), vocabulary_day(config, train_days))
    inputs, snapshots = _digests([*folders, *later]), _digests(known.values())
    config_hash = digest_of(_sections(config))
    run = digest_of([config.product.name, config_hash, inputs, snapshots, [source_hash(name) for name in SOURCES]])[:16]
    vocabularies = {name: values_in(known[name]) if name in known else [] for name in vocabulary_names(config)}
    return Plan(
        config, warehouse, train_days, evaluation_days, folders, later, feature_specs(config), vocabularies, run,
        config_hash, inputs, snapshots, _origin([*folders, *later, *known.values()]),
    )  # fmt: skip


def untrainable(config: Config) -> str | None:
    """What no model family reads yet, and what to do; None where there is no such thing."""
    images = [f"$.features.context.{name}" for name, feature in config.features.context.items() if feature.image]
    if images:
        return f"model.kind = {config.model.kind!r} takes no image ({', '.join(images)}); take other features to train"
    label = config.labels[config.training.label]
    if isinstance(label, ColumnLabel) and label.classes is not None:
        return f"model.kind = {config.model.kind!r} tells two classes apart, label {config.training.label!r} has more"
    return None


def _rows(config: Config, warehouse: Warehouse, day: Day) -> tuple[list[Day], list[Day], list[str], list[str]]:
    """Days and folders of examples to learn from and to judge on; a table has one day, and a folder a split."""
    if config.table is not None:
        first = config.product.first_day
        folders, later = split_folders(config, warehouse, config.table)
        return [first], [first], folders, later
    train_days, evaluation_days = training_days(config, day)
    folders, later = (example_folders(config, warehouse, days) for days in (train_days, evaluation_days))
    return train_days, evaluation_days, folders, later


def _sections(config: Config) -> dict[str, Any]:
    """The config that decides the bits of a model: any number of workers gives the same."""
    sections = config.model_dump(mode="json", include=SECTIONS)
    del sections["training"]["workers"]
    return {**sections, "day_zone": config.product.day_zone}


def _digests(folders: Iterable[str]) -> tuple[dict[str, str], ...]:
    """What is published there, and the digest of its rows."""
    manifests = map(read_manifest, folders)
    return tuple({"path": f"{m.dataset}/dt={m.dt}", "digest": m.content_digest} for m in manifests)


def _origin(folders: Iterable[str]) -> str:
    return "simulated" if {read_manifest(folder).origin for folder in folders} == {"simulated"} else "collected"


def values_in(folder: str) -> list[str]:
    """The values of a vocabulary in id order; DamagedData where an id is absent or there twice."""
    found: list[tuple[int, str]] = []
    for path in data_files(folder):
        with files_at(path).open(path) as file:
            table = pq.ParquetFile(file).read(columns=["value", "id"])
        found += zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True)
    known = sorted((id_, value) for id_, value in found if id_ is not None)
    if [id_ for id_, _ in known] != list(range(FIRST_ID, FIRST_ID + len(known))):
        raise DamagedData(f"{folder}: the ids of a vocabulary must be {FIRST_ID}, {FIRST_ID + 1}, ... without a gap")
    return [value for _, value in known]
