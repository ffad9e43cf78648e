"""Small lakes that several tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass.ledger.trained import Trained
from onepass.partition import Fingerprint, Partition

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data_samples"


def number_table(n_rows: int, seed: int, *, classes: bool = False) -> pa.Table:
    """Rows with three numbers, a text and a label that is linear in them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)) * [1.0, 50.0, 1e-3] + [0.0, 1000.0, 0.0]
    level = rng.integers(0, 4, n_rows)
    z = x[:, 0] + 0.02 * (x[:, 1] - 1000) + 300 * x[:, 2] + 0.5 * level
    label = (z + rng.logistic(size=n_rows) > 0.7) if classes else z + rng.normal(size=n_rows)
    return pa.table(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "c": x[:, 2].astype(np.float32),
            "level": pa.array(np.array(["north", "east", "south", "west"])[level]),
            "y": label.astype(np.int8) if classes else label,
        }
    )


def write_files(folder: Path, files: dict[str, pa.Table], **options: object) -> Path:
    """Write tables as Parquet files below a folder, by relative path; returns the folder."""
    for name, table in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name, **options)
    return folder


def logged_partition(path: str, n_rows: int = 10) -> Partition:
    """A partition of a file that need not be there."""
    return Partition(path, 0, 1, n_rows, Fingerprint(1, "", n_rows, 1))


def logged_training(path: str, n_rows: int = 10) -> Trained:
    """The record of a partition that is said to have been learnt."""
    return Trained(
        partitions=[logged_partition(path, n_rows)],
        rows=n_rows,
        counts={"null_label": 1},
        loss=0.5,
        metrics={"rmse": 0.7, "r2": None},
        seconds=0.1,
        peak_rss_bytes=1,
        environment={"python": "3"},
    )


def corrupt_pages(path: Path) -> None:
    """Flip bytes of the fifth column in the second row group; the footer stays as it was."""
    column = pq.read_metadata(path).row_group(1).column(4)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    for i in range(start, start + column.total_compressed_size):
        data[i] ^= 0xA5
    path.write_bytes(data)
