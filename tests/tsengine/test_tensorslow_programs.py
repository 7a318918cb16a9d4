"""Programs in the manner of the TensorSlow project's two examples: only their import changes, and they learn the same.

The reference numbers are that project's own, from float64 runs of its examples. They depend on the order in which the
programs draw: the data first, red before blue, then the parameters, all from NumPy's old generator.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tsengine as engine
import tsengine.compat.tensorslow as ts
from tsengine.specs import Array

pytestmark = pytest.mark.usefixtures("kernels")

PERCEPTRON = """
import matplotlib.pyplot as plt
import numpy as np

import tensorslow as ts

red_points = np.random.randn(50, 2) - 2
blue_points = np.random.randn(50, 2) + 2

ts.Graph().as_default()
X = ts.placeholder()
c = ts.placeholder()
W = ts.Variable(np.random.randn(2, 2))
b = ts.Variable(np.random.randn(2))
p = ts.softmax(ts.add(ts.matmul(X, W), b))
J = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(c, ts.log(p)), axis=1)))
minimize = ts.train.GradientDescentOptimizer(learning_rate=0.01).minimize(J)

session = ts.Session()
batch = {X: np.concatenate((blue_points, red_points)), c: [[1, 0]] * len(blue_points) + [[0, 1]] * len(red_points)}
W_first, b_first = session.run(W), session.run(b)
losses = []
for step in range(100):
    losses.append(session.run(J, batch))
    session.run(minimize, batch)

W_value, b_value = session.run(W), session.run(b)
x_axis = np.linspace(-4, 4, 100)
separator = -W_value[0][0] / W_value[1][0] * x_axis - b_value[0] / W_value[1][0]
plt.plot(x_axis, separator)
plt.scatter(*red_points.T, color="red")
plt.scatter(*blue_points.T, color="blue")
plt.show()
"""

MULTI_LAYER = """
import numpy as np
import tensorslow as ts
from matplotlib import pyplot

def cloud(*centre):
    return 0.2 * np.random.randn(25, 2) + np.array([centre])

red = np.concatenate([cloud(0, 0), cloud(1, 1)])
blue = np.concatenate([cloud(0, 1), cloud(1, 0)])

ts.Graph().as_default()
X, c = ts.placeholder(), ts.placeholder()
W, b = ts.Variable(np.random.randn(2, 2)), ts.Variable(np.random.randn(2))
W_out, b_out = ts.Variable(np.random.randn(2, 2)), ts.Variable(np.random.randn(2))
hidden = ts.sigmoid(ts.add(ts.matmul(X, W), b))
p = ts.softmax(ts.add(ts.matmul(hidden, W_out), b_out))
J = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(c, ts.log(p)), axis=1)))
minimize = ts.train.GradientDescentOptimizer(0.03).minimize(J)

session = ts.Session()
batch = {X: np.concatenate([blue, red]), c: [[1, 0]] * 50 + [[0, 1]] * 50}
losses = []
for step in range(1000):
    losses.append(session.run(J, batch))
    session.run(minimize, batch)

line = np.linspace(-2, 2)
classes = [[session.run(p, {X: [[x, y]]})[0].argmax() for y in line] for x in line]
pyplot.contourf(line, line, classes)
pyplot.show()
"""


class Stub(ModuleType):
    """A module that takes every call, and remembers its name and arguments."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self.calls.append((name, args))


class Ran:
    """A program after it ran: its variables, and what it drew."""

    def __init__(self, program: str, seed: int) -> None:
        changed = program.replace("import tensorslow as ts", "import tsengine.compat.tensorslow as ts")
        pairs = zip(program.splitlines(), changed.splitlines(), strict=True)
        assert sum(before != after for before, after in pairs) == 1, "one line of the program changes"
        plots, package = Stub("matplotlib.pyplot"), Stub("matplotlib")
        self._names: dict[str, Any] = {}
        with pytest.MonkeyPatch.context() as patched:
            package.pyplot = plots  # type: ignore[attr-defined]
            patched.setitem(sys.modules, "matplotlib", package)
            patched.setitem(sys.modules, "matplotlib.pyplot", plots)
            patched.setattr(np.random, "randn", np.random.RandomState(seed).randn)
            exec(compile(changed, "program.py", "exec"), self._names)
        self.drawn = plots.calls

    def __getattr__(self, name: str) -> Any:
        return self._names[name]

    def value(self, name: str, feed: Any = None) -> Any:
        """The value of one of its nodes now; of the whole batch by default."""
        return self.session.run(self._names[name], self.batch if feed is None else feed)

    @property
    def accuracy(self) -> float:
        """Share of the points whose larger probability is that of their colour."""
        return float(np.mean(self.value("p").argmax(axis=1) == np.argmax(self.batch[self.c], axis=1)))


@pytest.mark.parametrize(
    ("seed", "first", "last", "after", "W", "b"),
    [
        (
            0, 95.68681436534442, 0.4224689151835746, 0.4189391479296046,
            [[1.163180670943239, -1.7717416864616085], [2.124755429641721, -0.36983210303200853]],
            [-0.4586931106202534, -0.5181314075929854],
        ),
        (
            1, 761.0067187453935, 0.11450099739490137, 0.11391404485085513,
            [[1.7980867274167018, -1.3749593007552197], [1.6363365710558255, -0.2437639270658801]],
            [-1.4534460229290298, -1.6391942039869996],
        ),
    ],
)  # fmt: skip
def test_the_perceptron_learns_as_it_did(seed: int, first: float, last: float, after: float, W: Any, b: Any) -> None:
    ran = Ran(PERCEPTRON, seed)
    reached = [ran.losses[0], ran.losses[99], ran.value("J")]
    np.testing.assert_allclose(reached, [first, last, after], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ran.W_value, W, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ran.b_value, b, rtol=1e-8, atol=1e-9)
    assert ran.accuracy == 1.0
    if seed == 0:
        every_tenth = [
            95.68681436534442, 1.9513671297828379, 1.3855305692825977, 1.0709160525393717, 0.8721290713366695,
            0.7359756449168059, 0.6372695248862945, 0.5626059591583207, 0.5042326436275597, 0.4573743442822782,
        ]  # fmt: skip
        np.testing.assert_allclose(ran.losses[::10], every_tenth, rtol=1e-8)


@pytest.mark.parametrize(
    ("seed", "losses", "after", "accuracy", "ones"),
    [
        (0, (86.226362, 39.779951, 12.277037, 12.010625), 11.979724849616694, 0.95, 777),
        (1, (75.946232, 11.102530, 5.086520, 4.527557), 4.453556735102899, 0.98, 1987),
    ],
)
def test_the_multi_layer_perceptron_learns_as_it_did(
    seed: int, losses: tuple[float, ...], after: float, accuracy: float, ones: int
) -> None:
    """Then it is run for 2,500 single points, as the example draws its regions."""
    ran = Ran(MULTI_LAYER, seed)
    np.testing.assert_allclose([ran.losses[at] for at in (0, 100, 500, 900)], losses, atol=1e-6)
    np.testing.assert_allclose(ran.value("J"), after, rtol=1e-8, atol=1e-9)
    assert ran.accuracy == accuracy
    assert int(np.sum(ran.classes)) == ones
    if seed == 0:
        expected: dict[str, Any] = {
            "W": [[-7.288823815152789, -5.462224458987445], [5.658714531833434, 6.898658702834486]],
            "b": [4.745280603394184, -5.243726026760185],
            "W_out": [[-6.347960710871932, 5.585603677267368], [7.491081704466548, -7.309307495066246]],
            "b_out": [3.9991291407149396, -2.771732017430968],
        }
        for name, value in expected.items():
            np.testing.assert_allclose(ran.value(name), value, rtol=1e-8, atol=1e-9)


def test_what_the_programs_draw() -> None:
    ran = Ran(PERCEPTRON, 0)
    assert [name for name, _ in ran.drawn] == ["plot", "scatter", "scatter", "show"]
    x, y = ran.drawn[0][1]
    logits = np.stack([x, y], axis=1) @ ran.W_value[:, 0] + ran.b_value[0]
    np.testing.assert_allclose(logits, 0, atol=1e-12)
    assert [name for name, _ in Ran(MULTI_LAYER, 1).drawn] == ["contourf", "show"]


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_of_the_perceptron_only_falls(seed: int) -> None:
    losses = Ran(PERCEPTRON, seed).losses
    assert len(losses) == 100
    assert (np.diff(losses) <= 0).all()


def test_the_perceptron_tells_the_colours_apart_whatever_it_draws() -> None:
    """Over twenty draws: eighteen times all points, then all but one, and all but two."""
    accuracies = sorted(Ran(PERCEPTRON, seed).accuracy for seed in range(20))
    assert accuracies == [0.98, 0.99, *[1.0] * 18]


@pytest.mark.parametrize("seed", range(4))
def test_training_a_softmax_conserves_the_sum_over_classes(seed: int) -> None:
    """The gradients by the logits of one row sum to 0."""
    ran = Ran(PERCEPTRON, seed)
    assert np.abs(ran.W_value - ran.W_first).max() > 0.01
    np.testing.assert_allclose(ran.W_value.sum(axis=1), ran.W_first.sum(axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(ran.b_value.sum(), ran.b_first.sum(), rtol=0, atol=1e-12)


def test_the_notebook_s_cells_on_the_data() -> None:
    """The classifier of the lesson, with weights that it was given, and its loss on a hundred points."""
    random = np.random.RandomState(0)
    red, blue = random.randn(50, 2) - 2, random.randn(50, 2) + 2
    with ts.Graph().as_default():
        X, c = ts.placeholder(), ts.placeholder()
        p = ts.softmax(ts.add(ts.matmul(X, ts.Variable([[1, -1], [1, -1]])), ts.Variable([0, 0])))
        J = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(c, ts.log(p)), axis=1)))
        points = np.concatenate((blue, red))
        found = ts.Session().run([p, J], {X: points, c: [[1, 0]] * 50 + [[0, 1]] * 50})
    sums = points.sum(axis=1)
    np.testing.assert_allclose(found[0][:, 0], 1 / (1 + np.exp(-2 * sums)), rtol=1e-12)
    signs = np.repeat([1, -1], 50)
    np.testing.assert_allclose(found[1], np.log1p(np.exp(-2 * signs * sums)).sum(), rtol=1e-12)


def test_the_snippet_of_the_readme_with_its_names_defined() -> None:
    ts.Graph().as_default()
    X, c = ts.placeholder(), ts.placeholder()
    weights, bias = ts.Variable(np.zeros((2, 2))), ts.Variable(np.zeros(2))
    p = ts.softmax(ts.add(ts.matmul(X, weights), bias))
    J = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(c, ts.log(p)), axis=1)))
    minimize = ts.train.GradientDescentOptimizer(learning_rate=0.1).minimize(J)
    feed = {X: [[1.0, 2.0], [-1.0, -1.0]], c: [[1, 0], [0, 1]]}
    session = ts.Session()
    first = session.run(J, feed)
    for _ in range(50):
        session.run(minimize, feed)
    assert first == pytest.approx(2 * np.log(2))
    assert session.run(J, feed) < 0.1 * first


def single_precision(seed: int) -> tuple[float, float]:
    """Loss and accuracy of the multi-layer perceptron written for the engine itself, in float32."""
    random = np.random.RandomState(seed)
    red, blue = (
        [0.2 * random.randn(25, 2) + centre for centre in pair] for pair in (((0, 0), (1, 1)), ((0, 1), (1, 0)))
    )
    points, labels = np.concatenate([*blue, *red]), np.repeat([[1.0, 0.0], [0.0, 1.0]], 50, axis=0)
    with engine.Graph().as_default():
        parameters = [
            engine.Variable(random.randn(*shape).astype(np.float32)) for shape in ((2, 2), (2,), (2, 2), (2,))
        ]
        X, c = engine.constant(points, np.float32), engine.constant(labels, np.float32)
        logits = engine.linear(engine.sigmoid(engine.linear(X, *parameters[:2])), *parameters[2:])
        loss = engine.reduce_sum(engine.softmax_cross_entropy_with_logits(c, logits))
        step = engine.train.Optimizer(engine.train.GradientDescent(), 0.03).minimize(loss)
        session = engine.Session()
        for _ in range(1000):
            session.run(step)
        hits: Array = session.run(logits).argmax(axis=1) == labels.argmax(axis=1)
        assert {parameter.dtype.name for parameter in parameters} == {"float32"}
        return float(session.run(loss)), float(hits.mean())


@pytest.mark.parametrize(("seed", "after", "accuracy"), [(0, 11.979724849616694, 0.95), (1, 4.453556735102899, 0.98)])
def test_single_precision_gets_to_the_same_place(seed: int, after: float, accuracy: float) -> None:
    loss, hits = single_precision(seed)
    assert loss == pytest.approx(after, rel=1e-3)
    assert hits == accuracy
