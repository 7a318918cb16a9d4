"""What changed in the vocabularies between two days: values that are new, that got an id, that were forgotten.

--dt names the earlier and the later day. With --column the new ids of that vocabulary are listed, most frequent first.
Vocabularies are append-only: an id that means another value on the later day is an error of who built them anew, and
the job ends with 3.
"""

from __future__ import annotations

import argparse

from jobs.arguments import days_of, parser, positive, run
from pipeline.config import Config
from pipeline.config.checks import unknown
from pipeline.errors import ConfigError, Refused
from pipeline.words import table

HEADER = ("vocabulary", "values", "+ values", "ids", "+ ids", "forgotten", "moved")


def vocab_diff(config: Config, parsed: argparse.Namespace) -> None:
    """A line for each vocabulary on standard output."""
    from pipeline.features import vocabulary_names
    from pipeline.session import build_session
    from pipeline.vocab_diff import compare, new_ids, snapshots

    days, names = days_of(config, parsed), vocabulary_names(config)
    if config.table is not None or len(days) < 2:
        raise ConfigError("--dt needs two days, the earlier and the later one, such as 2026-01-01..2026-01-07")
    if parsed.column is not None and parsed.column not in names:
        raise ConfigError("--column: " + unknown("vocabulary", parsed.column, names))
    chosen = names if parsed.column is None else (parsed.column,)
    spark = build_session(config.product.name)
    rows: list[tuple[str, ...]] = [HEADER]
    moved = []
    for name in chosen:
        pair = snapshots(spark, config, name, days[0], days[-1])
        found = compare(*pair)
        rows.append((name, *[f"{count:,}" for count in found.counts]))
        moved += [name] if found.moved else []
    print("\n".join(table(rows, numbers=True)))
    if parsed.column is not None:
        listed = [(str(row["id"]), f"{row['count']:,}", row["value"]) for row in new_ids(*pair, parsed.top)]
        print("\n".join(["", *table([("new id", "count", "value"), *listed])]))
    if moved:
        raise Refused(
            f"ids of {', '.join(moved)} mean other values on {days[-1]} than on {days[0]}: a new generation. Models "
            f"trained before it cannot read later examples; train again: {config.command('train', DT=days[-1])}"
        )


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "", "the earlier and the later day, A..B")
    arguments.add_argument("--column", metavar="NAME", help="one vocabulary, whose new ids are listed")
    arguments.add_argument("--top", type=positive, default=20, metavar="N", help="so many of them (%(default)s)")
    run(vocab_diff, arguments)


if __name__ == "__main__":
    main()
