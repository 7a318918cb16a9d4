"""A real click log goes the same road with nothing but conf/globo.toml, and ends with a model and its AUC.

The log is not ours to ship: the environment variable GLOBO names the folder with its `clicks_hour_*.csv.gz`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf" / "globo.toml"
FILES = "clicks_hour_*.csv.gz"
DAYS = "2017-10-01..2017-10-04"
COMMAND = "GLOBO=/folder/of/the/log make prove PART=globo"


def log_of(environment: Mapping[str, str]) -> Path | None:
    """The folder of the log; None, and a word about it, where there is none."""
    named = environment.get("GLOBO", "")
    if not named:
        print(f"the click log of globo.com is needed: say which folder holds its {FILES}. Type: {COMMAND}")
        return None
    folder = Path(named).resolve()
    if not any(folder.glob(FILES)):
        print(f"GLOBO={named}: that folder has no {FILES}. Type: {COMMAND}")
        return None
    return folder


def go_the_road(log: Path, warehouse: Path, days: str = DAYS) -> None:
    """All jobs for the days; their output is ours."""
    settings = [f"--set=sources.clicks.path={log}/{FILES}", f"--set=product.warehouse={warehouse}"]
    command = [sys.executable, "-m", "jobs.day", "--conf", str(CONF), "--dt", days, *settings]
    subprocess.run(command, check=True, cwd=PROJECT, stdin=subprocess.DEVNULL)


def model_of(product: Path) -> Path:
    """The newest model; AssertionError when there is none."""
    versions = sorted(path.parent for path in product.glob("models/*/*/_MANIFEST.json"))
    assert versions, f"the road ended without a model in {product}/models"
    return versions[-1]


def main() -> int:
    """0 and the model's AUC; 2 where there is no log to go the road with."""
    log = log_of(os.environ)
    if log is None:
        return 2
    with tempfile.TemporaryDirectory(prefix="globo-") as scratch:
        go_the_road(log, Path(scratch))
        model = model_of(Path(scratch) / "globo")
        metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
        print(json.dumps({"days": DAYS, "model": str(model.relative_to(scratch)), "auc": round(metrics["auc"], 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
