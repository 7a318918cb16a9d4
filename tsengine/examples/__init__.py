"""Programs to read and run: each is one file, uses the public names alone, and ends with something to look at."""
