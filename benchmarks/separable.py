"""Tasks whose classes are nearly separable: attacks and floods among connections of a network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from tasks import LABEL, Maker, Task

N_SERVICES = 40

_KINDS = (
    (0.08, 0.05, 0.03, 0.02, 0.01, 0.005),
    (0.45, 0.22, 0.02, 0.005, 0.002),
    (0.012, 0.01, 0.006, 0.003),
    (0.002, 0.001, 0.0005, 0.0003),
    (0.0002, 0.0001, 0.0001),
)
"""Shares of the kinds of connection of each class: normal, flood, probe, and two rare ones."""

_CLASSES = np.repeat(np.arange(5), [len(kinds) for kinds in _KINDS])
_SHARES = np.concatenate(_KINDS)


def connections(n_rows: int, seed: int, *, mixed: bool, wrong: float) -> pa.Table:
    """Rows of a log of connections; the column `y` tells attacks, 1, from the rest, 0.

    Parameters
    ----------
    mixed
        Whether rows are in random order. If not, floods come in runs of 800 equal rows or so.
    wrong
        Share of rows whose label is drawn anew.
    """
    rng, truth = np.random.default_rng(seed), np.random.default_rng(3)
    n_kinds = len(_SHARES)
    kind = _kinds(n_rows, mixed, rng)
    is_flood = _CLASSES == 1
    columns: dict[str, np.ndarray] = {}
    for name in ("sent", "received"):
        spread = np.where(is_flood, 0.0, truth.uniform(0.2, 2.0, n_kinds))
        size = np.exp(truth.normal(5.5, 2, n_kinds)[kind] + spread[kind] * rng.normal(size=n_rows))
        is_empty = (truth.random(n_kinds) < 0.4)[kind]
        # A few connections move a hundred thousand times as much as others of their kind.
        giant = np.where(rng.random(n_rows) < 2e-5, 1e5, 1.0)
        columns[name] = np.where(is_empty, 0.0, np.floor(size) * giant)
    count = truth.uniform(1, 500, n_kinds)[kind] * np.exp(0.3 * rng.normal(size=n_rows))
    columns["count"] = np.round(np.clip(count, 0, 511))
    rates = truth.choice([0.0, 1.0, 0.5, 0.06], (n_kinds, 12), p=[0.55, 0.25, 0.1, 0.1])
    varies = truth.random((n_kinds, 12)) < 0.4
    for j in range(12):
        moved = np.round(0.1 * rng.normal(size=n_rows), 2) * (rng.random(n_rows) < 0.3)
        columns[f"rate{j:02}"] = np.clip(rates[kind, j] + varies[kind, j] * moved, 0, 1)
    of_kind = truth.dirichlet(np.full(N_SERVICES, 0.05), n_kinds).cumsum(axis=1)
    service = (rng.random(n_rows)[:, None] > of_kind[kind]).sum(axis=1).clip(0, N_SERVICES - 1)
    label = np.where(rng.random(n_rows) < wrong, rng.choice([0, 2, 3, 4], n_rows), _CLASSES[kind])
    label = (label > 0).astype(np.int64)
    names = pa.array([f"service{i:02}" for i in range(N_SERVICES)])
    return pa.table(columns | {"service": names.take(pa.array(service)), LABEL: label})


def _kinds(n_rows: int, mixed: bool, rng: np.random.Generator) -> np.ndarray:
    share = _SHARES / _SHARES.sum()
    if mixed:
        return rng.choice(len(share), n_rows, p=share)
    length = np.where(_CLASSES == 1, 800, np.where(_CLASSES == 0, 60, 20))
    runs = share / length
    mean_length = 1 / runs.sum()
    first = rng.choice(len(share), int(2 * n_rows / mean_length) + 1000, p=runs / runs.sum())
    return np.repeat(first, rng.geometric(1 / length[first]))[:n_rows]


def _task(n_rows: int, name: str, *, mixed: bool = False, **job: object) -> Task:
    # The batch fit takes long, because the weights of separable classes go on and on.
    table = connections(n_rows // 3, 0, mixed=mixed, wrong=2e-4)
    is_held_out = np.arange(len(table)) % 5 == 0
    train, holdout = table.filter(pa.array(~is_held_out)), table.filter(pa.array(is_held_out))
    return Task(name, "logistic", train, holdout, {"loss": "logistic", **job}, kind="separable")


def separable_tasks() -> Iterator[tuple[str, Maker]]:
    """Names and makers of the tasks of nearly separable classes."""
    for name, options in (
        ("separable: mixed", {"mixed": True}),
        ("separable: in runs", {}),
        ("separable: in runs, interleaved", {"interleave": 4}),
        ("separable: in runs, stored order", {"order": "stored"}),
    ):
        yield name, partial(_task, name=name, **options)
