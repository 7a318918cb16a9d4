"""Show what is known of one user or item at the end of --dt, or where every feature of an example of --dt came from."""

from __future__ import annotations

import argparse

from jobs.arguments import parser, run
from pipeline.config import Config
from pipeline.days import parse_day


def show(config: Config, parsed: argparse.Namespace) -> None:
    """Print it."""
    from pipeline.errors import ConfigError
    from pipeline.show import as_json, as_text, show_example, show_profile
    from pipeline.show.published import Published

    if config.table is not None:
        raise ConfigError(
            f"product {config.product.name!r} is a table: it has no profiles, and its examples are its rows"
        )
    published, day = Published(config), parse_day(parsed.dt)
    if parsed.what == "example":
        shown = show_example(published, parsed.id, day)
    else:
        shown = show_profile(published, parsed.what, parsed.id, day)
    print(as_json(shown) if parsed.json else as_text(shown))


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "", "the day of the profile, or of the examples")
    arguments.add_argument("what", choices=("user", "item", "example"))
    arguments.add_argument(
        "id", help="of the user or item, or the event_id of the exposure (with ~K: the Kth sampled beside it)"
    )
    arguments.add_argument("--json", action="store_true", help="as one JSON object, every row")
    run(show, arguments)


if __name__ == "__main__":
    main()
