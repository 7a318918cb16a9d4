"""The example programs run, and end with what they say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tsengine.examples import decision_boundary


def test_the_boundary_parts_the_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "boundary.png"
    decision_boundary.main(["--out", str(picture)])
    said = capsys.readouterr().out
    first, last = map(float, re.findall(r"loss ([\d.]+) -> ([\d.]+)", said)[0])
    assert first > 50
    assert last < 1
    assert "100% of the points on their side" in said
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_points_lie_at_opposite_corners() -> None:
    points, colours = decision_boundary.coloured_points(np.random.default_rng(0))
    blue = points[colours[:, 0] == 1]
    np.testing.assert_allclose([blue[:25].mean(0), blue[25:].mean(0)], [[0, 1], [1, 0]], atol=0.15)
