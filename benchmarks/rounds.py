"""What rounds cost: holdout loss of models that learn several partitions at once, beside one."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tasks import LABEL, Maker, Task

from onepass import evaluate, train
from onepass.model.directory import open_model

GROUPS = 64
"""Groups that a task is cut into: enough that most rows are learnt in rounds."""


@dataclass
class Found:
    """Results of one task."""

    name: str
    n_rows: int
    n_groups: int
    loss: float = float("nan")
    """Holdout loss with one partition at a time."""
    excess: dict[str, float] = field(default_factory=dict)
    """Loss above it in percent, by value of `parallel`."""
    rounds: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Number of versions, and groups of the largest round."""


def measured(task: Task, values: Sequence[str]) -> Found:
    """Train a task with each value of `parallel`, on the same lake."""
    n_files = task.n_files if task.kind == "rounds" else GROUPS * int(task.job.get("interleave", 1))
    # A file has at least a few hundred rows; shorter ones are not what rounds are for.
    n_files = min(n_files, max(1, len(task.train) // 200))
    found = Found(task.name, len(task.train), n_files // int(task.job.get("interleave", 1)))
    with tempfile.TemporaryDirectory() as folder:
        lake, holdout = Path(folder) / "lake", Path(folder) / "holdout"
        write(lake, task.train, n_files, task.row_group_rows)
        write(holdout, task.holdout, 1, task.row_group_rows)
        for value in dict.fromkeys(["1", *values]):
            model = str(Path(folder) / f"model-{value}")
            train({"lake": str(lake), "label": LABEL, "model": model, "parallel": value} | task.job)
            loss = evaluate(str(holdout), model).loss
            if value == "1":
                found.loss = loss
            found.excess[value] = 100 * (loss / found.loss - 1)
            sizes = [
                len(entry.round or [1]) for entry in open_model(model).ledger.history.trained()
            ]
            found.rounds[value] = (len(sizes), max(sizes))
    shown = ", ".join(f"{key}: {value:+.4f} %" for key, value in found.excess.items() if key != "1")
    print(f"{task.name}: {shown}", file=sys.stderr, flush=True)
    return found


def round_tasks() -> Iterator[tuple[str, Maker]]:
    """Yield tasks of hashed columns that are hard for rounds."""
    yield "films and users", partial(_films, "films and users", "squared", 20)
    yield "films and users, classes", partial(_films, "films and users, classes", "logistic", 20)
    for n_columns, n_levels in ((24, 3), (24, 3_000)):
        name = f"{n_columns} equal columns of {n_levels:,}"
        yield name, partial(_equal, name, n_columns, n_levels)


def _films(name: str, loss: str, n_files: int, n_rows: int) -> Task:
    """80,000 ratings of 1,500 films by 6,000 users, most of them of few films."""
    del n_rows
    rng, n = np.random.default_rng(6), 100_000
    columns, z = {}, np.zeros(n)
    for column, n_levels in (("film", 1_500), ("user", 6_000)):
        level = np.minimum((rng.pareto(1.0, n) * n_levels / 30).astype(int), n_levels - 1)
        z += (0.5 * rng.normal(size=n_levels))[level]
        columns[column] = pa.array([f"{column}{i}" for i in range(n_levels)]).take(pa.array(level))
    y = z + rng.normal(size=n)
    columns[LABEL] = y if loss == "squared" else (y > 0).astype(np.int64)
    return _hashed(name, loss, pa.table(columns), n_files)


def _equal(name: str, n_columns: int, n_levels: int, n_rows: int) -> Task:
    """Columns that all tell the same, so that their slots move together."""
    rng, n = np.random.default_rng(7), min(n_rows, 100_000)
    level = (n_levels ** rng.random(n)).astype(int) - 1
    y = (rng.normal(size=n_levels)[level] + rng.logistic(size=n) > 0).astype(np.int64)
    columns = {
        f"c{j:02}": pa.array([f"{j}-{i}" for i in range(n_levels)]).take(pa.array(level))
        for j in range(n_columns)
    }
    return _hashed(name, "logistic", pa.table(columns | {LABEL: y}), GROUPS)


def _hashed(name: str, loss: str, table: pa.Table, n_files: int) -> Task:
    texts, cut = [n for n in table.column_names if n != LABEL], int(0.8 * len(table))
    job = {"loss": loss, "categorical": texts}
    return Task(name, loss, table.slice(0, cut), table.slice(cut), job, n_files, "rounds")


def write(folder: Path, table: pa.Table, n_files: int, row_group_rows: int) -> None:
    """Write a lake of files of equal size."""
    folder.mkdir()
    edges = np.linspace(0, len(table), n_files + 1).astype(int)
    for i in range(n_files):
        part = table.slice(edges[i], edges[i + 1] - edges[i])
        pq.write_table(part, folder / f"part-{i:03}.parquet", row_group_size=row_group_rows)


def lines(rows: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of the table: excess in percent, versions, and the largest round."""
    values = [value for value in rows[0].excess if value != "1"]
    yield f"| task | rows | groups | loss | {' | '.join(values)} |"
    yield "|---|---|---|---|" + "---|" * len(values)
    for row in rows:
        cells = " | ".join(
            "{:+.4f} ({} versions, up to {})".format(row.excess[value], *row.rounds[value])
            for value in values
        )
        yield f"| {row.name} | {row.n_rows:,} | {row.n_groups} | {row.loss:.6g} | {cells} |"
