"""From a trained model to one in service: which version it is, what the gate says, and where it lies then.

A candidate is judged when its manifest lists `gate.json`. What is not refused moves to `models/` by one rename; the
highest version there serves. Whatever a killed training left between these points, the next one brings to its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.artifact import Artifact, load_artifact, record_verdict
from pipeline.artifact.load import METRICS, VERDICT
from pipeline.errors import Refused
from pipeline.features import FeatureSpec
from pipeline.schemas import examples
from pipeline.storage import MOST_VERSIONS, files_at, published_versions, read_manifest, serving_version
from pipeline.training.bootstrap import Scored
from pipeline.training.evaluation import evaluate
from pipeline.training.gate import Verdict, judge
from pipeline.training.plan import Plan

MODELS, CANDIDATES = "models", "candidates"
HEADLINE = ("auc", "gauc", "logloss", "ece")


@dataclass(frozen=True)
class TrainResult:
    """What a training ended with: the version and where it lies, its metrics, and the gate's word."""

    version: str
    folder: str
    metrics: Mapping[str, Any]
    gate: str

    @property
    def headline(self) -> dict[str, float]:
        """The few metrics that fit into a line."""
        return {name: round(self.metrics[name], 4) for name in HEADLINE if self.metrics[name] is not None}


def next_version(plan: Plan) -> str:
    """The cut day and the first counter that no model and no judged candidate has.

    Raises Refused when the cut day has no counter left.
    """
    used = [*_versions(plan, MODELS), *(v for v in _versions(plan, CANDIDATES) if _is_judged(plan, v))]
    counters = [int(version[len(plan.cut) :]) for version in used if version.startswith(plan.cut)]
    counter = max(counters, default=0) + 1
    if counter > MOST_VERSIONS:
        raise Refused(
            f"{plan.cut} has {counter - 1} versions already, and there are no more than {MOST_VERSIONS}; "
            f"remove refused ones from {_folder(plan, CANDIDATES)}"
        )
    return f"{plan.cut}{counter:02d}"


def candidate_folder(plan: Plan, version: str) -> str:
    """Where a candidate is written."""
    return f"{_folder(plan, CANDIDATES)}/{version}"


def finished(plan: Plan) -> TrainResult | None:
    """The result of the same run, if it was judged before; None where it is to be made or judged.

    One that may serve and was not moved yet is moved now. One that was refused by other thresholds, or against another
    model in service, is not finished.
    """
    for place in (MODELS, CANDIDATES):
        for version in _versions(plan, place):
            folder = f"{_folder(plan, place)}/{version}"
            if not (_has_verdict(folder) and read_manifest(folder).run == plan.run):
                continue
            told = read_json(folder, VERDICT)
            if told["outcome"] != "refused" or all(told.get(k) == v for k, v in _judged_by(plan).items()):
                return _settled(plan, folder, version, read_json(folder, METRICS), told["outcome"])
    return None


def judge_candidate(plan: Plan, version: str, scored: Scored, metrics: Mapping[str, Any]) -> TrainResult:
    """Hold a candidate against the gate and the model in service, write that down, and move it if it may serve."""
    folder, serving = candidate_folder(plan, version), in_service(plan)
    verdict = _against(plan, scored, serving)
    record_verdict(folder, {**verdict.to_json(), **_judged_by(plan)})
    return _settled(plan, folder, version, metrics, verdict.outcome)


def in_service(plan: Plan) -> str | None:
    """The version that serves on the cut day."""
    return serving_version(_folder(plan, MODELS), plan.train_days[-1])


def incomparable(plan: Plan, artifact: Artifact) -> str | None:
    """Why a model cannot score this plan's examples; None when it can: its inputs are there, with the same ids."""
    columns, ours = examples(plan.config), {spec.name: spec for spec in plan.specs}
    wanted = artifact.spec.features
    absent = [column for spec in wanted for column in spec.columns if column not in columns]
    if absent:
        return f"it reads {absent}, which the examples have no longer"
    changed = [spec.name for spec in wanted if spec.name in ours and _read_as(spec) != _read_as(ours[spec.name])]
    if changed:
        return f"its inputs {changed} have another kind, vocabulary, hash or fixed value now"
    renumbered = [
        name
        for name, held in artifact.vocabularies.items()
        if not all(a == b for a, b in zip(held.values, plan.vocabularies.get(name, ()), strict=False))
    ]
    return f"the ids of {renumbered} were given anew since" if renumbered else None


def _read_as(spec: FeatureSpec) -> tuple[Any, ...]:
    """What must be the same of an input for two models to be compared on the same rows."""
    buckets = spec.buckets if spec.hashed else None
    return spec.kind, spec.vocabulary, buckets, spec.scored_as


def read_json(folder: str, name: str) -> dict[str, Any]:
    """A JSON file of an artifact."""
    found: dict[str, Any] = json.loads(files_at(folder).read(f"{folder}/{name}"))
    return found


def _against(plan: Plan, candidate: Scored, serving: str | None) -> Verdict:
    """The verdict over the candidate, by the same rows for both models."""
    if serving is None:
        return judge(plan.config.gate, candidate, None)
    artifact = load_artifact(f"{_folder(plan, MODELS)}/{serving}")
    if reason := incomparable(plan, artifact):
        told = f"the model in service, {serving}, cannot score the same rows: {reason}. Move it out of models/ to go on"
        return Verdict("refused", (told,), ())
    theirs = evaluate(plan.evaluation(artifact.spec.features), artifact.spec, artifact.score_ids)
    return judge(plan.config.gate, candidate, theirs.scored)


def _judged_by(plan: Plan) -> dict[str, Any]:
    """What a verdict depends on besides the rows."""
    thresholds = {name: threshold.model_dump(exclude_none=True) for name, threshold in plan.config.gate.items()}
    return {"compared_with": in_service(plan), "thresholds": thresholds}


def _settled(plan: Plan, folder: str, version: str, metrics: Mapping[str, Any], outcome: str) -> TrainResult:
    """The result, lying where its verdict says."""
    target = f"{_folder(plan, MODELS)}/{version}"
    if outcome == "refused" or folder == target:
        return TrainResult(version, folder, metrics, outcome)
    files_at(target).rename_new(folder, target)
    return TrainResult(version, target, metrics, outcome)


def _folder(plan: Plan, place: str) -> str:
    return plan.warehouse.path(place, plan.config.model.kind)


def _versions(plan: Plan, place: str) -> list[str]:
    return published_versions(_folder(plan, place))


def _is_judged(plan: Plan, version: str) -> bool:
    return _has_verdict(candidate_folder(plan, version))


def _has_verdict(folder: str) -> bool:
    return any(entry.name == VERDICT for entry in read_manifest(folder).files)
