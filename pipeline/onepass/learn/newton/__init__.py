"""The streaming Newton solver, for dense features alone and together with hashed slots."""
