"""Sum the events of a day by user and by item: exact integers, by event day."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("build_daily", __doc__, "the arrival day to sum, or a range A..B")
