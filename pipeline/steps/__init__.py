"""The Spark steps: pure functions DataFrame -> DataFrame, one file or folder a job."""
