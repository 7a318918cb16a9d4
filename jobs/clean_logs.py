"""Clean raw logs: every line becomes an event, a duplicate or a quarantined row."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("clean_logs", __doc__, "the arrival day to clean, or a range A..B")
