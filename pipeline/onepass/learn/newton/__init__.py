"""The streaming Newton solver."""
