"""Check a product's config and say in plain words what it means: what is read, which inputs there are, and from what.

--write-schema only writes the JSON Schema by which an editor completes and checks a TOML.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from jobs.arguments import parser, run
from pipeline.config import Config


def check(config: Config, parsed: argparse.Namespace) -> None:
    """Every check that needs no data; then the explanation."""
    from pipeline.config.explain import explain
    from pipeline.steps.check_features import check_features, check_sql

    if parsed.write_schema is not None:
        _write_schema(parsed.write_schema)
        return
    check_features(config)
    if not parsed.no_sql:
        from pipeline.session import build_session

        check_sql(config, build_session(config.product.name))
    print(explain(config))


def _write_schema(path: Path) -> None:
    from pipeline.config.schema import json_schema

    path.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    print(f"{path} is written. Name it in the first line of a TOML: #:schema {path}")


def main() -> None:
    """Parse and run."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--no-sql", action="store_true", help="leave out what Spark says of `sql` features: no Java")
    arguments.add_argument(
        "--write-schema", type=Path, metavar="FILE", help="write the JSON Schema of a config instead"
    )
    run(check, arguments)


if __name__ == "__main__":
    main()
