"""Numbers of rows of frequent values are near the true ones, or are not told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import Model, train
from onepass.actions.summary import summarise
from onepass.cli import main

NEAR = 2.5


def written(folder: Path, n_files: int, n_rows: int) -> Counter[str]:
    """Write files of users, some of whom have very many rows; return the rows of each."""
    folder.mkdir(parents=True)
    true: Counter[str] = Counter()
    for i in range(n_files):
        rng = np.random.default_rng(i)
        user = [f"u{int(20_000**u)}" for u in rng.random(n_rows)]
        true.update(user)
        y = rng.normal(size=n_rows)
        pq.write_table(pa.table({"user": user, "y": y}), folder / f"{i}.parquet")
    return true


@pytest.mark.parametrize(
    ("n_files", "n_rows", "epochs", "least"),
    [(20, 5000, 1, 40), (20, 5000, 3, 40), (12, 20_000, 1, 40), (6, 200_000, 1, 15)],
)
def test_rows_of_frequent_values_are_near_the_true_ones(tmp_path, n_files, n_rows, epochs, least):
    true = written(tmp_path / "lake", n_files, n_rows)
    model = str(tmp_path / "m")
    train({"lake": str(tmp_path / "lake"), "label": "y", "model": model, "epochs": epochs})
    found = summarise(Model.load(model)).hashed_values
    told = {one.value: one.rows for one in found if one.rows is not None}
    assert least <= len(told) < len(found)
    ratios = {value: rows / true[value] for value, rows in told.items()}
    assert all(1 / NEAR < ratio < NEAR for ratio in ratios.values()), ratios
    (often, _), *_ = true.most_common(1)
    assert ratios[often] == pytest.approx(1, rel=0.35)


def test_rows_are_not_told_where_one_of_few_blocks_is_looked_at(tmp_path, capsys):
    written(tmp_path / "lake", 1, 260_000)
    model = str(tmp_path / "m")
    train({"lake": str(tmp_path / "lake"), "label": "y", "model": model})
    found = summarise(Model.load(model)).hashed_values
    assert found
    assert not any(one.rows for one in found)
    with pytest.raises(SystemExit):
        main(["summary", model])
    out = capsys.readouterr().out
    assert "frequent values" in out
    assert "rows, about" not in out


def test_values_of_folders_are_counted_in_every_block_so_their_rows_are_told_as_they_are(tmp_path):
    written(tmp_path / "lake", 2, 20_000)
    fields = {"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "m")}
    train(fields | {"epochs": 2})
    model = Model.load(fields["model"])
    model.file.encoder.hive["user"] = "text"
    counts = dict(model.frequent.values("user"))
    found = {one.value: one.rows for one in summarise(model).hashed_values}
    assert found == {value: round(n / 2) for value, n in counts.items()}
