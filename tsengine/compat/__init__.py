"""Other projects' public names over this engine."""
