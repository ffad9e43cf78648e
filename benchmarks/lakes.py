"""Lakes to measure speed on, generated once from a seed: the values matter little, the shapes do.

`dense`, `wide` and `wider` have 30, 300 and 500 float32 columns, `clicks` 13 integers with nulls
and 26 texts of 3 to 3 million distinct values, as logs of advertisements do. All have a label of
two classes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LABEL = "label"
N_NUMBERS, N_TEXTS = 13, 26
_WIDTH = {"dense": 30, "wide": 300, "wider": 500}
_MOST_LEVELS = 3_000_000
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True)
class Shape:
    """What a lake is made of; a lake of another shape is made anew."""

    kind: str
    rows: int
    file_rows: int
    row_group_rows: int
    """1,048,576 is what pyarrow writes by default; Spark and DuckDB write fewer."""
    compression: str = "snappy"

    @property
    def name(self) -> str:
        """Folder of the lake."""
        return f"{self.kind}-{self.rows}-{self.file_rows}-{self.row_group_rows}-{self.compression}"

    @property
    def features(self) -> list[str]:
        """Columns without the label."""
        if self.kind in _WIDTH:
            return [f"x{i}" for i in range(_WIDTH[self.kind])]
        return [f"n{i}" for i in range(N_NUMBERS)] + [f"c{i}" for i in range(N_TEXTS)]

    @property
    def texts(self) -> list[str]:
        """Columns of text."""
        return [] if self.kind in _WIDTH else self.features[N_NUMBERS:]


def lake(folder: Path, shape: Shape) -> Path:
    """The lake of a shape below `folder`, made if it is not there yet."""
    found = folder / shape.name
    done = found / "_shape.json"
    wanted = json.dumps(asdict(shape))
    if done.exists() and done.read_text() == wanted:
        return found
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    make = _maker(shape.kind)
    for number, first in enumerate(range(0, shape.rows, shape.file_rows)):
        table = make(min(shape.file_rows, shape.rows - first), np.random.default_rng([7, number]))
        _write(table, found / f"part-{number:05d}.parquet", shape)
    done.write_text(wanted)
    return found


def holdout(folder: Path, shape: Shape) -> Path:
    """A file of further rows of the same kind, outside the lake; made if it is not there yet."""
    n_rows = min(shape.rows, 1 << 18)
    found = folder / f"holdout-{shape.kind}-{n_rows}.parquet"
    if not found.exists():
        staged = found.with_suffix(".tmp")
        _write(_maker(shape.kind)(n_rows, np.random.default_rng(8)), staged, shape)
        staged.rename(found)
    return found


def _maker(kind: str) -> Callable[[int, np.random.Generator], pa.Table]:
    return _clicks(_MOST_LEVELS) if kind == "clicks" else _dense(_WIDTH[kind])


def _write(table: pa.Table, path: Path, shape: Shape) -> None:
    # Without Arrow's own schema in the file, as other writers leave it.
    pq.write_table(
        table,
        path,
        row_group_size=shape.row_group_rows,
        compression=shape.compression,
        store_schema=False,
    )


def files(found: Path) -> list[Path]:
    """The lake's files in the order of their names."""
    return sorted(found.glob("*.parquet"))


def clicks_table(n_rows: int, rng: np.random.Generator) -> pa.Table:
    """Rows of `clicks` alone, for lakes of other shapes."""
    return _clicks(_MOST_LEVELS)(n_rows, rng)


def _label(margin: np.ndarray, rng: np.random.Generator) -> pa.Array:
    return pa.array((rng.random(len(margin)) < 1 / (1 + np.exp(-margin))).astype(np.int8))


def _dense(width: int) -> Callable[[int, np.random.Generator], pa.Table]:
    weights = np.random.default_rng(1).normal(size=width) / np.sqrt(width)
    factor = np.random.default_rng(2).normal(size=width)

    def make(n_rows: int, rng: np.random.Generator) -> pa.Table:
        columns, margin = {}, np.zeros(n_rows)
        common = rng.standard_normal(n_rows, np.float32)
        for j in range(width):
            z = rng.standard_normal(n_rows, np.float32) + np.float32(0.5 * factor[j]) * common
            margin += weights[j] * z
            columns[f"x{j}"] = pa.array(z * np.float32(1 + j % 7) + np.float32(j % 5))
        return pa.table({LABEL: _label(2 * margin, rng), **columns})

    return make


def _clicks(most: int) -> Callable[[int, np.random.Generator], pa.Table]:
    fixed = np.random.default_rng(3)
    n_levels = np.geomspace(3, most, N_TEXTS).astype(np.int64)
    names = [_hex_names(int(n), j) for j, n in enumerate(n_levels)]
    effects = [fixed.normal(size=int(n)) * 0.3 for n in n_levels]
    weights = fixed.normal(size=N_NUMBERS) * 0.2

    def make(n_rows: int, rng: np.random.Generator) -> pa.Table:
        columns, margin = {}, np.full(n_rows, -1.5)
        for j in range(N_NUMBERS):
            values = np.floor(rng.exponential(3.0 * 2**j, n_rows)).astype(np.int32)
            null = rng.random(n_rows) < 0.03 * j
            margin += weights[j] * np.where(null, 0.0, np.log1p(values) - j * np.log(2))
            columns[f"n{j}"] = pa.array(values, mask=null)
        for j, n in enumerate(n_levels):
            # Few values are frequent and most are rare.
            codes = (n * rng.random(n_rows) ** 3).astype(np.int64)
            margin += effects[j][codes]
            null = rng.random(n_rows) < (0.1 if j % 5 == 4 else 0.0)
            columns[f"c{j}"] = names[j].take(pa.array(codes, mask=null))
        return pa.table({LABEL: _label(margin, rng), **columns})

    return make


def _hex_names(n: int, column: int) -> pa.Array:
    """`n` texts of eight hexadecimal digits, as hashed ids are."""
    codes = (np.arange(n, dtype=np.uint64) + 1) * np.uint64(2654435761 + 2 * column)
    shifts = np.arange(28, -4, -4, dtype=np.uint64)
    digits = _HEX[((codes[:, None] >> shifts) & np.uint64(15)).astype(np.int64)]
    offsets = np.arange(0, 8 * n + 1, 8, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(digits.copy()))
