"""Where a small network puts the line between red and blue points: `python -m tsengine.examples.decision_boundary`.

Two colours lie at the corners of a square, each at opposite ones, so no straight line parts them. A network of three
hidden layers (2-4-8-2-2, sigmoids, softmax at the end) learns it by 2000 steps of gradient descent. It is the program
with which the TensorSlow teaching project ends, two layers deeper, in its own names. The picture needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tsengine.compat.tensorslow as ts

Floats = NDArray[np.float64]
WIDTHS = (2, 4, 8, 2, 2)
LEARNING_RATE = 0.03
GRID = 120
"""Points along each side of the square that is coloured."""


class Network(NamedTuple):
    """Points go in at `points` [n, 2] and one-hot colours at `colours` [n, 2]; `loss` is summed over the points."""

    points: Any
    colours: Any
    probability: Any
    loss: Any


def coloured_points(rng: np.random.Generator, each: int = 25) -> tuple[Floats, Floats]:
    """Points [4 * each, 2] around the corners of a square, and their colours one-hot: blue, then red."""
    corners = np.array([(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0)])
    points = np.repeat(corners, each, axis=0) + 0.2 * rng.standard_normal((4 * each, 2))
    return points, np.repeat(np.eye(2), 2 * each, axis=0)


def build(rng: np.random.Generator, widths: tuple[int, ...] = WIDTHS) -> Network:
    """The network in the default graph."""
    points, colours = ts.placeholder(), ts.placeholder()
    hidden = points
    for shape in pairwise(widths[:-1]):
        hidden = ts.sigmoid(_affine(hidden, shape, rng))
    probability = ts.softmax(_affine(hidden, widths[-2:], rng))
    loss = ts.negative(ts.reduce_sum(ts.reduce_sum(ts.multiply(colours, ts.log(probability)), axis=1)))
    return Network(points, colours, probability, loss)


def _affine(inputs: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    weights, bias = ts.Variable(rng.standard_normal(shape)), ts.Variable(rng.standard_normal(shape[1]))
    return ts.add(ts.matmul(inputs, weights), bias)


def train(network: Network, points: Floats, colours: Floats, steps: int) -> Iterator[float]:
    """The loss before each step."""
    step = ts.train.GradientDescentOptimizer(LEARNING_RATE).minimize(network.loss)
    session, feed = ts.Session(), {network.points: points, network.colours: colours}
    for _ in range(steps):
        loss, _ = session.run([network.loss, step], feed)
        yield float(loss)


def probabilities(network: Network, points: Floats) -> Floats:
    """Of blue and red, [n, 2]."""
    return np.asarray(ts.Session().run(network.probability, {network.points: points}))


def draw(network: Network, points: Floats, colours: Floats, losses: list[float], path: str) -> None:
    """The boundary with the points, and the loss by step, as a PNG."""
    from matplotlib.figure import Figure

    side = np.linspace(-0.8, 1.8, GRID)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    red = probabilities(network, grid.reshape(-1, 2))[:, 1].reshape(GRID, GRID)
    figure = Figure(figsize=(9, 4), layout="constrained")
    plane, curve = figure.subplots(1, 2)
    shown = plane.contourf(side, side, red, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.6)
    plane.contour(side, side, red, levels=[0.5], colors="black", linewidths=1)
    for column, colour in enumerate(("tab:blue", "tab:red")):
        chosen = points[colours[:, column] == 1]
        plane.scatter(chosen[:, 0], chosen[:, 1], s=14, color=colour, edgecolors="white", linewidths=0.4)
    plane.set_title("probability of red, and where it is one half")
    figure.colorbar(shown, ax=plane)
    curve.semilogy(losses)
    curve.set_title("loss, summed over the points")
    curve.set_xlabel("step")
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Train, say how well, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", default="decision_boundary.png", help="the picture (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2000, help="of gradient descent (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of points and first weights (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    with ts.Graph().as_default():
        rng = np.random.default_rng(chosen.seed)
        points, colours = coloured_points(rng)
        network = build(rng)
        losses = list(train(network, points, colours, chosen.steps))
        right = (probabilities(network, points).argmax(axis=1) == colours.argmax(axis=1)).mean()
        draw(network, points, colours, losses, chosen.out)
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps, {right:.0%} of the points on their side")
    print(f"picture: {chosen.out}")


if __name__ == "__main__":
    main()
