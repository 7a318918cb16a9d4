"""The hot loops that NumPy has no single call for, each a plain function over arrays."""
