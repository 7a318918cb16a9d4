"""Take a user out of every dataset, page and raw file of a product; his id in the vocabularies stays taken.

Prints what is taken out, by dataset and day and by raw file; with --dry-run only what would be. Interrupted, the same
command goes on; until then no other job of the product runs. Let none run meanwhile: superseded files go at once. With
--models every model that knows him is published again without him, and removed; without, the job ends with 3 while
there is such a model. A product with a base has only its own taken care of: type it for the base too, first.
"""

from __future__ import annotations

import argparse

from jobs.arguments import parser, run
from pipeline.config import Config
from pipeline.errors import Refused
from pipeline.progress import Progress
from pipeline.words import table


def forget(config: Config, parsed: argparse.Namespace) -> None:
    """The table on standard output; Refused names the models that are left."""
    from pipeline.forget.forgetting import Forgetting
    from pipeline.session import build_session

    with Progress(1, "forget") as progress:
        forgetting = Forgetting(config, build_session(config.product.name), parsed.user, parsed.models)
        done = forgetting.dry_run() if parsed.dry_run else forgetting.run(progress.doing)
        progress.done()
        rows = [("what", "where", "rows"), *done.table] if done.table else [("nothing is his",)]
        print("\n".join(table(rows)))
        progress.log("forget", state="dry run" if parsed.dry_run else "done", places=len(done.table))
    if done.models and not (parsed.dry_run and parsed.models):
        raise Refused(
            f"{len(done.models)} models know the user: {', '.join(done.models)}. Train again on what is left: "
            f"{config.command('train', DT='...')}; and give --models too, which publishes the highest of each day "
            "without him under the next number and removes these"
        )


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--user", required=True, metavar="ID", help="the user's id as the logs say it, not hashed")
    arguments.add_argument("--dry-run", action="store_true", help="print what would be taken out, and change nothing")
    arguments.add_argument("--models", action="store_true", help="take him out of models too, and remove the old ones")
    run(forget, arguments)


if __name__ == "__main__":
    main()
