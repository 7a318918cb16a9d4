"""Running a graph: fetches and feeds in, values out, with plans kept between runs.

Plans are cached in two levels. The structure depends on (fetches, fed nodes) alone: a graph only grows and nodes never
change, so a plan stays right when nodes are added. Buffers depend on the shapes of the feeds besides; each set is used
by one run at a time, so threads that run the same plan together get sets of their own.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tsengine import numerics
from tsengine.compiler.pipeline import bind, compile_program
from tsengine.compiler.plan import Plan
from tsengine.compiler.program import Program
from tsengine.errors import GraphError, ManyPlans
from tsengine.feeds import check_key, fed_array
from tsengine.fetches import Fetches
from tsengine.graph import Graph, Node, pulled_in
from tsengine.kernels import encoder, resolved
from tsengine.profile import Profile
from tsengine.scopes import get_default_graph
from tsengine.sites import user_site
from tsengine.specs import Array, spec_of

_SHAPES_KEPT = 16
_MANY_BINDINGS = 64
Shapes = tuple[tuple[int, ...], ...]


@dataclass
class Stats:
    """Counters of a session: runs, structures compiled, sets of buffers bound."""

    runs: int = 0
    plans: int = 0
    bindings: int = 0


@dataclass
class _Structure:
    """One compiled program and its idle plans by feed shapes, the least recently used shapes first."""

    program: Program
    feeds: list[Node]
    idle: OrderedDict[Shapes, list[Plan]] = field(default_factory=OrderedDict)


class Session:
    """Runs nodes of a graph. Sessions of one graph share its variables; all else is per run.

    kernels: "numba" or "numpy", by default the faster that is installed; loaded at the first run.
    disable: passes to leave out, of `compiler.pipeline.PASSES`.
    checked: verify the program after every pass. check_numerics: stop at the first NaN or infinity with the node that
    made it (NotFinite); NumPy's kernels run then, without `fold` and `fuse`, and runs are slower.
    """

    def __init__(
        self,
        graph: Graph | None = None,
        *,
        kernels: str | None = None,
        disable: Collection[str] = (),
        checked: bool = False,
        check_numerics: bool = False,
    ) -> None:
        self.graph = graph or get_default_graph()
        self.kernels = "numpy" if check_numerics else resolved(kernels)
        self.stats = Stats()
        self.profile: Profile | None = None
        self._disable, self._checked, self._check_numerics = frozenset(disable), checked, check_numerics
        if check_numerics:
            self._disable |= numerics.OFF
        self._structures: dict[tuple[tuple[int, ...], tuple[int, ...]], _Structure] = {}
        self._closed = False

    def run(self, fetches: Any, feed_dict: Mapping[Node, Any] | None = None, *, profile: bool = False) -> Any:
        """The values of the fetches in the structure they were given: arrays (copies), scalars, None for operations.

        Any node with a value may be fed; the feed holds for this run only. Updates happen after everything was read.
        With `profile` every step is timed: `print(session.profile)` shows where the run's time went.
        """
        taken = Fetches(fetches, self.graph)
        feeds = {check_key(key, self.graph): value for key, value in (feed_dict or {}).items()}
        structure = self._structure(taken.nodes, list(feeds))
        arrays = [fed_array(node, feeds[node]) for node in structure.feeds]
        return taken.build(self._run(structure, arrays, profile=profile))

    def make_callable(self, fetches: Any, feed_list: Sequence[Node] = (), *, copy: bool = True) -> Callable[..., Any]:
        """A function of the fed values, in order, compiled once: the fast way to run the same fetches many times.

        With copy=False the arrays it returns are overwritten by its next call; such a function is for one thread.
        """
        taken = Fetches(fetches, self.graph)
        nodes = [check_key(key, self.graph) for key in feed_list]
        structure = self._structure(taken.nodes, nodes)
        places = {node: place for place, node in enumerate(nodes)}
        used = [places[node] for node in structure.feeds]
        own = structure if copy else _Structure(structure.program, structure.feeds)

        def call(*values: Any) -> Any:
            if len(values) != len(nodes):
                raise TypeError(f"expected {len(nodes)} values for {[node.name for node in nodes]}, got {len(values)}")
            arrays = [fed_array(nodes[place], values[place]) for place in used]
            return taken.build(self._run(own, arrays, copy))

        return call

    def plan(self, fetches: Any, feed_dict: Mapping[Node, Any] | None = None) -> Plan:
        """The plan that `run` would use, for reading: `print(session.plan(fetches, feeds).dump())`."""
        feeds = {check_key(key, self.graph): value for key, value in (feed_dict or {}).items()}
        structure = self._structure(Fetches(fetches, self.graph).nodes, list(feeds))
        return self._bound(structure, [fed_array(node, feeds[node]) for node in structure.feeds])

    def close(self) -> None:
        """Give back the plans; the session cannot run any more."""
        self._structures.clear()
        self._closed = True

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _structure(self, nodes: list[Node], feeds: list[Node]) -> _Structure:
        if self._closed:
            raise GraphError("Attempted to use a closed Session.")
        key = (tuple(node.id for node in nodes), tuple(sorted(node.id for node in feeds)))
        found = self._structures.get(key)
        if found is None:
            pulled = pulled_in(nodes, frozenset(node.id for node in feeds))
            program = compile_program([*nodes, *pulled], feeds, self._disable, self._checked)
            if self._check_numerics:
                program = numerics.checked(program)
            found = self._structures[key] = _Structure(program, [self.graph.nodes[item] for item in program.feeds])
            self.stats.plans += 1
        return found

    def _run(self, structure: _Structure, arrays: list[Array], copy: bool = True, profile: bool = False) -> list[Any]:
        shapes = tuple(array.shape for array in arrays)
        plan = _take_idle(structure, shapes) or self._bound(structure, arrays)
        try:
            if not profile:
                return plan.run(arrays, copy)
            self.profile = Profile(plan.bytes_of)
            return plan.run(arrays, copy, self.profile.add)
        finally:
            self.stats.runs += 1
            _give_back(structure, shapes, plan)

    def _bound(self, structure: _Structure, arrays: list[Array]) -> Plan:
        self.stats.bindings += 1
        if self.stats.bindings == _MANY_BINDINGS:
            self._warn_of_many()
        specs = {node.id: spec_of(array) for node, array in zip(structure.feeds, arrays, strict=True)}
        return bind(structure.program, specs, self.graph.store, self._disable, encoder(self.kernels))

    def _warn_of_many(self) -> None:
        """Once a session, at the user's line."""
        message = (
            f"this session has bound {_MANY_BINDINGS} plans, for {self.stats.plans} different sets of fetches and fed "
            f"nodes; the rest are other shapes of feeds, of which the {_SHAPES_KEPT} used last are kept for each set. "
            "Binding takes longer than most runs: pad batches to a few sizes, and make no nodes in a loop"
        )
        file, line = user_site()
        warnings.warn_explicit(message, ManyPlans, file, line)


def _take_idle(structure: _Structure, shapes: Shapes) -> Plan | None:
    try:
        return structure.idle[shapes].pop()
    except (KeyError, IndexError):  # one look-up, so that two threads cannot both see the same plan
        return None


def _give_back(structure: _Structure, shapes: Shapes, plan: Plan) -> None:
    idle = structure.idle
    idle.setdefault(shapes, []).append(plan)
    try:
        idle.move_to_end(shapes)
        if len(idle) > _SHAPES_KEPT:
            idle.popitem(last=False)
    except KeyError:  # another thread dropped these shapes in between; the plan is then simply not kept
        return
