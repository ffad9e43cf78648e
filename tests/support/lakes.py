"""Small lakes that several tests write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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


def logged_partition(path: str, n_rows: int = 10) -> dict[str, Any]:
    """A partition as a log names it, of a file that need not be there."""
    fingerprint = {"size": 1, "footer_sha256": "", "rows": n_rows, "row_groups": 1}
    place = {"path": path, "first_row_group": 0, "end_row_group": 1, "rows": n_rows}
    return place | {"fingerprint": fingerprint}
