"""One thin script a job: arguments, config, one call, exit code."""
