"""Fixtures and small lakes that tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data_samples"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets; skips where there is none."""
    folder = os.environ.get("ONEPASS_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ONEPASS_REAL_DATA does not name a folder with the real data sets")
    return Path(folder).resolve()


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


@pytest.fixture
def make_lake(tmp_path: Path) -> Callable[..., Path]:
    """Write a lake of ``part-N.parquet`` files with `number_table` rows; returns its folder."""

    def make(
        n_files: int = 6, n_rows: int = 400, *, classes: bool = False, name: str = "lake"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for i in range(n_files):
            table = number_table(n_rows + 37 * i, seed=i, classes=classes)
            pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=150)
        return folder

    return make
