"""Learners: numbers in, weights out; no files, no Arrow."""
