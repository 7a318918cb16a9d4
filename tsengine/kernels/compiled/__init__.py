"""Kernels compiled by Numba, and the machine that runs a whole stretch of a plan in one call.

Each has a twin that does the same with NumPy: the kernel of the op itself. What no kernel here takes, and what a kernel
here refuses when running, the twin does.
"""
