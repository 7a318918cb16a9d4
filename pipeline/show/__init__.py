"""What the warehouse knows of one user, item or example, for a person to read. Needs no Spark."""

from pipeline.show.example import show_example
from pipeline.show.profile import show_profile
from pipeline.show.text import as_json, as_text

__all__ = ["as_json", "as_text", "show_example", "show_profile"]
