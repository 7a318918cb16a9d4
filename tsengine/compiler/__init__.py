"""From what a run fetches to a list of bound instructions; each pass alone in a file, switched off by its name."""
