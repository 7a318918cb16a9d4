"""The table of primitives: an OpDef holds everything the engine knows about one op.

The core (graph, gradients, compiler, session) reads this table and knows no op by name. A primitive computes in one of
four ways, and has exactly one of the first three:

kernel(out, *inputs, **attrs)    writes the result into `out`, whose shape the shape rule gave
compute(*inputs, **attrs)        returns a new array; for results whose shape depends on the data
update(store, *inputs, **attrs)  changes variables; runs after every reader of the run, has no result
view(*inputs, **attrs)           returns an alias of input 0 without computing; with `is_view(*specs, **attrs)` only
                                 where that is true of the shapes, else the kernel runs
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsengine.graph import Node

Rule = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class OpDef:
    """One primitive. Called with nodes, and attributes by name, it makes a node: a user's own op needs no function.

    infer(*specs, **attrs) -> Spec     shape and dtype rule; None for an op without a result
    gradient(node, grad) -> tuple      one Node, IndexedSlices or None per input, written in ops
    nondifferentiable                  why there is none: the value is constant but for jumps, or nobody goes through it
    undifferentiated                   why there is none although there could be: who asks for it gets an error
    onnx                               an ONNX op type (one to one), or a rule(builder, node, inputs) -> output name
    not_exported                       why there is no ONNX rule
    inplace                            inputs whose buffer the kernel may overwrite with its result
    broadcasting                       inputs broadcast against each other: the gradient driver sums back
    shape_only                         inputs of which only the shape is read, so their buffer may be reused before
    source                             has no inputs and is not computed: placeholder, constant, variable
    """

    name: str
    doc: str
    where: str
    infer: Rule
    kernel: Rule | None = None
    compute: Rule | None = None
    update: Rule | None = None
    view: Rule | None = None
    is_view: Rule | None = None
    gradient: Rule | None = None
    nondifferentiable: str | None = None
    undifferentiated: str | None = None
    onnx: str | Rule | None = None
    not_exported: str | None = None
    inplace: tuple[int, ...] = ()
    shape_only: tuple[int, ...] | range = ()
    commutative: bool = False
    broadcasting: bool = False
    source: bool = False
    stateful: bool = False

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __call__(self, *inputs: Any, name: str | None = None, **attrs: Any) -> Node:
        """A node that applies it; an attribute that is not given has the default that it has in `infer`."""
        from tsengine.graph import apply, as_nodes

        given = signature(self.infer).parameters.values()
        defaults = {item.name: item.default for item in given if item.default is not item.empty}
        return apply(self, *as_nodes(*inputs), name=name, **{**defaults, **attrs})


REGISTRY: dict[str, OpDef] = {}
"""Every primitive by name; filled when the families are imported."""


def register(name: str, *, doc: str, **facts: Any) -> OpDef:
    """Add a primitive to the table. A name taken already, or nothing to compute with, is an error that says where."""
    where = _definition_site()
    if name in REGISTRY:
        raise ValueError(f"op '{name}' at {where} is registered already, at {REGISTRY[name].where}")
    if not facts.get("source") and not facts.keys() & {"kernel", "compute", "update", "view"}:
        raise ValueError(f"op '{name}' at {where} computes nothing: give it a kernel, compute, update or view")
    REGISTRY[name] = OpDef(name=name, doc=doc, where=where, **facts)
    return REGISTRY[name]


def op(name: str, **flags: Any) -> Callable[[type], OpDef]:
    """Class decorator: the class's static methods and attributes are the facts of a primitive."""

    def read(rules: type) -> OpDef:
        facts = {key: getattr(rules, key) for key in vars(rules) if not key.startswith("__")}
        return register(name, doc=rules.__doc__ or "", **facts, **flags)

    return read


def _definition_site() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
