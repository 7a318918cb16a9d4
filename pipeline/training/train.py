"""One training: choose days, fit, train, evaluate, export, judge. What is blessed is published, the rest is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact, Vocabulary, save_candidate
from pipeline.artifact.load import VERDICT
from pipeline.config import Config
from pipeline.days import Day
from pipeline.errors import PipelineError, Refused
from pipeline.models import ModelSpec
from pipeline.progress import Progress
from pipeline.storage import Warehouse, files_at
from pipeline.training import metrics
from pipeline.training.curves import Curves
from pipeline.training.evaluation import Evaluated, evaluate, oracle_auc
from pipeline.training.fitting import fit_constants
from pipeline.training.plan import Plan, make_plan
from pipeline.training.replica import PROGRAM
from pipeline.training.service import (
    TrainResult,
    candidate_folder,
    finished,
    in_service,
    judge_candidate,
    next_version,
    read_json,
)  # fmt: skip
from tsengine.parallel import CheckpointMismatch, StepReport, Trainer, TrainingFailure

GOLDEN_ROWS = 300
LOGGED_STEPS = 30
"""Lines of progress that one run prints at most, about."""
CHECKPOINTS = 5
"""So many are written in a run at least; in a long one, every 200 steps."""


def train(config: Config, warehouse: Warehouse, day: Day, progress: Progress | None = None) -> TrainResult:
    """Train on the days before, judge on the days up to `day`, export and pass the gate.

    A run is its inputs, its config, its seed and its code: interrupted, it goes on from its last checkpoint; finished,
    it is not done again. Raises MissingInput naming days that are not there, PipelineError when a worker fails, Refused
    when the gate says no (the candidate stays in candidates/, the model in service stays in service).
    """
    plan = make_plan(config, warehouse, day)
    with Progress(1, "train") if progress is None else progress.part() as shown:
        if found := finished(plan):
            shown.log(
                "train", dt=day, state="unchanged", version=found.version, in_service=in_service(plan), run=plan.run
            )
            return _passed(found)
        shown.log(
            "train", dt=day, state="begins", run=plan.run, rows=plan.training().rows,
            train_days=f"{plan.train_days[0]}..{plan.train_days[-1]}",
            evaluation_days=f"{plan.evaluation_days[0]}..{plan.evaluation_days[-1]}",
        )  # fmt: skip
        shown.doing("fit constants")
        model = plan.model_spec(fit_constants(plan.training(), plan.specs))
        parameters = _run(plan, model, shown)
        shown.doing("evaluate and export")
        return _passed(_publish(plan, model, parameters))


def _run(plan: Plan, model: ModelSpec, progress: Progress) -> dict[str, NDArray[Any]]:
    """Train over processes; the parameters at the end."""
    training = plan.config.training
    steps = plan.training().steps_per_epoch * training.epochs
    every = max(1, -(-steps // LOGGED_STEPS))
    spec = {
        "model": model.to_json(),
        "loader": {"folders": plan.folders, **plan.batching},
        "training": {**training.model_dump(mode="json"), "observe_every": every},
    }
    with Curves(plan.checkpoints) as curves:
        trainer = Trainer(
            PROGRAM, spec, training.workers, training.shards, training.batch_size // training.shards,
            checkpoints=plan.checkpoints, checkpoint_every=min(200, -(-steps // CHECKPOINTS)),
            run={"id": plan.run, "layout": plan.training().digest}, on_step=_Follow(progress, curves, steps, every),
        )  # fmt: skip
        try:
            return trainer.train()
        except (TrainingFailure, CheckpointMismatch, MemoryError) as error:
            raise PipelineError(f"training stopped: {error}") from None


class _Follow:
    """Shows and records steps as they come."""

    def __init__(self, progress: Progress, curves: Curves, steps: int, every: int) -> None:
        self._progress, self._curves, self._steps, self._every = progress, curves, steps, every
        self._losses: list[float] = []

    def __call__(self, report: StepReport) -> None:
        self._losses.append(report.loss)
        seconds = max(report.seconds, 1e-9)
        speed = {"rows_per_s": report.weight_sum / seconds, "waited": report.waited_s / seconds}
        self._curves.add(report.step, {"loss": report.loss, **speed, **report.observed})
        done = report.step + 1
        self._progress.doing(f"train {done}/{self._steps} loss {report.loss:.4f}")
        if done % self._every == 0 or done == self._steps:
            loss = float(np.mean(self._losses))
            self._losses.clear()
            seen = {name: round(value, 4) for name, value in report.observed.items()}
            self._progress.log("training", step=f"{done}/{self._steps}", loss=round(loss, 4), **seen)


def _publish(plan: Plan, model: ModelSpec, parameters: Mapping[str, NDArray[Any]]) -> TrainResult:
    """Evaluate, write the candidate, judge it, and put it into service if it may."""
    version = next_version(plan)
    held = {name: Vocabulary(name, values) for name, values in plan.vocabularies.items()}
    artifact = Artifact(model, parameters, held, version)
    evaluated = evaluate(plan.evaluation(), model, artifact.score_ids)
    numbers = _metrics(plan, evaluated)
    folder = candidate_folder(plan, version)
    files_at(folder).remove(folder)  # a candidate that a killed training wrote and did not judge
    golden, _ = next(plan.evaluation().in_order(rows=GOLDEN_ROWS))
    product, scratch = plan.config.product.name, f"{plan.checkpoints}/candidate"
    save_candidate(
        folder, model, parameters, plan.vocabularies, golden, numbers, plan.lineage(), product, version, scratch
    )
    return judge_candidate(plan, version, evaluated.scored, numbers)


def _metrics(plan: Plan, evaluated: Evaluated) -> dict[str, Any]:
    scored = evaluated.scored
    return {
        **metrics.summary(scored.label, scored.score, scored.weight, scored.users),
        "oracle_auc": oracle_auc(plan.warehouse, plan.evaluation_days, evaluated),
        "unknown_id_share": evaluated.unknown_share,
        "training_rows": plan.training().rows,
        "evaluation_rows": len(evaluated.example_ids),
    }


def _passed(result: TrainResult) -> TrainResult:
    """The result, unless the gate refused it."""
    if result.gate == "refused":
        told = read_json(result.folder, VERDICT)
        raise Refused(f"the gate refused {result.folder}: " + "; ".join(told["reasons"]))
    return result
