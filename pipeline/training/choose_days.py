"""Which days a model learns from and which it is judged on."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import Config, TableSource
from pipeline.days import Day, add_days, days_between
from pipeline.errors import MissingInput
from pipeline.storage import Warehouse, has_manifest


def training_days(config: Config, day: Day) -> tuple[list[Day], list[Day]]:
    """The days of training and the later ones of evaluation, the last of which is `day`.

    Raises MissingInput when the product is too young to have one day of training and all days of evaluation.
    """
    training, first = config.training, config.product.first_day
    cut = add_days(day, -training.evaluation_days)
    if cut < first:
        earliest = add_days(first, training.evaluation_days)
        raise MissingInput(
            f"{day} is too early to train: {training.evaluation_days} days are kept to judge on, and the product "
            f"begins on {first}. The first day with a model is {earliest}: {config.command('train', DT=earliest)}"
        )
    return days_between(add_days(cut, 1 - training.days), cut, first), days_between(add_days(cut, 1), day, first)


def split_folders(config: Config, warehouse: Warehouse, table: TableSource) -> tuple[list[str], list[str]]:
    """Of a table's examples the folder to learn from and the one to judge on.

    Raises MissingInput naming what is not there, with the command to type.
    """
    chosen = config.training.evaluate_on or table.split.names[1]
    names = [f"examples/{config.training.label}/{name}" for name in ("train", chosen)]
    first = config.product.first_day
    folders = [warehouse.folder(name, first) for name in names]
    if missing := [name for name, folder in zip(names, folders, strict=True) if not has_manifest(folder)]:
        listed, command = ", ".join(f"{name}/dt={first}" for name in missing), config.command("day", DT=first)
        raise MissingInput(f"train needs {listed}, which is not there yet. Build it first: {command}")
    return folders[:1], folders[1:]


def example_folders(config: Config, warehouse: Warehouse, days: list[Day]) -> list[str]:
    """Folders of the examples of some days.

    Raises MissingInput naming every day that is not there, with the command to type.
    """
    name = f"examples/{config.training.label}"
    folders = {day: warehouse.folder(name, day) for day in days}
    if missing := [day for day, folder in folders.items() if not has_manifest(folder)]:
        listed = ", ".join(f"{name}/dt={day}" for day in missing)
        command = config.command("backfill", FROM=missing[0], TO=missing[-1])
        raise MissingInput(f"train needs {listed}, which is not there yet. Build it first: {command}")
    return list(folders.values())


def vocabulary_day(config: Config, train_days: list[Day]) -> Day | None:
    """The day whose vocabulary the newest training rows were encoded by; None when there was none yet.

    Rows of a table are encoded by the vocabularies of their own, only day.
    """
    if config.table is not None:
        return config.product.first_day
    before = add_days(train_days[-1], -1)
    return before if before >= config.product.first_day else None


def vocabulary_folders(config: Config, warehouse: Warehouse, names: Sequence[str], day: Day | None) -> dict[str, str]:
    """Vocabulary -> its folder of that day; empty where there was no vocabulary yet.

    Raises MissingInput naming every one that is not there, with the command to type.
    """
    folders = {} if day is None else {name: warehouse.folder(f"vocab/{name}", day) for name in names}
    if missing := [f"vocab/{name}/dt={day}" for name, folder in folders.items() if not has_manifest(folder)]:
        command = config.base.command("day", DT=day)
        raise MissingInput(f"train needs {', '.join(missing)}, which is not there yet. Build it first: {command}")
    return folders
