"""Join lake and encoder: partitions as streams of blocks, made ahead by Dask tasks."""
