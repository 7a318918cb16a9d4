"""Sessions of a day: the events of one user between long pauses, those that are over and those still open."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("build_sessions", __doc__, "the arrival day whose events are taken in, or a range A..B")
