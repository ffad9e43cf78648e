"""Tasks whose rows are learnt in the order in which they are stored: sorted, or by time.

Each is judged by the rows that it learns, since later rows of such lakes are different rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from tasks import LABEL, Maker, Task, generated

_GROUP_ROWS = 1 << 20
"""Rows of a row group as pyarrow writes them by default."""


def _stored(name: str, loss: str, table: pa.Table, n_files: int = 1, **more: Any) -> Task:
    rows = more.pop("row_group_rows", _GROUP_ROWS)
    fields = {"loss": loss} | more
    return Task(name, loss, table, table, fields, n_files, "stored", rows)


def _sorted(
    name: str,
    loss: str,
    *,
    n_files: int = 1,
    n_groups: int = 1,
    width: int = 12,
    row_group_rows: int | None = None,
    **options: Any,
) -> Maker:
    """Rows in random order over row groups, each of which is sorted by its label.

    With `row_group_rows`, these row groups are cut into smaller ones.
    """

    def make(n_rows: int) -> Task:
        # More than a block in each row group.
        n = n_files * n_groups
        rows = max(200_000, 5 * n_rows // 2) if n == 1 else 100_000 * n
        table = generated(name, loss, width=width, **options)(rows).train
        edges = np.linspace(0, len(table), n + 1).astype(int)
        parts = [table.slice(a, b - a).sort_by(LABEL) for a, b in pairwise(edges)]
        rows = row_group_rows or -(-len(table) // n)
        return _stored(name, loss, pa.concat_tables(parts), n_files, row_group_rows=rows)

    return make


def bookings(n_rows: int) -> Task:
    """Bookings of two hotels, one after the other, most of the cancelled ones before the others."""
    n = max(120_000, n_rows)
    rng = np.random.default_rng(11)
    hotel = (np.arange(n) >= n // 3).astype(int)
    time = np.where(hotel == 0, np.arange(n) / (n // 3), (np.arange(n) - n // 3) / (n - n // 3))
    season = np.sin(2 * np.pi * 3 * time)
    lead = rng.gamma(1.2, 60 * (1 + 0.4 * season + 0.5 * time))
    agent = rng.integers(0, 6, n)
    nights = rng.poisson(2 + 1.5 * (1 - hotel))
    price = 70 + 40 * season + 30 * time + 25 * rng.normal(size=n)
    requests = rng.poisson(0.3 + 0.5 * time)
    late = rng.random(n) < 0.3 * (1 - time)
    z = -1.4 + 0.012 * lead + 0.9 * hotel * (1 - 1.5 * time) - 0.8 * requests + 0.004 * price
    z += np.array([0.8, -0.5, 0.2, 0.0, -1.0, 0.4])[agent] + 1.2 * late - 0.05 * nights
    y = (rng.logistic(size=n) < z).astype(np.int64)
    # Records were added by status, with some exceptions.
    order = np.lexsort((rng.random(n), (rng.random(n) < 0.1) ^ (y == 0), hotel))
    columns = {"hotel": pa.array(np.array(["resort", "city"])[hotel]), "lead": lead}
    columns |= {"nights": nights, "price": price, "requests": requests, "late": late}
    columns["agent"] = pa.array(np.array(list("abcdef"))[agent])
    columns["day"] = pa.array((time * 1000).astype(np.int32) + 16_000).cast(pa.date32())
    table = pa.table(columns | {LABEL: y}).take(pa.array(order))
    return _stored("stored: bookings", "logistic", table)


def daily_counts(n_rows: int) -> Task:
    """Hourly counts of 10 stations that grow a hundredfold, in waves."""
    n = max(200_000, 2 * n_rows)
    rng = np.random.default_rng(12)
    hour_of_all, station = np.arange(n) // 10, np.arange(n) % 10
    day = hour_of_all / 24
    heat = 12 - 12 * np.cos(2 * np.pi * day / 365.25) + 4 * rng.normal(size=n)
    rain = (rng.random(n) < 0.2).astype(int)
    hour = hour_of_all % 24
    past = day / day.max()
    z = 5 * past + 1.5 * np.sin(9 * past) + 0.045 * heat * (1 - 2 * past) - 0.5 * rain
    z += (0.3 - past) * 0.3 * (station - 5)
    z += 0.9 * np.sin(np.pi * (hour - 6) / 12) - 0.3 * (day.astype(int) % 7 >= 5)
    columns = {
        "heat": heat,
        "rain": rain,
        "hour": hour,
        "station": pa.array(station).cast("string"),
    }
    columns["weekend"] = day.astype(int) % 7 >= 5
    columns["at"] = pa.array(1_500_000_000 + 3600 * hour_of_all).cast(pa.timestamp("s"))
    y = rng.poisson(np.exp(z) * rng.gamma(4, 0.25, n))
    return _stored("stored: daily counts", "poisson", pa.table(columns | {LABEL: y}))


def fraud(n_rows: int) -> Task:
    """0.8 % positives in waves of some days, each of another kind of fraud."""
    n = max(250_000, 2 * n_rows)
    rng = np.random.default_rng(13)
    day = np.arange(n) * 120 // n
    wave = np.exp(1.0 * rng.normal(size=120))[day] * np.exp(day / 80)
    x = rng.normal(size=(n, 16))
    kind = np.cumsum(rng.normal(size=(120, 16)), axis=0) / 8 + rng.normal(size=16) / 2
    score = (x * kind[day]).sum(1) + np.log(wave) + rng.logistic(size=n)
    y = (score > np.quantile(score, 0.992)).astype(np.int64)
    columns = {f"v{j:02}": x[:, j] for j in range(16)}
    columns["amount"] = np.exp(3 + rng.normal(size=n) + 0.5 * y)
    columns["second"] = np.arange(n) * 120 * 86_400 // n
    return _stored("stored: fraud by day", "logistic", pa.table(columns | {LABEL: y}))


def _real(name: str, folder: str, read: Callable[[pa.Table], pa.Table], loss: str) -> Maker:
    """A set below `ONEPASS_REAL_DATA` in the order of its files."""

    def make(n_rows: int) -> Task:
        del n_rows
        path = Path(os.environ["ONEPASS_REAL_DATA"]) / folder
        return _stored(name, loss, read(ds.dataset(path, partitioning="hive").to_table()))

    return make


def _beijing(table: pa.Table) -> pa.Table:
    table = table.filter(pc.is_valid(table["PM2.5"]))
    table = table.append_column(LABEL, table["PM2.5"])
    return table.drop_columns(
        [n for n in ("PM2.5", "No", "row", "index") if n in table.column_names]
    )


def _flights(label: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns("delay").append_column(LABEL, label(table["delay"]))


def _covtype(table: pa.Table) -> pa.Table:
    return table.rename_columns([LABEL if n == "cover_type" else n for n in table.column_names])


def stored_tasks() -> Iterator[tuple[str, Maker]]:
    """Names and makers of every task that can be made here."""
    for name, loss, options in (
        ("two classes", "logistic", {}),
        ("3 % positives", "logistic", {"positives": 0.03}),
        ("numbers", "squared", {}),
        ("heavy tails", "huber", {"noise": "heavy"}),
        ("quantile .9", "quantile", {"noise": "skewed", "quantile": 0.9}),
        ("counts", "poisson", {}),
        ("7 classes", "softmax", {}),
        ("4 files", "logistic", {"n_files": 4}),
        ("4 row groups", "logistic", {"n_groups": 4}),
        ("4 row groups, counts", "poisson", {"n_groups": 4}),
        ("over large row groups", "logistic", {"width": 30, "row_group_rows": 70_000}),
        ("over small row groups", "logistic", {"row_group_rows": 20_000}),
    ):
        name = f"stored: sorted, {name}"
        yield name, _sorted(name, loss, **options)
    for name, maker in (
        ("bookings", bookings), ("daily counts", daily_counts), ("fraud by day", fraud),
    ):  # fmt: skip
        yield f"stored: {name}", maker
    if os.environ.get("ONEPASS_REAL_DATA"):
        late = _flights(lambda column: pc.greater(column, 15).cast(pa.int64()))
        delay = _flights(lambda column: column)
        for name, folder, read, loss in (
            ("beijing squared", "beijing_air", _beijing, "squared"),
            ("beijing huber", "beijing_air", _beijing, "huber"),
            ("flights delay", "flights_200k", delay, "huber"),
            ("flights late", "flights_200k", late, "logistic"),
            ("covtype", "covtype_20k", _covtype, "softmax"),
        ):
            name = f"stored: {name}"
            yield name, _real(name, folder, read, loss)
