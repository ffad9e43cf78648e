"""Tables over Parquet files (Delta, Iceberg): their files, their columns and their history."""
