"""Append the values seen on a day to the vocabularies; old ids stay."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("build_vocab", __doc__, "the day to append, or a range A..B")
