"""Train models of several labels in small blocks, and the same models one by one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from onepass.errors import OnepassError
from onepass.ledger.store import LocalStore
from onepass.model.directory import open_model
from onepass.stream import blocks, stream
from onepass.training.progress import Progress
from onepass.training.several import open_several

LABELS = ["paid", "churned", "amount"]

_OF_A_RUN = {
    "attempt",
    "time",
    "seconds",
    "peak_rss_bytes",
    "environment",
    "parent_sha256",
    "state",
}
"""Fields of an entry in which two runs differ; of the state only the digest is the same."""


def rows(n: int, seed: int, *, nulls: bool = False) -> pa.Table:
    """Rows with three labels, of which `churned` may have nulls."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4))
    churned = np.where(x[:, 1] + rng.standard_normal(n) > 0.3, "yes", "no")
    mask = rng.random(n) < 0.1 if nulls else np.zeros(n, bool)
    return pa.table(
        {
            **{f"x{j}": x[:, j].astype(np.float32) for j in range(4)},
            "shop": [f"shop {k}" for k in rng.integers(0, 150, n)],
            "paid": x[:, 0] + rng.standard_normal(n) > 0,
            "churned": pa.array(churned, mask=mask),
            "amount": np.exp(0.3 * x[:, 2] + 0.2 * rng.standard_normal(n)),
        }
    )


def write_lake(folder: Path, n_files: int, n_rows: int = 400, **options: Any) -> Path:
    """Write a lake of such rows; its files differ in length."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n_files):
        table = rows(n_rows + 5 * i, i, **options)
        pq.write_table(table, folder / f"part-{i:02}.parquet", row_group_size=300)
    return folder


def train(given: Mapping[str, Any], progress: Progress | None = None) -> dict[str, OnepassError]:
    """Train the models of several labels; return the errors of those that have stopped."""
    with open_several(given, progress or Progress(), limits=small.SMALL) as several:
        several.train()
        return several.failed()


def train_alone(given: Mapping[str, Any], label: str, model: Path) -> None:
    """Train the model of one label by itself, with blocks of the same size."""
    others = [one for one in given["label"] if one != label]
    exclude = [*given.get("exclude", []), *others]
    small.train({**given, "label": label, "exclude": exclude, "model": str(model)})


def train_copy(model: Path, copy: Path, **fields: Any) -> None:
    """Train another model from the same `model.json`."""
    copy.mkdir(parents=True)
    shutil.copy(model / "model.json", copy)
    small.train({"model": str(copy), **fields})


def history(model: str | Path) -> list[dict[str, Any]]:
    """Return what the log of a model says of rows and states, whoever has written it."""
    found = []
    for entry in open_model(str(model)).ledger.entries:
        fields = entry.model_dump(mode="json")
        state = fields.get("state") or {}
        kept = {name: value for name, value in fields.items() if name not in _OF_A_RUN}
        found.append(kept | {"sha256": state.get("sha256")})
    return found


def count_rows_read(patch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of rows of each block that is read from now on."""
    found = list[int]()

    def counted(task: blocks.BlockTask, reading: Any) -> Any:
        found.append(task.n_rows)
        return blocks.make_block(task, reading)

    patch.setattr(stream, "make_block", counted)
    return found


def fill_disk(patch: pytest.MonkeyPatch, label: str) -> None:
    """Let the disk be full twice when the second state of a label's model is written."""
    real, count = LocalStore.put, 0

    def failing(self: LocalStore, key: str, data: Any, **options: Any) -> None:
        nonlocal count
        count += key.startswith("state") and str(self.root).endswith(label)
        if count in {2, 4}:
            count += 1
            raise OSError(28, "No space left")
        real(self, key, data, **options)

    patch.setattr(LocalStore, "put", failing)
