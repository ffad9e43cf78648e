"""A few giant labels: huber and quantile models still learn from all the others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import evaluate, train


@pytest.mark.parametrize("loss", ["huber", "quantile"])
@pytest.mark.parametrize("solver", ["newton", "nag"])
def test_few_giant_labels_do_not_ruin_the_model(tmp_path, solver, loss):
    rng = np.random.default_rng(5)
    x, level = rng.normal(size=(12_000, 3)), rng.integers(0, 100, 12_000)
    z = x @ [1.0, -0.5, 0.2] + rng.normal(size=100)[level]
    label = np.exp(z + 9) * np.exp(rng.normal(size=12_000))
    label[:8000][rng.random(8000) < 2e-3] *= 1e5
    columns = {f"x{j}": x[:, j] for j in range(3)} | {"level": [f"l{i}" for i in level]}
    table = pa.table(columns | {"y": label})
    lake, holdout = tmp_path / "lake", tmp_path / "holdout"
    for folder, rows in ((lake, table.slice(0, 8000)), (holdout, table.slice(8000))):
        folder.mkdir()
        pq.write_table(rows, folder / "part.parquet")
    model = tmp_path / "model"
    train({"lake": str(lake), "label": "y", "model": str(model), "solver": solver, "loss": loss})
    found = evaluate(str(holdout), model)
    assert found.loss < 0.93 * found.metrics["constant_loss"]
