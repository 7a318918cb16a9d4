"""The same training steps in the libraries that we measure ourselves against. Run `python -m` this package."""

PEERS = ("numpy", "torch", "tensorflow", "jax")
"""Each is named as the package it needs, and so is its module here. `numpy` is written by hand, without a graph."""
