"""Pack what a cluster needs into dist/ and print the line to submit with: executors need Python and nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

from jobs.arguments import parser, run
from pipeline.config import Config

DIST = Path("dist")


def dist(config: Config, parsed: argparse.Namespace) -> None:
    """Both archives, and an example of their use with the config that was named."""
    from pipeline.cluster import EXECUTOR_PACKAGES
    from pipeline.distribution import pack_code, pack_packages, submit_line

    packages, code = pack_packages(DIST, EXECUTOR_PACKAGES), pack_code(DIST)
    for path in (packages, code):
        print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB")
    print("\nRun a job on a cluster (from this folder; the warehouse must be one that every machine sees):\n")
    print(submit_line(parsed.master, packages, code, "day", "--conf", parsed.conf, "--dt", "YYYY-MM-DD"))


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--master", default="spark://HOST:7077", help="the cluster's master (default: %(default)s)")
    run(dist, arguments)


if __name__ == "__main__":
    main()
