"""`make run` twice: the same numbers, every line counted as the simulator meant it, and a model that is what it says.

The second run.json has the bytes of the first but for `seconds_by_step`; lines read are events, duplicates and
quarantined lines, rule by rule as many as the truth has; onnxruntime scores the golden rows as the engine does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.artifact import load_golden
from pipeline.storage import data_files

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS: tuple[str, ...] = ()
"""The demonstration as it is."""


def run(warehouse: Path, settings: tuple[str, ...] = SETTINGS) -> str:
    """The demonstration; the text of its run.json."""
    options = [f"--set={setting}" for setting in (*settings, f"product.warehouse={warehouse}")]
    conf = str(PROJECT / "conf" / "live.toml")
    subprocess.run(
        [sys.executable, "-m", "jobs.run", "--conf", conf, *options], check=True, cwd=PROJECT, stdin=subprocess.DEVNULL
    )
    return (warehouse / "live" / "reports" / "run.json").read_text(encoding="utf-8")


def without_seconds(text: str) -> str:
    """The bytes of a run.json but for its seconds."""
    numbers = json.loads(text)
    assert text == json.dumps(numbers, indent=1, sort_keys=True) + "\n", "run.json is written in another form"
    return json.dumps({name: value for name, value in numbers.items() if name != "seconds_by_step"}, indent=1)


def fates(product: Path) -> Counter[str]:
    """Lines of `events` that must not become events of their own, by what the simulator says must become of them."""
    found: Counter[str] = Counter()
    for folder in sorted((product / "truth" / "lines").iterdir()):
        for path in data_files(str(folder)):
            table = pq.ParquetFile(path).read()
            found += Counter(table.filter(pc.equal(table["source"], "events"))["fate"].to_pylist())
    return Counter({fate: lines for fate, lines in found.items() if fate not in ("repaired", "bot")})


def check_lines(numbers: dict[str, Any], told: Counter[str]) -> None:
    """Every line is counted once, and as what the simulator made of it."""
    counted = numbers["events_kept"] + numbers["duplicates_dropped"] + numbers["quarantined"]
    assert numbers["lines_read"] == counted, f"{numbers['lines_read']} lines read, {counted} accounted for"
    found = Counter({**numbers["quarantined_by_rule"], "duplicate": numbers["duplicates_dropped"]})
    assert found == told, {fate: (found[fate], told[fate]) for fate in {*found, *told} if found[fate] != told[fate]}


def onnx_difference(artifact: Path) -> float:
    """By how much onnxruntime, from raw values, and the engine differ at most on the golden rows."""
    import onnxruntime

    golden, session = load_golden(str(artifact)), onnxruntime.InferenceSession(str(artifact / "model.onnx"))
    feeds = {entry.name: np.asarray(golden.raw[entry.name]) for entry in session.get_inputs()}
    (probability,) = session.run(["probability"], feeds)
    return float(np.max(np.abs(probability - golden.probability)))


def main() -> None:
    """Every step asserts what it shows."""
    with tempfile.TemporaryDirectory(prefix="second-run-") as scratch:
        warehouse = Path(scratch)
        first = run(warehouse)
        second = run(warehouse)
        assert without_seconds(first) == without_seconds(second), f"{first}\n{second}"
        numbers = json.loads(second)
        told = fates(warehouse / "live")
        check_lines(numbers, told)
        difference = onnx_difference(warehouse / numbers["artifact"])
        assert difference <= 1e-5, f"onnxruntime and the engine differ by {difference}"
    shown = {
        "same_run_json": True,
        "lines_read": numbers["lines_read"],
        "as_the_truth_says": dict(sorted(told.items())),
    }
    print(json.dumps({**shown, "onnx_differs_by_at_most": difference, "auc": numbers["auc"]}, indent=1))


if __name__ == "__main__":
    main()
