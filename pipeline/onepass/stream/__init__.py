"""Join lake and encoder: partitions as streams of blocks, read ahead by Dask tasks."""
