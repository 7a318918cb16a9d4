"""Score what is on air for every active user with the newest blessed model, and keep the best."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("recommend", __doc__, "the day at whose end the lists are made, or a range A..B")
