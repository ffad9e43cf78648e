"""Lakes of Parquet files: find them, identify their content, and read rows in a fixed order."""
