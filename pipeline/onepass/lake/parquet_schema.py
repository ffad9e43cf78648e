"""The Parquet schema of a footer, without the reference cycle that `FileMetaData.schema` makes."""

from __future__ import annotations

import pyarrow.parquet as pq


def parquet_schema(metadata: pq.FileMetaData) -> pq.ParquetSchema:
    """Return the schema of a footer.

    `metadata.schema` would remember the schema, which holds the metadata. Parsed footers of wide
    files take 10 to 100 MB, and dozens of them would wait for the garbage collector.
    """
    return pq.ParquetSchema(metadata)
