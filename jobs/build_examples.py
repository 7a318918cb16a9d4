"""Write labelled examples: each exposure whose last label matured on the day, with its features as known then."""

from jobs.steps import run_step

if __name__ == "__main__":
    run_step("build_examples", __doc__, "the day on which labels mature, or a range A..B")
