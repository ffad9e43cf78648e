"""Train on an Iceberg table as it grows and loses rows; each row is learnt once.

Makes a catalogue on SQLite and a table of deliveries in a temporary folder, and trains with the
name of the table in the catalogue, as with any catalogue that pyiceberg knows. Run it from
anywhere: ``python examples/iceberg_sqlite.py``; it needs `pip install 'onepass[iceberg]'`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog

from onepass import train
from onepass.errors import ChangedPartition

DELIVERIES = Path(__file__).resolve().parent.parent / "data_samples" / "deliveries"


@contextmanager
def catalogue(folder: Path) -> Iterator[SqlCatalog]:
    """Make a catalogue, and let the environment name it `shop` as .pyiceberg.yaml could."""
    uri, warehouse = f"sqlite:///{folder}/shop.db", f"file://{folder}/warehouse"
    os.environ["PYICEBERG_CATALOG__SHOP__URI"] = uri
    with SqlCatalog("shop", uri=uri, warehouse=warehouse) as found:
        found.create_namespace("sales")
        yield found


def days(first: int, end: int) -> list[pa.Table]:
    """Read the deliveries of some days, in types that Iceberg has."""
    files = sorted(DELIVERIES.glob("*/part-0.parquet"))[first:end]
    found = [pq.read_table(path, partitioning=None) for path in files]
    small = pa.schema(
        [one.with_type(pa.int32()) if one.type == pa.uint8() else one for one in found[0].schema]
    )
    return [one.cast(small) for one in found]


def main() -> None:
    """Train after each change of the table, and print what was learnt."""
    with tempfile.TemporaryDirectory() as temporary, catalogue(Path(temporary)) as shop:
        first = days(0, 10)
        table = shop.create_table("sales.deliveries", schema=first[0].schema)
        job = {
            "lake": "iceberg://shop/sales.deliveries",
            "label": "minutes",
            "exclude": ["late"],
            "model": Path(temporary) / "model",
        }

        for day in first:
            table.append(day)
        done = train(job)
        print(f"10 days appended: {done.rows:,} rows learnt, new files: {done.partitions}")

        for day in days(10, 13):
            table.append(day)
        done = train(job)
        print(f"3 days appended: {done.rows:,} rows learnt, new files: {done.partitions}")

        done = train(job)
        print(f"nothing appended: {done.rows:,} rows learnt")

        table.delete("shop_id = 4200")
        table.append(days(13, 14)[0])
        try:
            train(job)
        except ChangedPartition as error:
            print(f"a shop deleted, a day appended: {str(error).split(':')[0]}")
        done = train(job | {"on_changed": "skip"})
        print(f"with on_changed skip: {done.rows:,} rows learnt, new files: {done.partitions}")


if __name__ == "__main__":
    main()
