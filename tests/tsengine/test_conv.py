"""Convolution, pooling and batch normalization against loops over every pixel, central differences and onnxruntime."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import tsengine as ts
from tsengine import errors
from tsengine.examples import mnist
from tsengine.kernels.conv import Window
from tsengine.onnx import to_onnx
from tsengine.specs import Array
from tsengine.testing.gradcheck import gradient_error
from tsengine.testing.opcases.conv import average_pooling, convolution, max_pooling, max_pooling_gradient

MOVES = [
    pytest.param(sizes, window, strides, padding, id=f"{sizes}-{window}-{strides}-{padding}")
    for sizes, window, strides, padding in product(
        ((7, 7), (8, 5)), ((1, 1), (2, 3), (3, 3), (5, 4)), ((1, 1), (2, 2), (3, 1)), ("valid", "same")
    )
]
Place = tuple[int, int]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


@pytest.fixture(autouse=True)
def graph() -> Iterator[ts.Graph]:
    with ts.Graph().as_default() as graph:
        yield graph


def run(build: Callable[..., ts.Node], *arrays: Array, free: bool = False) -> Array:
    """The value of what `build` makes of placeholders; `free`: all their sizes are unknown."""
    nodes = [ts.placeholder(item.dtype, [None] * item.ndim if free else item.shape) for item in arrays]
    return np.asarray(ts.Session(checked=True).run(build(*nodes), dict(zip(nodes, arrays, strict=True))))


@pytest.mark.parametrize(("sizes", "window", "strides", "padding"), MOVES)
def test_windows_are_those_of_loops_over_pixels(
    rng: np.random.Generator, sizes: Place, window: Place, strides: Place, padding: str
) -> None:
    x, filters = rng.standard_normal((2, 3, *sizes)), rng.standard_normal((4, 3, *window))
    moved = Window(window, strides, padding)
    for free in (False, True):
        got = run(lambda x, f: ts.conv2d(x, f, strides, padding), x, filters, free=free)
        np.testing.assert_allclose(got, convolution(x, filters, strides, padding), rtol=1e-12, atol=1e-12)
        got = run(lambda x: ts.max_pool2d(x, window, strides, padding), x, free=free)
        np.testing.assert_array_equal(got, max_pooling(x, moved))
        got = run(lambda x: ts.avg_pool2d(x, window, strides, padding), x, free=free)
        np.testing.assert_allclose(got, average_pooling(x, moved), rtol=1e-12)


@pytest.mark.parametrize(("sizes", "window", "strides", "padding"), MOVES[::5])
def test_gradients(rng: np.random.Generator, sizes: Place, window: Place, strides: Place, padding: str) -> None:
    x, filters = rng.standard_normal((2, 3, *sizes)), rng.standard_normal((4, 3, *window))
    assert gradient_error(lambda x, f: ts.conv2d(x, f, strides, padding), [x, filters]) < 1e-6
    assert gradient_error(lambda x: ts.max_pool2d(x, window, strides, padding), [x]) < 1e-6
    assert gradient_error(lambda x: ts.avg_pool2d(x, window, strides, padding), [x]) < 1e-6


def test_second_order(rng: np.random.Generator) -> None:
    def slope(x: ts.Node, filters: ts.Node) -> ts.Node:
        features = ts.tanh(ts.conv2d(x, filters, 2, "same"))
        found = ts.gradients(ts.square(ts.avg_pool2d(ts.max_pool2d(features, 2, 1), 2, 1)), [x, filters])
        by_x, by_filters = (grad for grad in found if isinstance(grad, ts.Node))
        return ts.reduce_sum(ts.square(by_x)) + ts.reduce_sum(ts.square(by_filters))

    assert gradient_error(slope, [rng.standard_normal((2, 2, 7, 6)), rng.standard_normal((3, 2, 3, 3))]) < 1e-6


def test_a_batch_in_blocks_is_the_batch_image_by_image(rng: np.random.Generator) -> None:
    x = rng.standard_normal((40, 8, 28, 28)).astype(np.float32)  # 225 KB of columns for each image
    filters = rng.standard_normal((6, 8, 3, 3)).astype(np.float32)
    whole = run(lambda x, f: ts.conv2d(x, f, padding="same"), x, filters)
    for image in (0, 4, 39):
        one = run(lambda x, f: ts.conv2d(x, f, padding="same"), x[image : image + 1], filters)
        np.testing.assert_array_equal(whole[image : image + 1], one)


def test_of_equal_maxima_the_first_takes_the_gradient() -> None:
    x = np.array([[[[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]])
    node = ts.placeholder(np.float64, x.shape)
    (grad,) = ts.gradients(ts.max_pool2d(node, 2, 1), [node])
    np.testing.assert_array_equal(ts.Session().run(grad, {node: x}), [[[[1, 1, 0], [0, 0, 0]]]])
    window = Window((2, 2), (1, 1), "valid")
    np.testing.assert_array_equal(max_pooling_gradient(np.ones((1, 1, 1, 2)), x, window), [[[[1, 1, 0], [0, 0, 0]]]])


def test_a_window_with_nan_is_nan_and_passes_no_gradient() -> None:
    x = np.array([[[[1.0, np.nan, 2.0, 3.0]]]])
    node = ts.placeholder(np.float64, x.shape)
    y = ts.max_pool2d(node, (1, 2))
    value, grad = ts.Session().run([y, ts.gradients(y, [node])[0]], {node: x})
    np.testing.assert_array_equal(value, [[[[np.nan, 3]]]])
    np.testing.assert_array_equal(grad, [[[[0, 0, 0, 1]]]])


def test_padding_is_never_the_maximum_and_not_counted_in_the_mean() -> None:
    x = np.full((1, 1, 3, 3), -2.0)
    np.testing.assert_array_equal(run(lambda x: ts.max_pool2d(x, 2, padding="same"), x), np.full((1, 1, 2, 2), -2))
    np.testing.assert_array_equal(run(lambda x: ts.avg_pool2d(x, 3, 1, "same"), x), x)


def test_global_average(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 5))
    np.testing.assert_allclose(run(ts.global_avg_pool2d, x, free=True), np.einsum("bchw->bc", x) / 20, rtol=1e-12)


def test_shapes_are_known_as_far_as_they_can_be() -> None:
    filters = ts.constant(np.zeros((8, 3, 3, 3), np.float32))
    x = ts.placeholder(np.float32, [None, 3, 28, None])
    assert ts.conv2d(x, filters).shape == (None, 8, 26, None)
    assert ts.conv2d(x, filters, 2, "same").shape == (None, 8, 14, None)
    assert ts.max_pool2d(x, 2).shape == (None, 3, 14, None)
    unknown = ts.placeholder(np.float32)
    assert ts.conv2d(unknown, filters).shape == (None, 8, None, None)
    assert ts.conv2d(x, unknown, padding="same").shape == (None, None, 28, None)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda x, f: ts.conv2d(x[0], f),
            r"x \[batch, channels, height, width\] must have rank 4, got float32\[3,5,5\]",
        ),
        (lambda x, f: ts.conv2d(x[:, :2], f), r"x float32\[\?,2,5,5\] has 2 channels, the filters .* take 3"),
        (lambda x, f: ts.conv2d(x, f, padding="SAME"), "padding must be 'valid' or 'same', got 'SAME'"),
        (lambda x, f: ts.conv2d(x, f, 0), r"strides must be at least 1, got \[0, 0\]"),
        (lambda x, f: ts.max_pool2d(x, 6), r"a window \[6,6\] does not fit into an image \[5,5\]"),
        (lambda x, f: ts.avg_pool2d(x, 0), r"a window must have at least one element, got \[0,0\]"),
        (lambda x, f: ts.max_pool2d(ts.cast(x, np.int32), 2), "must be floating, got int32"),
    ],
)
def test_mistakes_are_told_where_they_are_made(build: Callable[..., ts.Node], message: str) -> None:
    x, filters = ts.placeholder(np.float32, [None, 3, 5, 5]), ts.placeholder(np.float32, [4, 3, 3, 3])
    with pytest.raises(errors.GraphError, match=rf"(?s)test_conv.py:\d+\): .*{message}"):
        build(x, filters)


def test_a_pair_is_two_numbers() -> None:
    with pytest.raises(errors.GraphError, match=r"strides must be one number or \(height, width\), got \(1, 1, 1\)"):
        ts.conv2d(ts.placeholder(), ts.placeholder(), (1, 1, 1))


@pytest.mark.parametrize("size", [0, 1, 5])
@pytest.mark.parametrize("image", [(9, 8), (None, None)])
def test_a_convnet_in_onnx(rng: np.random.Generator, size: int, image: tuple[int | None, int | None]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    x = ts.placeholder(np.float32, [None, 2, *image], name="x")
    training = ts.placeholder(np.bool_, [], name="training")
    scale, offset, mean, variance = (ts.Variable(rng.uniform(0.5, 1.5, 4).astype(np.float32)) for _ in range(4))
    first = ts.Variable(rng.standard_normal((4, 2, 3, 2)).astype(np.float32))
    second = ts.Variable(rng.standard_normal((3, 4, 2, 2)).astype(np.float32))
    hidden = ts.relu(ts.batch_norm(ts.conv2d(x, first, 2, "same"), scale, offset, mean, variance))
    hidden = ts.avg_pool2d(ts.max_pool2d(hidden, (2, 3), 1, "same"), 3, 2, "same")
    y = ts.global_avg_pool2d(ts.dropout(ts.conv2d(hidden, second), 0.5, training=training))
    session = onnxruntime.InferenceSession(
        to_onnx({"y": y}, [x]).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images = rng.standard_normal((size, 2, 9, 8)).astype(np.float32)
    want = ts.Session().run(y, {x: images, training: False})
    np.testing.assert_allclose(session.run(None, {"x": images})[0], want, rtol=1e-5, atol=1e-5)


def _normalized(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray((x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5))


@pytest.mark.parametrize(("shape", "axes"), [((6, 3), (0,)), ((4, 3, 2, 5), (0, 2, 3))])
def test_batch_norm_in_training(rng: np.random.Generator, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x, scale, offset = 3 + 2 * rng.standard_normal(shape), rng.standard_normal(3), rng.standard_normal(3)
    beside = (slice(None),) + (None,) * (len(shape) - 2)
    node, factor = ts.placeholder(np.float64, [None, *shape[1:]]), ts.placeholder(np.float64, [3])
    found = ts.batch_norm_train(node, factor, ts.constant(offset))
    y, mean, variance = ts.Session().run(found, {node: x, factor: scale})
    np.testing.assert_allclose(y, _normalized(x, axes) * scale[beside] + offset[beside], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mean, x.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(variance, x.var(axes), rtol=1e-12)
    for part in range(3):
        assert gradient_error(lambda *n, part=part: ts.batch_norm_train(*n)[part], [x, scale, offset]) < 1e-6


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 2, 5)])
def test_batch_norm_in_inference_is_that_of_training_with_its_statistics(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    x, scale, offset = rng.standard_normal(shape), rng.standard_normal(3), rng.standard_normal(3)
    trained = ts.batch_norm_train(ts.constant(x), ts.constant(scale), ts.constant(offset))
    served = ts.batch_norm(ts.constant(x), ts.constant(scale), ts.constant(offset), trained[1], trained[2])
    want, got = ts.Session().run([trained[0], served])
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    variance = rng.uniform(0.5, 2.0, 3)
    assert gradient_error(lambda *nodes: ts.batch_norm(*nodes), [x, scale, offset, offset + 1, variance]) < 1e-6


def test_moving_averages_follow_by_assign_ops(graph: ts.Graph, rng: np.random.Generator) -> None:
    x = ts.placeholder(np.float32, [None, 2])
    moving = ts.Variable(np.zeros(2, np.float32), name="moving", trainable=False)
    _, mean, _ = ts.batch_norm_train(x, ts.constant([1.0, 1.0]), ts.constant([0.0, 0.0]))
    follow = ts.assign(moving, moving * 0.9 + mean * 0.1)
    expected = np.zeros(2)
    session = ts.Session()
    for _ in range(3):
        rows = rng.standard_normal((5, 2)).astype(np.float32)
        session.run(follow, {x: rows})
        expected = expected * 0.9 + rows.mean(0) * 0.1
    np.testing.assert_allclose(graph.store.get("moving"), expected, rtol=1e-5)


def test_batch_norm_needs_to_know_the_rank() -> None:
    with pytest.raises(errors.GraphError, match=r"needs x of rank 2 or 4, got float32\[\.\.\.\]"):
        ts.batch_norm_train(ts.placeholder(np.float32), ts.constant([1.0]), ts.constant([1.0]))


def _write_digits(folder: Path, part: str, count: int) -> None:
    """Images 8x8 in which a bright column is the class."""
    labels = np.arange(count, dtype=np.uint8) % 8
    images = np.zeros((count, 8, 8), np.uint8)
    images[np.arange(count), :, labels] = 255
    header = b"\0\0\x08\3" + np.array([count, 8, 8], ">u4").tobytes()
    (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = b"\0\0\x08\1" + np.array([count], ">u4").tobytes()
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels.tobytes()))


@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_the_example_learns_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    for part, count in (("train", 1024), ("t10k", 64)):
        _write_digits(tmp_path, part, count)
    mnist.main(["--data", str(tmp_path), "--model", model, "--epochs", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1", "2", "3", "4"]
    assert "test 100.00%" in lines[-1]


def test_the_example_says_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither train-images-idx3-ubyte nor train"):
        mnist.load(tmp_path, "train")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="is not an IDX file of bytes: it begins with"):
        mnist.load(tmp_path, "train")
