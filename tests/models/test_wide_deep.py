"""The Wide & Deep graph against the same formula written once more, in plain NumPy and float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tsengine as ts
from pipeline.models import ModelGraph, build
from tests.models.model_cases import CONSTANTS, encoded_batch, model_spec, random_parameters
from tests.models.wide_deep_reference import Arrays, reference


def score(model: ModelGraph, batch: Arrays) -> NDArray[Any]:
    feeds = {model.inputs[name]: batch[name] for name in model.inputs}
    return np.asarray(ts.Session(graph=model.graph).run(model.logits, feeds))


def with_parameters(model: ModelGraph) -> Arrays:
    parameters = random_parameters(model.graph.variables)
    for name, value in parameters.items():
        model.graph.store.set(name, value)
    return parameters


def test_logits_follow_the_formula() -> None:
    spec = model_spec()
    model = build(spec)
    parameters = with_parameters(model)
    batch = encoded_batch(spec, 200)
    np.testing.assert_allclose(score(model, batch), reference(parameters, batch), rtol=0, atol=2e-5)


def test_probability_is_the_sigmoid_of_the_logits() -> None:
    spec = model_spec()
    model, batch = build(spec), encoded_batch(spec, 7)
    with_parameters(model)
    feeds = {model.inputs[name]: batch[name] for name in model.inputs}
    logits, probability = ts.Session(graph=model.graph).run([model.logits, model.probability], feeds)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits.astype(np.float64))), atol=1e-7)
    assert probability.dtype == np.float32


def test_an_untrained_model_says_the_prior() -> None:
    spec = model_spec()
    np.testing.assert_allclose(score(build(spec), encoded_batch(spec, 50)), math.log(0.2 / 0.8), rtol=1e-6)
    without = build(model_spec(constants={name: value for name, value in CONSTANTS.items() if name != "label"}))
    np.testing.assert_array_equal(score(without, encoded_batch(spec, 5)), 0)


def test_tables_are_what_is_looked_up_by_id() -> None:
    model = build(model_spec())
    assert model.tables == {
        "embedding/user_id", "embedding/item_id", "embedding/city", "bucket/context_position",
        "wide/user_key", "wide/user_city", "wide/item_key", "wide/context_position", "wide/cross_user_item",
    }  # fmt: skip
    shapes = {name: model.graph.variables[name].static_shape for name in model.tables}
    assert shapes["embedding/item_id"] == (9, 4)
    assert shapes["wide/cross_user_item"] == (17, 1)
    assert shapes["bucket/context_position"] == (5, 4)


def test_any_batch_size_including_none() -> None:
    spec = model_spec()
    model = build(spec)
    for rows in (0, 1, 7):
        assert score(model, encoded_batch(spec, rows)).shape == (rows,)


def test_no_finite_or_infinite_number_breaks_the_score() -> None:
    spec = model_spec()
    model, batch = build(spec), encoded_batch(spec, 4)
    with_parameters(model)
    for name in ("user_spend", "item_score", "context_position"):
        batch[name] = np.array([np.inf, -np.inf, 3e38, np.nan], np.float32)
    batch["item_rate__num"] = np.array([np.inf, np.nan, 3e38, 0], np.float32)
    batch["item_rate__den"] = np.array([0, np.nan, 3e38, -5], np.float32)
    assert np.isfinite(score(model, batch)).all()


def test_equal_seeds_begin_equally_and_others_do_not() -> None:
    first, same, other = (build(model_spec(seed=seed)) for seed in (3, 3, 4))
    for name in first.graph.variables:
        np.testing.assert_array_equal(first.graph.store.get(name), same.graph.store.get(name))
    assert (first.graph.store.get("embedding/city") != other.graph.store.get("embedding/city")).all()


def test_every_parameter_learns() -> None:
    """Each variable gets a gradient; a table's is sparse."""
    spec = model_spec()
    model, batch = build(spec), encoded_batch(spec, 64)
    with_parameters(model)
    with model.graph.as_default():
        loss = ts.reduce_mean(model.logits * model.logits)
        variables = model.graph.trainable_variables()
        gradients = ts.gradients(loss, variables)
    feeds = {model.inputs[name]: batch[name] for name in model.inputs}
    for variable, gradient in zip(variables, gradients, strict=True):
        assert isinstance(gradient, ts.IndexedSlices) == (variable.name in model.tables), variable.name
        values = gradient.values if isinstance(gradient, ts.IndexedSlices) else gradient
        assert np.abs(ts.Session(graph=model.graph).run(values, feeds)).sum() > 0, variable.name
