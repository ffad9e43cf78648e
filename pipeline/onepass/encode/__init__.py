"""Encode Arrow columns as numbers, in the way that a frozen schema prescribes."""
