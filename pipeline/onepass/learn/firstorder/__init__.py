"""The first-order solvers."""
