"""Fold the daily sums into what was known of every user and item at the end of a day."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("build_profiles", __doc__, "the day whose end the profiles describe, or a range A..B")
