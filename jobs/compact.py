"""Lay published days of a dataset out in files of a target size: the same rows, and no later step is done again.

A training that was interrupted in these days does not go on with them: the order of its rows would be another one.
"""

from __future__ import annotations

import argparse

from jobs.arguments import days_of, parser, positive, run
from pipeline.config import Config
from pipeline.progress import Progress


def compact_days(config: Config, parsed: argparse.Namespace) -> None:
    """Each day of the range, one line a day."""
    from pipeline.compaction import compact
    from pipeline.session import build_session

    days = days_of(config, parsed)
    with Progress(len(days), "compact") as progress:
        spark = build_session(config.product.name)
        for day in days:
            done = compact(config, spark, parsed.dataset, day, parsed.file_mb << 20)
            progress.done()
            progress.log(
                "compact", dataset=parsed.dataset, dt=day, state="unchanged" if done.unchanged else "rewritten",
                rows=done.after.rows, files_before=len(done.before.files), files=len(done.after.files),
                bytes=sum(entry.bytes for entry in done.after.files),
            )  # fmt: skip


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "", "the day, or a range A..B")
    arguments.add_argument("--dataset", required=True, metavar="NAME", help="what to lay out, such as examples/enter")
    arguments.add_argument(
        "--file-mb", type=positive, default=256, metavar="N", help="a file's size (default: %(default)s)"
    )
    run(compact_days, arguments)


if __name__ == "__main__":
    main()
