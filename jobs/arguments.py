"""The argument parser that all jobs share, and the one place where an error becomes an exit code."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from pipeline.config import Config, load_config
from pipeline.days import Day, day_range
from pipeline.errors import ConfigError, PipelineError
from pipeline.spark_errors import in_a_line, known

Job = Callable[[Config, argparse.Namespace], None]
UNKNOWN = "This is not an error the job knows; --traceback shows where it came from"


def parser(description: str, days: str = "") -> argparse.ArgumentParser:
    """`--conf`, `--set` and `--traceback`; with `days`, also `--dt` (the text says what the days are for)."""
    result = argparse.ArgumentParser(
        description=description, epilog="exit codes: 0 done, 1 failed, 2 bad arguments or config, 3 refused"
    )
    result.add_argument(
        "--conf", default="conf/live.toml", metavar="TOML", help="the product's config (default: %(default)s)"
    )
    if days:
        result.add_argument(
            "--dt", metavar="DAY[..DAY]", help=f"{days}; a product of a table has one day and needs none"
        )
    result.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        help="override one value of the config; may be repeated",
    )
    result.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    return result


def days_of(config: Config, arguments: argparse.Namespace) -> list[Day]:
    """The days that `--dt` names; of a product of a table its only one, whether named or not."""
    if config.table is None:
        if arguments.dt is None:
            raise ConfigError("the following arguments are required: --dt")
        return day_range(arguments.dt)
    first = config.product.first_day
    if arguments.dt is not None and day_range(arguments.dt) != [first]:
        raise ConfigError(
            f"--dt {arguments.dt}: {config.product.name!r} is a table of rows, which has one day, {first} "
            "($.product.first_day); leave --dt out"
        )
    return [first]


def positive(text: str) -> int:
    """A count from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return int(text)


def run(job: Job, arguments: argparse.ArgumentParser) -> NoReturn:
    """Parse, load the config, do the job, and end the process with the exit code that fits."""
    parsed = arguments.parse_args()
    try:
        job(load_config(parsed.conf, parsed.set), parsed)
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing half-written is visible, the same command goes on")
    except Exception as error:
        _fail(error, parsed.traceback)
    sys.exit(0)


def _fail(error: Exception, show_traceback: bool) -> NoReturn:
    if show_traceback:
        traceback.print_exc()
    ours = error if isinstance(error, PipelineError) else known(error)
    message = str(ours or f"{in_a_line(error)}\n{UNKNOWN}")
    print(f"error: {message}", file=sys.stderr)
    sys.exit(ours.exit_code if ours else PipelineError.exit_code)
