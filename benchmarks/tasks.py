"""Tasks of the quality benchmark: rows to learn, rows to judge by, and the job fields they need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

LABEL = "y"


@dataclass(frozen=True)
class Task:
    """One row of the table."""

    name: str
    loss: str
    train: pa.Table
    holdout: pa.Table
    job: dict[str, Any] = field(default_factory=dict)
    """Fields that the task asks for, such as a quantile; nothing that tunes."""
    n_files: int = 8
    kind: str = "dense"
    """dense, hashed, ids, sorted or stored: which target it belongs to."""
    row_group_rows: int = 20_000


Maker = Callable[[int], Task]


def generated(
    name: str,
    loss: str,
    *,
    design: str = "plain",
    noise: str = "normal",
    positives: float | None = None,
    n_classes: int = 7,
    width: int = 30,
    is_sorted: bool = False,
    n_files: int = 8,
    seed: int = 0,
    **job: Any,
) -> Maker:
    """A task whose labels follow the linear model of its loss."""

    def make(n_rows: int) -> Task:
        rng = np.random.default_rng(seed)
        x, z = _design(design, n_rows, width, rng)
        label = _label(loss, x, z, noise, positives, n_classes, rng)
        columns = {f"x{j:02}": x[:, j] for j in range(width)}
        table = pa.table(columns | {LABEL: label})
        cut = int(0.8 * n_rows)
        train = table.slice(0, cut)
        if is_sorted:
            train = train.sort_by(LABEL)
        fields = {"loss": loss} | job
        kind = "sorted" if is_sorted else "dense"
        return Task(name, loss, train, table.slice(cut), fields, n_files, kind)

    return make


def _design(kind: str, n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features, and the linear predictor, of unit variance or so."""
    x = rng.normal(size=(n, d))
    w = rng.normal(size=d) / np.sqrt(d)
    match kind:
        case "scales":
            x[:, ::3] = rng.standard_t(2.5, size=x[:, ::3].shape)
            x[:, 1::3] = np.exp(rng.normal(size=x[:, 1::3].shape))
            z = ((x - x.mean(0)) / x.std(0)) @ w
            return x * 10 ** np.linspace(-3, 4, d), z
        case "condition":
            turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
            # The weak directions carry as much as the strong ones.
            return x @ (turn * np.geomspace(1, 1e-4, d)) @ turn.T, x @ w
        case "amounts":
            # Lognormal amounts whose logarithm counts, a few of them unknown and written 9999999.
            unknown = rng.random(x.shape) < 0.002
            return np.where(unknown, 9_999_999.0, np.round(np.exp(2 * x + 5), 2)), x @ w
        case "rare":
            x[:, ::2] = rng.random(x[:, ::2].shape) < np.geomspace(5e-4, 0.2, x[:, ::2].shape[1])
            return x, ((x - x.mean(0)) / x.std(0)) @ w
    return x, x @ w


def _label(
    loss: str,
    x: np.ndarray,
    z: np.ndarray,
    noise: str,
    positives: float | None,
    n_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    n = len(z)
    match loss:
        case "logistic" | "hinge":
            score = 3 * z + rng.logistic(size=n)
            return (score > np.quantile(score, 1 - (positives or 0.5))).astype(np.int64)
        case "poisson":
            return rng.poisson(np.exp(np.clip(0.6 * z - 0.5, -5, 4)))
        case "gamma":
            return rng.gamma(2.0, np.exp(0.6 * z + 3) / 2) + 1e-6
        case "softmax":
            truth = np.random.default_rng(1).normal(size=(x.shape[1], n_classes))
            scores = ((x - x.mean(0)) / x.std(0)) @ truth * 2 / np.sqrt(x.shape[1])
            return (scores + rng.gumbel(size=scores.shape)).argmax(1)
    errors = {
        "normal": lambda: rng.normal(size=n),
        "heavy": lambda: rng.standard_t(1.8, size=n),
        "skewed": lambda: rng.exponential(size=n) * (1 + 0.5 * np.abs(x[:, 0])),
        "outliers": lambda: rng.normal(size=n) + 50 * (rng.random(n) < 0.02),
    }
    return 100 + 10 * (2 * z + errors[noise]())


def clicks(n_rows: int) -> Task:
    """13 counts with nulls, 26 columns of text with up to 100,000 levels, effects per level."""
    rng = np.random.default_rng(5)
    z = np.zeros(n_rows)
    columns: dict[str, Any] = {}
    for j in range(13):
        count = np.floor(np.exp(1.5 * rng.normal(size=n_rows) + 1))
        z += 0.15 * rng.normal() * np.log1p(count)
        columns[f"i{j:02}"] = pa.array(count, pa.float64(), mask=rng.random(n_rows) < 0.1)
    for j, n_levels in enumerate(np.exp(rng.uniform(np.log(3), np.log(1e5), 26)).astype(int)):
        level = np.minimum((n_levels ** rng.random(n_rows)).astype(int) - 1, n_levels - 1)
        z += (0.35 * rng.normal(size=n_levels))[level]
        names = pa.array([f"{j:02x}{i:06x}" for i in range(n_levels)])
        columns[f"c{j:02}"] = names.take(pa.array(level))
    score = z + rng.logistic(size=n_rows)
    columns[LABEL] = (score > np.quantile(score, 0.85)).astype(np.int64)
    table, cut = pa.table(columns), int(0.8 * n_rows)
    return Task(
        "clicks, hashed",
        "logistic",
        table.slice(0, cut),
        table.slice(cut),
        {"categorical": [f"c{j:02}" for j in range(26)]},
        kind="hashed",
    )


def bundled(name: str, loss: str) -> Maker:
    """A set that comes with scikit-learn."""

    def make(n_rows: int) -> Task:
        del n_rows
        from sklearn import datasets

        data = getattr(datasets, f"load_{name}")()
        columns = {f"x{j:02}": data.data[:, j].astype(float) for j in range(data.data.shape[1])}
        table = pa.table(columns | {LABEL: data.target})
        order = np.random.default_rng(0).permutation(len(table))
        table, cut = table.take(pa.array(order)), int(0.75 * len(table))
        return Task(name, loss, table.slice(0, cut), table.slice(cut), {"loss": loss}, n_files=2)

    return make


def real(name: str, folder: str, read: Callable[[Path], pa.Table], loss: str, **job: Any) -> Maker:
    """A set below `ONEPASS_REAL_DATA`, in random order."""

    def make(n_rows: int) -> Task:
        del n_rows
        table = read(Path(os.environ["ONEPASS_REAL_DATA"]) / folder)
        order = np.random.default_rng(0).permutation(len(table))
        table, cut = table.take(pa.array(order)), int(0.8 * len(table))
        return Task(name, loss, table.slice(0, cut), table.slice(cut), {"loss": loss} | job)

    return make


def _beijing(folder: Path) -> pa.Table:
    table = ds.dataset(folder, partitioning="hive").to_table()
    table = table.rename_columns([LABEL if n == "PM2.5" else n for n in table.column_names])
    return table.filter(pc.is_valid(table[LABEL])).drop_columns(
        [name for name in ("No", "row", "index") if name in table.column_names]
    )


def _flights(label: Callable[[Any], Any]) -> Callable[[Path], pa.Table]:
    def read(folder: Path) -> pa.Table:
        table = ds.dataset(folder).to_table()
        return table.drop_columns("delay").append_column(LABEL, label(table["delay"]))

    return read


def _covtype(folder: Path) -> pa.Table:
    table = ds.dataset(folder).to_table()
    return table.rename_columns([LABEL if n == "cover_type" else n for n in table.column_names])


def all_tasks() -> Iterator[tuple[str, Maker]]:
    """Names and makers of every task that can be made here."""
    found: list[Maker] = []
    names: list[str] = []

    def add(name: str, maker: Maker) -> None:
        names.append(name)
        found.append(maker)

    for name, loss in (
        ("breast_cancer", "logistic"),
        ("digits", "softmax"),
        ("diabetes", "squared"),
    ):
        add(name, bundled(name, loss))
    if os.environ.get("ONEPASS_REAL_DATA"):
        for loss, job in (("squared", {}), ("huber", {}), ("quantile", {"quantile": 0.9})):
            add(f"beijing {loss}", real(f"beijing {loss}", "beijing_air", _beijing, loss, **job))
        delay = _flights(lambda column: column)
        late = _flights(lambda column: pc.greater(column, 15).cast(pa.int64()))
        add("flights delay", real("flights delay", "flights_200k", delay, "squared"))
        add("flights late", real("flights late", "flights_200k", late, "logistic"))
        add("covtype", real("covtype", "covtype_20k", _covtype, "softmax"))
    for name, loss, options in (
        ("scales 1e-3..1e4", "logistic", {"design": "scales"}),
        ("amounts", "logistic", {"design": "amounts"}),
        ("amounts, squared", "squared", {"design": "amounts"}),
        ("condition 1e4", "squared", {"design": "condition"}),
        ("condition 1e4, classes", "logistic", {"design": "condition"}),
        ("1 % positives", "logistic", {"positives": 0.01}),
        ("rare indicators", "logistic", {"design": "rare"}),
        ("heavy tails", "huber", {"noise": "heavy"}),
        ("2 % outliers", "huber", {"noise": "outliers"}),
        ("quantile .9", "quantile", {"noise": "skewed", "quantile": 0.9}),
        ("quantile .1, scales", "quantile", {"design": "scales", "quantile": 0.1}),
        ("counts", "poisson", {}),
        ("counts, rare", "poisson", {"design": "rare"}),
        ("durations", "gamma", {}),
        ("margins", "hinge", {}),
        ("7 classes", "softmax", {"width": 20}),
        ("sorted by label", "logistic", {"is_sorted": True, "n_files": 32, "interleave": 16}),
        ("sorted, 7 classes", "softmax", {"is_sorted": True, "n_files": 32, "interleave": 16}),
    ):
        add(name, generated(name, loss, **options))
    add("clicks, hashed", clicks)
    yield from zip(names, found, strict=True)
