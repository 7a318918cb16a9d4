"""A source of kind "table": labelled rows without a clock, and which of them are for training.

    split                                                     a row's split is
    { by = "file", train = "a*.csv", test = "b.csv" }         that of the pattern which its file matches
    { by = "column", column = "fold", train = ["a"], ... }    the one that lists its value
    { by = "random", train = 0.8, test = 0.2, seed = 42 }     drawn by a hash of its key, or else of its bytes
    { by = "leave_one_out", of = "user", order = "time" }     test for a user's last row, validation for the one before

A random split says nothing of later days, so nothing falls back to it: it is asked for by name.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, WrapValidator, field_validator, model_validator

from pipeline.config.checks import refuse, unknown_fields
from pipeline.config.columns import Column
from pipeline.config.sources import Source
from pipeline.config.table import WRITTEN, Name, Positive, Table, by_name

SPLITS = ("train", "validation", "test")
TEXT_ONLY = ("encoding", "separator", "quote", "fields", "header", "comment", "null_values")
RESERVED = {
    **dict.fromkeys(("line", "source_file", "fields", "fate", "verdict", "detail"), "the steps of cleaning"),
    **dict.fromkeys(("row_id", "image"), "the rows"),
    "example_id": "the examples",
}
"""Names that a column of a table cannot have: the rows hold a column of that name already on their way."""
CLOCKS = ("event_id", "event_time", "available_at")
IDX_FIELDS = ("label",)


class ImageFiles(Table):
    """Two idx files that belong together: the n-th image has the n-th label. A pattern matches as many of both."""

    images: str
    labels: str


def _files(given: Any, handler: object, info: ValidationInfo) -> str | ImageFiles:
    if isinstance(given, str | ImageFiles):
        return given
    if isinstance(given, dict):
        return ImageFiles.model_validate(given, context=info.context)
    raise ValueError("must be a path, or for format = 'idx' { images = ..., labels = ... }")


Files = Annotated[str | ImageFiles, WrapValidator(_files)]


class Split(Table):
    """Which rows are for training, and which to judge on."""

    @property
    def names(self) -> tuple[str, ...]:
        """The splits that there are."""
        return tuple(name for name in SPLITS if getattr(self, name, None))

    @model_validator(mode="after")
    def _something_to_judge_on(self) -> Split:
        if len(self.names) < 2 or "train" not in self.names:
            raise ValueError(f"needs train, and validation or test or both, got {list(self.names)}")
        return self


class FileSplit(Split):
    """By the file that a row lies in."""

    by: Literal["file"]
    train: Files
    validation: Files | None = None
    test: Files | None = None


class ColumnSplit(Split):
    """By the text of a column; every text must be listed, and once."""

    by: Literal["column"]
    column: Name
    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _listed_once(self) -> ColumnSplit:
        listed = [*self.train, *self.validation, *self.test]
        if twice := sorted({value for value in listed if listed.count(value) > 1}):
            raise ValueError(f"lists {twice} more than once; a row is in one split")
        return self


class RandomSplit(Split):
    """By chance, the same for the same row: rows of equal key (without a key: equal bytes) stay together."""

    by: Literal["random"]
    train: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: int = 42

    @model_validator(mode="after")
    def _one_in_all(self) -> RandomSplit:
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train, validation and test must sum to 1, got {total:g}")
        return self


class LeaveOneOut(Split):
    """By the order of each user's rows: the last for test, the one before for validation, the others for training.

    A user's first row always is for training, so one with two rows has none for validation, one with a single row has
    nothing to judge on. Of rows with equal `order` the smaller xxh64 of the bytes comes first.
    """

    by: Literal["leave_one_out"]
    of: Name
    order: Name

    @property
    def names(self) -> tuple[str, ...]:
        """All three."""
        return SPLITS


AnySplit = Annotated[
    FileSplit | ColumnSplit | RandomSplit | LeaveOneOut,
    by_name("by", {"file": FileSplit, "column": ColumnSplit, "random": RandomSplit, "leave_one_out": LeaveOneOut}),
]


class TableSource(Source):
    """Labelled rows: text like that of events, or images in idx files. All of it is of the product's first day."""

    kind: Literal["table"]  # type: ignore[assignment]
    path: str = ""
    """Where the rows are, unless `split` says so by file."""
    format: Literal["json", "csv", "idx"] = "json"  # type: ignore[assignment]
    key: Name | None = None
    """The column that names a row; a second row of the same name is a duplicate. Without one equal rows all count."""
    shape: tuple[Positive, Positive] | None = None
    """Rows and columns of each image of an idx table."""
    split: AnySplit

    @field_validator("columns")
    @classmethod
    def _columns_fit(cls, columns: dict[str, Column], info: ValidationInfo) -> dict[str, Column]:
        fields = IDX_FIELDS if info.data.get("format") == "idx" else info.data.get("fields")
        refuse([*_taken(columns), *unknown_fields(columns, fields)])
        return columns

    @model_validator(mode="after")
    def _one_place(self, info: ValidationInfo) -> TableSource:
        by_file = isinstance(self.split, FileSplit)
        if by_file == bool(self.path):
            raise ValueError("needs `path` where `split` is not by file" if not by_file else "`path` is in `split`")
        if info.context == WRITTEN and "delay_s" in self.model_fields_set:
            raise ValueError("`delay_s` means nothing: a table has no clock")
        return self

    @model_validator(mode="after")
    def _images_or_text(self, info: ValidationInfo) -> TableSource:
        images = [isinstance(getattr(self.split, name), ImageFiles) for name in self.split.names if self._by_file]
        if self.format != "idx":
            if any(images) or self.shape is not None:
                raise ValueError("`shape`, `images` and `labels` go with format = 'idx'")
            return self
        if not images or not all(images):
            raise ValueError("an idx table needs split = { by = 'file', train = { images = ..., labels = ... }, ... }")
        if self.shape is None:
            raise ValueError("an idx table needs `shape`, the rows and columns of each image, such as [28, 28]")
        written = self.model_fields_set if info.context == WRITTEN else set()
        if textual := [name for name in (*TEXT_ONLY, "key") if name in written]:
            raise ValueError(f"{textual} mean nothing for format = 'idx': leave them out")
        return self

    @property
    def _by_file(self) -> bool:
        return isinstance(self.split, FileSplit)

    @property
    def has_day(self) -> bool:
        """All rows are of the product's one day."""
        return True


def _taken(columns: dict[str, Column]) -> list[tuple[str, str]]:
    taken = [(name, f"is a name that {RESERVED[name]} need for themselves") for name in columns if name in RESERVED]
    clocks = [(name, "belongs to events, which have clocks; a table has none") for name in columns if name in CLOCKS]
    prefixed = [(name, "begins as what cleaning adds does") for name in columns if name.startswith(("text_", "value_"))]
    return [(name, f"{why}; call the column something else") for name, why in (*taken, *clocks, *prefixed)]
