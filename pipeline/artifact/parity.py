"""Every exported form must give the engine's numbers on the golden rows, in its own runtime, before it is published."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.batches import Batch, rows_of
from pipeline.artifact.edge_rows import null_row
from pipeline.artifact.errors import ParityFailure
from pipeline.artifact.export import IDS_FORM, PROBABILITY, RAW_FORM
from pipeline.artifact.front_end import IDS_DTYPE
from pipeline.artifact.golden import Golden, stack
from pipeline.features import FeatureSpec
from pipeline.models import raw_inputs

TOLERANCE = 1e-5
"""Largest difference of a probability; ids must be equal."""
BLAME = 1e-3
"""A feature is named when its null moves the disagreement of the log odds by more."""
BATCHES = (0, 1, 7)

Form = Callable[[Batch], Mapping[str, NDArray[Any]]]
Score = Callable[[Batch], NDArray[Any]]


def has_onnx_runtime() -> bool:
    """Whether ONNX forms can be written and checked here."""
    return all(importlib.util.find_spec(package) is not None for package in ("onnx", "onnxruntime"))


def check_onnx_forms(folder: str, features: Sequence[FeatureSpec], golden: Golden, score: Score) -> None:
    """Both forms against the golden rows; `score` is the engine's, from raw values.

    Raises ParityFailure naming the form, the row and the feature.
    """
    import onnx

    for form in (RAW_FORM, IDS_FORM):
        onnx.checker.check_model(f"{folder}/{form}", full_check=True)
    raw = raw_form(folder)
    found = raw(golden.raw)
    _check_ids(golden, found)
    _check_scores(RAW_FORM, golden, found[PROBABILITY], lambda row: _suspects(features, golden, row, raw, score))
    _check_batches(RAW_FORM, raw, golden.raw, golden)
    by_ids, encoded = ids_form(folder), _at_the_door(golden.encoded)
    _check_scores(IDS_FORM, golden, by_ids(encoded)[PROBABILITY], lambda row: "")
    _check_batches(IDS_FORM, by_ids, encoded, golden)


def raw_form(folder: str) -> Form:
    """`model.onnx` in onnxruntime; gives its outputs and, beside them, the ids it made (`encoded/<name>`)."""
    import onnx
    from onnx import helper

    form = onnx.load(f"{folder}/{RAW_FORM}", load_external_data=False)
    made = [name for node in form.graph.node for name in node.output if name.startswith("encoded/")]
    form.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in made)
    return _runner(form.SerializeToString(), folder)


def ids_form(folder: str) -> Form:
    """`model_ids.onnx` in onnxruntime."""
    return _runner(f"{folder}/{IDS_FORM}", folder)


def _runner(form: str | bytes, folder: str) -> Form:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(form, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda batch: dict(zip(names, session.run(names, batch), strict=True))


def _check_ids(golden: Golden, outputs: Mapping[str, NDArray[Any]]) -> None:
    if faults := list(_id_faults(golden, outputs)):
        raise ParityFailure(f"{RAW_FORM} does not encode as the engine does: " + "; ".join(faults[:5]))


def _id_faults(golden: Golden, outputs: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    for name, expected in golden.encoded.items():
        found = outputs.get(f"encoded/{name}")
        if found is None:
            continue
        differs = (found != expected).reshape(len(golden.names), -1).any(axis=1)
        for row in np.flatnonzero(differs)[:1]:
            yield (
                f"row {row} ({golden.names[row]}), feature {name!r}: {golden.raw[name][row]!r} must be "
                f"{expected[row].tolist()}, got {found[row].tolist()}"
            )


def _check_scores(form: str, golden: Golden, found: NDArray[Any], suspects: Callable[[int], str]) -> None:
    differs = _differs(found, golden.probability)
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        raise ParityFailure(
            f"{form} does not score as the engine does: {int(differs.sum())} of {len(differs)} golden rows differ by "
            f"more than {TOLERANCE:g}, the first is row {row} ({golden.names[row]}): must be "
            f"{golden.probability[row]}, got {found[row]}{suspects(row)}"
        )


def _check_batches(form: str, run: Form, batch: Batch, golden: Golden) -> None:
    for size in BATCHES:
        found = run(rows_of(batch, slice(0, size)))[PROBABILITY]
        expected = golden.probability[:size]
        if found.shape != expected.shape or _differs(found, expected).any():
            raise ParityFailure(f"{form} scores a batch of {size} as {found.tolist()}, must be {expected.tolist()}")


def _suspects(features: Sequence[FeatureSpec], golden: Golden, row: int, run: Form, score: Score) -> str:
    """Which features are to blame: those whose null moves the disagreement most, counted in log odds."""
    probes = _with_each_null(features, rows_of(golden.raw, [row]))
    disagreement = _log_odds(run(probes)[PROBABILITY]) - _log_odds(score(probes))
    moved = np.abs(disagreement[:-1] - disagreement[-1])
    if not moved.max() > BLAME:
        return "; no single feature explains it"
    named = [feature.name for feature, far in zip(_fed(features), moved, strict=True) if far > moved.max() / 2]
    return f"; feature {', '.join(map(repr, named))}"


def _log_odds(probability: NDArray[Any]) -> NDArray[np.float64]:
    inside = np.clip(np.nan_to_num(probability.astype(np.float64)), 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside / (1 - inside)))


def _with_each_null(features: Sequence[FeatureSpec], row: Batch) -> Batch:
    """One copy of the row for each feature, with that feature null, and the row itself last."""
    null = stack(features, raw_inputs(features), [null_row(features)])
    owners = {entry.name: entry.feature for entry in raw_inputs(features)}
    return {
        name: np.concatenate([*(null[name] if owners[name] == f.name else value for f in _fed(features)), value])
        for name, value in row.items()
    }


def _fed(features: Sequence[FeatureSpec]) -> list[FeatureSpec]:
    return [feature for feature in features if feature.columns]


def _at_the_door(encoded: Batch) -> Batch:
    return {name: value.astype(IDS_DTYPE) if value.dtype == np.int32 else value for name, value in encoded.items()}


def _differs(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
    return ~(np.abs(found.astype(np.float64) - expected) <= TOLERANCE)
