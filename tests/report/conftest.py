"""Models of which reports are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakes import write_files
from onepass import train


def deliveries(n_rows: int, seed: int, *, strange: bool = False) -> pa.Table:
    rng = np.random.default_rng(seed)
    distance = rng.gamma(2.0, 2.0, n_rows)
    town = np.array(["Aachen", "Bonn", "Celle"])[rng.integers(0, 3, n_rows)]
    shop = np.array([f"shop {i}" for i in range(300)])[(300 * rng.random(n_rows) ** 2).astype(int)]
    minutes = 5 + 3 * distance + 4 * (town == "Bonn") + rng.normal(0, 2, n_rows)
    if strange:
        minutes = rng.permutation(minutes)
    late = np.where(minutes > 18, "late", "in time")
    columns = {"distance": distance, "town": town, "shop": shop, "minutes": minutes, "late": late}
    return pa.table(columns)


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days, of which the last but one is strange."""
    days = {f"day-{i:02d}.parquet": deliveries(300, seed=i, strange=i == 28) for i in range(30)}
    return write_files(tmp_path_factory.mktemp("days") / "lake", days)


@pytest.fixture(scope="session")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two more days."""
    days = {f"day-{i}.parquet": deliveries(500, seed=i) for i in (90, 91)}
    return write_files(tmp_path_factory.mktemp("kept") / "holdout", days)


@pytest.fixture(scope="session")
def regression(lake: Path, holdout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of minutes, whose job names a holdout."""
    model = tmp_path_factory.mktemp("models") / "minutes"
    job = {"lake": str(lake), "label": "minutes", "exclude": ["late"], "order": "stored"}
    train({**job, "holdout": str(holdout), "model": str(model), "parallel": 1})
    return model


@pytest.fixture(scope="session")
def classification(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of delays without a holdout."""
    model = tmp_path_factory.mktemp("models") / "late"
    job = {"lake": str(lake), "label": "late", "exclude": ["minutes"], "model": str(model)}
    train({**job, "parallel": 1})
    return model
