"""How good a model is on rows later than its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.days import Day
from pipeline.errors import Refused
from pipeline.features import UNKNOWN_ID
from pipeline.loader import Batch, Loader
from pipeline.models import ModelSpec
from pipeline.storage import Warehouse, data_files, files_at, has_manifest
from pipeline.training import metrics
from pipeline.training.bootstrap import Scored


@dataclass(frozen=True)
class Evaluated:
    """Scores of the evaluation rows, and what names them."""

    scored: Scored
    example_ids: NDArray[Any]
    unknown_share: float
    """Share of the encoded ids that the model reads as unknown."""


def evaluate(
    loader: Loader, model: ModelSpec, score: Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]
) -> Evaluated:
    """Score every row of the loader in order.

    Raises Refused when there are no rows or all have the same label.
    """
    labels, scores, weights, users, examples = [], [], [], [], []
    unknown = ids = 0
    for batch, named in loader.in_order(["user_id", "example_id"], rows=16_384):
        labels.append(batch["label"])
        weights.append(batch["weight"])
        scores.append(score(batch))
        users.append(named["user_id"])
        examples.append(named["example_id"])
        counted = _unknown(batch, model)
        unknown, ids = unknown + counted[0], ids + counted[1]
    if not labels or not 0 < np.concatenate(labels).sum() < sum(map(len, labels)):
        raise Refused(
            "the evaluation rows hold one class only, so nothing can be judged. Look at [labels], or take more days"
        )
    scored = Scored(*(np.concatenate(column) for column in (labels, scores, weights, users)))
    return Evaluated(scored, np.concatenate(examples), unknown / max(1, ids))


def _unknown(batch: Batch, model: ModelSpec) -> tuple[int, int]:
    found = [(batch[spec.name], model.ids(spec)) for spec in model.fed if spec.kind == "id" and not spec.hashed]
    return sum(int(((v == UNKNOWN_ID) | (v >= size)).sum()) for v, size in found), sum(v.size for v, _ in found)


def oracle_auc(warehouse: Warehouse, days: Sequence[Day], evaluated: Evaluated) -> float | None:
    """AUC of the simulator's true probabilities on the same rows; None where there is no truth for all of them."""
    folders = [warehouse.folder("truth/exposures", day) for day in days]
    known = [path for folder in folders if has_manifest(folder) for path in data_files(folder)]
    if not known:
        return None
    truth = pa.concat_tables([_read(path) for path in known])
    ids, order = truth["example_id"].to_numpy(), np.argsort(truth["example_id"].to_numpy())
    place = np.minimum(np.searchsorted(ids[order], evaluated.example_ids), len(ids) - 1)
    if not (ids[order][place] == evaluated.example_ids).all():
        return None
    scored = evaluated.scored
    return metrics.auc(scored.label, truth["p_true"].to_numpy()[order][place], scored.weight)


def _read(path: str) -> pa.Table:
    with files_at(path).open(path) as file:
        return pq.ParquetFile(file).read(columns=["example_id", "p_true"])
