"""Count what the columns of a day look like, hold them against the days before, and write the day's page."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("build_statistics", __doc__, "the day to count, or a range A..B")
