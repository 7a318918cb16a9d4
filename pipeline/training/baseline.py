"""What a good library gets from the same examples: scikit-learn's gradient-boosted trees.

Same training rows, same evaluation rows, same columns as the model sees. A sequence becomes its length and its newest
value; a rate becomes its smoothed quotient and its denominator; ids of small vocabularies are categories, others
numbers (ids rise as values get rarer, so a split on them says "frequent or rare"). What the model is scored with
(`scored_as`) the trees are scored with too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from pipeline.artifact.vocabulary import Vocabulary, fixed_inputs
from pipeline.config import Config
from pipeline.days import Day, add_days, day_start_us
from pipeline.features import FeatureSpec, feature_specs
from pipeline.storage import Warehouse, data_files, files_at
from pipeline.training.choose_days import training_days, vocabulary_day, vocabulary_folders
from pipeline.training.fitting import smoothed_rate
from pipeline.training.metrics import auc
from pipeline.training.plan import values_in

MOST_CATEGORIES = 254
"""Ids above it do not fit the trees' 255 bins."""
HELD_OUT = 10
"""One training row in so many, by hash of its example_id, says when to stop."""

Floats = NDArray[np.float64]


def baseline_auc(config: Config, warehouse: Warehouse, day: Day) -> float | None:
    """AUC of the trees on the evaluation rows that `train` uses for this day; None where scikit-learn is absent.

    Raises MissingInput when a day of examples is absent, PipelineError when the evaluation rows hold one class only.
    """
    if importlib.util.find_spec("sklearn") is None:
        return None
    train_days, evaluation_days = training_days(config, day)
    training = read_examples(config, warehouse, train_days)
    later = read_examples(config, warehouse, evaluation_days)
    start_us = day_start_us(add_days(train_days[-1], 1), config.product.zone)
    later = later.filter(pc.greater_equal(later["event_time"].cast("int64"), start_us))
    specs = feature_specs(config)
    for name, value in fixed_inputs(specs, _vocabularies(config, warehouse, train_days)).items():
        later = later.set_column(later.column_names.index(name), name, pa.array(np.full(len(later), value)))
    return trees_auc(specs, f"label_{config.training.label}", training, later)


def _vocabularies(config: Config, warehouse: Warehouse, train_days: list[Day]) -> dict[str, Vocabulary]:
    """Those that the values need which inputs are scored as."""
    fixed = [spec.vocabulary for spec in feature_specs(config) if spec.scored_as is not None]
    names = sorted({name for name in fixed if name is not None})
    folders = vocabulary_folders(config, warehouse, names, vocabulary_day(config, train_days))
    return {name: Vocabulary(name, values_in(folders[name]) if name in folders else []) for name in names}


def read_examples(config: Config, warehouse: Warehouse, days: Iterable[Day]) -> pa.Table:
    """The columns that the trees read, of all days, rows in the order of the manifests."""
    label = config.training.label
    columns = ["example_id", "event_time", "weight", f"label_{label}"]
    columns += [column for spec in feature_specs(config) for column in spec.columns]
    paths = [path for day in days for path in data_files(warehouse.folder(f"examples/{label}", day))]
    tables = []
    for path in paths:
        with files_at(path).open(path) as file:
            tables.append(pq.ParquetFile(file).read(columns=columns))
    return pa.concat_tables(tables, promote_options="default")  # a column may be nullable in one file only


def trees_auc(specs: Sequence[FeatureSpec], label: str, training: pa.Table, later: pa.Table) -> float:
    """Fit on one table of examples, AUC on another."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    priors = rate_priors(specs, training)
    inputs, target, weight = matrix(specs, training, priors), _numbers(training[label]), _numbers(training["weight"])
    held = held_out(training["example_id"])
    trees = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.1,
        max_leaf_nodes=31,
        min_samples_leaf=50,
        l2_regularization=1.0,
        categorical_features=categorical(specs, inputs),
        early_stopping=True,
        n_iter_no_change=10,
        random_state=0,
    )
    with threadpool_limits(1, user_api="openmp"):  # on two busy cores two threads took 187 s, one takes 30 s
        trees.fit(
            inputs[~held], target[~held], weight[~held],
            X_val=inputs[held], y_val=target[held], sample_weight_val=weight[held],
        )  # fmt: skip
    scores = trees.predict_proba(matrix(specs, later, priors))[:, 1]
    return auc(_numbers(later[label]), scores, _numbers(later["weight"]))


def matrix(specs: Sequence[FeatureSpec], table: pa.Table, priors: dict[str, float]) -> Floats:
    """[rows, inputs]; null is NaN. A cross has no column of its own."""
    columns = [column for spec in specs for column in _inputs(spec, table, priors)]
    return np.column_stack(columns)


def rate_priors(specs: Sequence[FeatureSpec], table: pa.Table) -> dict[str, float]:
    """Mean quotient of each rate over the rows, 0 where every denominator is."""
    rates = [spec for spec in specs if spec.kind == "rate"]
    sums = {spec.name: [_numbers(table[column]).sum() for column in spec.columns[:2]] for spec in rates}
    return {name: float(above / below) if below else 0.0 for name, (above, below) in sums.items()}


def categorical(specs: Sequence[FeatureSpec], inputs: Floats) -> NDArray[np.bool_]:
    """Which inputs are ids of a vocabulary small enough to be categories."""
    kinds = [kind for spec in specs for kind in _kinds(spec)]
    largest = np.nanmax(inputs, axis=0, initial=0)
    return np.array([kind == "id" for kind in kinds]) & (largest <= MOST_CATEGORIES)


def held_out(example_ids: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Rows that tell when to stop: the same ones whatever the order of the rows."""
    hashes = (xxhash.xxh64_intdigest(name.encode(), 42) for name in example_ids.to_pylist())
    return np.fromiter((value % HELD_OUT == 0 for value in hashes), bool, len(example_ids))


def _inputs(spec: FeatureSpec, table: pa.Table, priors: dict[str, float]) -> list[Floats]:
    if spec.kind == "rate":
        parts = [_numbers(table[column]) for column in spec.columns]
        return [np.asarray(smoothed_rate(spec, parts, priors[spec.name]), np.float64), parts[1]]
    if spec.kind == "sequence":
        values = table[spec.name]
        lengths = pc.fill_null(pc.list_value_length(values), 0).cast("int64")
        return [_numbers(lengths), _newest(values, lengths)]
    return [_numbers(table[column]) for column in spec.columns]


def _kinds(spec: FeatureSpec) -> list[str]:
    return {"rate": ["number"] * 2, "sequence": ["number", "id"], "cross": []}.get(spec.kind, [spec.kind])


def _newest(values: pa.ChunkedArray, lengths: pa.ChunkedArray) -> Floats:
    """The last value of each list, NaN for an empty one."""
    flat, counts = _numbers(pc.list_flatten(values)), lengths.to_numpy()
    newest = np.full(len(counts), np.nan)
    newest[counts > 0] = flat[(np.cumsum(counts) - 1)[counts > 0]]
    return newest


def _numbers(column: pa.ChunkedArray) -> Floats:
    """As float64, null = NaN."""
    return np.asarray(pc.fill_null(column.cast("float64"), np.nan).to_numpy(), np.float64)
