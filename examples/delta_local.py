"""Train on a Delta table that grows, is compacted, loses rows, and is vacuumed.

Writes the sample lake into a Delta table in a temporary folder with `deltalake`, trains, and trains
again after each operation. It prints what the operation was, what the run has trained, and what it
says. Run it from anywhere: ``python examples/delta_local.py``; it needs `pip install deltalake`,
for the writing. Reading needs nothing but onepass.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake

from onepass import train
from onepass.errors import ChangedPartition, OnepassError

LAKE = Path(__file__).resolve().parent.parent / "data_samples" / "deliveries"


def days(first: int, last: int) -> pa.Table:
    """Return the deliveries of some days of the sample lake, with the day as a column."""
    lake = ds.dataset(LAKE, format="parquet", partitioning="hive")
    found = sorted(lake.get_fragments(), key=lambda one: one.path)
    return pa.concat_tables(
        one.to_table().append_column("file", pa.array([at] * one.count_rows(), pa.int64()))
        for at, one in enumerate(found[first:last], first)
    )


class Tour:
    """A table, and a model of it that is trained after each operation."""

    def __init__(self, folder: Path) -> None:
        self.table = folder / "deliveries"
        self.job = {
            "lake": str(self.table),
            "label": "minutes",
            "exclude": ["late", "file"],
            "model": str(folder / "model"),
        }

    def train(self, operation: str, **more: str) -> None:
        """Train, and print what was trained or why nothing was."""
        try:
            found = train({**self.job, **more})
        except ChangedPartition as error:
            told = str(error).splitlines()
        except OnepassError as error:
            told = [f"{type(error).__name__}: {error}"]
        else:
            told = [f"trained {found.rows:,} rows in {found.partitions} partitions"]
        version = DeltaTable(self.table).version()
        print(f"version {version}, {operation}")
        for line in told:
            print(f"    {line.replace(str(self.table.parent), '...')}")

    def append(self, first: int, last: int) -> None:
        """Add the rows of some days."""
        write_deltalake(self.table, days(first, last), mode="append")


def main() -> None:
    """Walk through the operations of a table."""
    with tempfile.TemporaryDirectory() as temporary:
        tour = Tour(Path(temporary))
        tour.append(0, 10)
        tour.train("ten days are written")
        tour.append(10, 12)
        tour.append(12, 14)
        tour.train("two appends")
        DeltaTable(tour.table).optimize.compact()
        tour.train("OPTIMIZE")
        DeltaTable(tour.table).delete("file = 3")
        tour.train("DELETE of one day")
        tour.train("the same with --on-changed skip", on_changed="skip")
        tour.append(14, 16)
        tour.train("another append")
        table = DeltaTable(tour.table)
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        tour.train("VACUUM")


if __name__ == "__main__":
    main()
