"""Wide & Deep: memorise with a linear model, generalise with embeddings, train both together.

    logit = b + sum_f w_f[id_f] + sum_c w_c[cross_c] + w_n . n        wide
              + v . h_K,  h_k = relu(W_k h_(k-1) + b_k),              deep
    h_0 = [E_v[id] of every id and bucketed number, mean of E_v over every sequence, n]
    p = sigmoid(logit)

n holds the numbers and rates as columns (pipeline.models.transforms); E_v is one table a vocabulary, shared by all its
uses (a hashed id has its own); w_f is one table a use. Bucketed numbers are ids in both parts. Embeddings begin at
normal(0, 0.05), relu layers at He's normal, the wide weights and v at zero and b at the log odds of the label's prior,
so that the first loss is the label's entropy.

Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016, arXiv:1606.07792.
"""

from __future__ import annotations

import math
from itertools import pairwise

import tsengine as ts
from pipeline.features import FeatureSpec
from pipeline.models.model_graph import ModelGraph
from pipeline.models.signature import encoded_inputs, length_name
from pipeline.models.spec import ModelSpec
from pipeline.models.transforms import bucket_count, bucket_ids, cross_ids, known_ids, number_columns, rate_columns
from tsengine.initializers import Constant, HeNormal, Initializer, Normal

EMBEDDING_STDDEV = 0.05


def wide_deep(spec: ModelSpec) -> ModelGraph:
    """The graph of a Wide & Deep model; variables are named by part, so a checkpoint reads well."""
    graph = ts.Graph()
    with graph.as_default():
        model = _WideDeep(spec)
        logits = ts.squeeze(model.wide() + model.deep(), 1)
        return ModelGraph(graph, model.inputs, logits, ts.sigmoid(logits), frozenset(model.tables))


class _WideDeep:
    """The graph while it is being built: placeholders, the ids and columns made from them, and the tables so far."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.inputs = {
            entry.name: ts.placeholder(entry.dtype, (None, *entry.shape), name=entry.name)
            for entry in encoded_inputs(spec.features)
        }
        self.tables: dict[str, ts.Variable] = {}
        self.ids = {feature.name: self._ids(feature) for feature in spec.features if _is_discrete(feature)}
        self.columns = [column for feature in spec.features for column in self._columns(feature)]

    def wide(self) -> ts.Node:
        """[B, 1] ([1] with sequences alone): one weight for every id, bucket and cross, and one for every column."""
        terms = [self._weight(feature) for feature in self._discrete() if feature.kind != "sequence"]
        if self.columns:
            weights = ts.Variable(initializer=Constant(0.0), shape=(len(self.columns), 1), name="wide/columns")
            terms.append(ts.concat(self.columns, axis=1) @ weights)
        bias = ts.Variable([math.log(self.spec.label_prior / (1 - self.spec.label_prior))], name="wide/bias")
        return ts.bias_add(ts.add_n(terms), bias) if terms else bias

    def deep(self) -> ts.Node:
        """[B, 1]: relu layers over embeddings, pooled sequences and columns."""
        parts = [self._embedded(feature) for feature in self._discrete() if feature.kind != "cross"]
        hidden = ts.concat([*parts, *self.columns], axis=1)
        widths = [len(parts) * self.spec.embedding_dim + len(self.columns), *self.spec.hidden]
        for number, shape in enumerate(pairwise(widths)):
            hidden = ts.relu(_dense(f"deep/layer_{number}", hidden, shape, HeNormal(self.spec.seed)))
        return _dense("deep/output", hidden, (widths[-1], 1), Constant(0.0))

    def _ids(self, feature: FeatureSpec) -> ts.Node:
        """int [B], or [B, L] of a sequence."""
        if feature.edges is not None:
            return bucket_ids(self.inputs[feature.name], feature.edges)
        if feature.of is not None:
            first, second = (self._ids(self.spec.named(part)) for part in feature.of)
            return cross_ids(first, second, self._rows(feature))
        return known_ids(self.inputs[feature.name], self._rows(feature))

    def _columns(self, feature: FeatureSpec) -> list[ts.Node]:
        if feature.kind == "number" and feature.edges is None:
            return number_columns(self.inputs[feature.name], feature, self.spec.constants[feature.name])
        if feature.kind == "rate":
            parts = [self.inputs[column] for column in feature.columns]
            return rate_columns(parts, feature, self.spec.constants[feature.name])
        return []

    def _discrete(self) -> list[FeatureSpec]:
        return [feature for feature in self.spec.features if feature.name in self.ids]

    def _weight(self, feature: FeatureSpec) -> ts.Node:
        """[B, 1]."""
        table = self._table(f"wide/{feature.name}", self._rows(feature), 1, Constant(0.0))
        return ts.embedding_lookup(table, self.ids[feature.name])

    def _embedded(self, feature: FeatureSpec) -> ts.Node:
        """[B, embedding_dim]."""
        name = f"embedding/{feature.vocabulary}" if feature.vocabulary else f"bucket/{feature.name}"  # by edges or hash
        initializer = Normal(self.spec.seed, stddev=EMBEDDING_STDDEV)
        table = self._table(name, self._rows(feature), self.spec.embedding_dim, initializer)
        if feature.kind == "sequence":
            return ts.embedding_bag(table, self.ids[feature.name], self.inputs[length_name(feature)], "mean")
        return ts.embedding_lookup(table, self.ids[feature.name])

    def _rows(self, feature: FeatureSpec) -> int:
        if feature.edges is not None:
            return bucket_count(feature.edges)
        return feature.buckets or 0 if feature.kind == "cross" else self.spec.ids(feature)

    def _table(self, name: str, rows: int, width: int, initializer: Initializer) -> ts.Variable:
        if name not in self.tables:
            self.tables[name] = ts.Variable(initializer=initializer, shape=(rows, width), name=name)
        return self.tables[name]


def _is_discrete(feature: FeatureSpec) -> bool:
    return feature.kind in ("id", "sequence", "cross") or feature.edges is not None


def _dense(name: str, inputs: ts.Node, shape: tuple[int, int], initializer: Initializer) -> ts.Node:
    """[B, shape[0]] to [B, shape[1]]."""
    weights = ts.Variable(initializer=initializer, shape=shape, name=f"{name}/weights")
    bias = ts.Variable(initializer=Constant(0.0), shape=shape[1:], name=f"{name}/bias")
    return ts.bias_add(inputs @ weights, bias)
