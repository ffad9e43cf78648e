"""How good is one pass? Holdout loss over that of the batch optimum, for onepass and its peers.

    python benchmarks/quality.py [--only NAME] [--peers none|default|tuned] [--quick] [--json]
    python benchmarks/quality.py --parallel 4,16,auto [--only NAME] [--quick]

onepass runs at its defaults on a lake of Parquet files; the batch optimum is fitted on the very
features that onepass sees. Tuned peers have the best rate of a grid, chosen on the holdout rows.
With `--parallel`, onepass is compared with itself: many small partitions, learnt in rounds, beside
one partition at a time.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from ids import id_tasks
from peers import SKLEARN_RATES, VW_RATES, sklearn_sgd, vowpal_wabbit, vw_lines
from reference import batch_margins, hashed_margins
from rounds import lines, measured, round_tasks, write
from separable import separable_tasks
from stored import stored_tasks
from tasks import LABEL, Maker, Task, all_tasks

from onepass import evaluate, train
from onepass.block import Block
from onepass.encode.encoder import Encoder
from onepass.model.directory import ModelFile, open_model

ROWS = {"quick": 25_000, "full": 125_000}
CLICK_ROWS = {"quick": 60_000, "full": 375_000}
COLUMNS = ["onepass", "sklearn SGD", "tuned", "VW", "tuned "]


@dataclass
class Row:
    """Results of one task."""

    name: str
    loss: str
    kind: str
    n_rows: int
    width: int
    batch: float = float("nan")
    seconds: float = 0.0
    excess: dict[str, float] = field(default_factory=dict)
    """In percent of the batch optimum's loss, by column."""

    @property
    def is_small(self) -> bool:
        """Too few rows for the targets to apply."""
        return self.n_rows < 100 * self.width


def run(task: Task, peers: str) -> Row:
    """All columns of one task."""
    with tempfile.TemporaryDirectory() as folder:
        lake, holdout = Path(folder) / "lake", Path(folder) / "holdout"
        write(lake, task.train, task.n_files, task.row_group_rows)
        write(holdout, task.holdout, 1, task.row_group_rows)
        model = str(Path(folder) / "model")
        began = time.perf_counter()
        train({"lake": str(lake), "label": LABEL, "model": model} | task.job)
        seconds = time.perf_counter() - began
        ours = evaluate(str(holdout), model).loss
        file = open_model(model).file
    learnt, judged = (encode(file, table) for table in (task.train, task.holdout))
    width = file.encoder.n_dense + file.encoder.n_hashed
    row = Row(task.name, task.loss, task.kind, learnt.n_rows, width, seconds=seconds)
    row.batch = reference(file, learnt, judged)
    row.excess["onepass"] = percent(ours, row.batch)
    if peers != "none":
        add_sklearn(row, task, file, learnt, judged, peers)
        add_vw(row, task, file, learnt, judged, peers)
    return row


def encode(file: ModelFile, table: pa.Table) -> Block:
    """Rows as the model sees them."""
    return Encoder(file.encoder).encode(table, {}).block


def reference(file: ModelFile, learnt: Block, judged: Block) -> float:
    """Holdout loss of the batch optimum on the same features."""
    label = file.encoder.label
    if file.encoder.n_slots:
        fits = hashed_margins(file.job.loss, learnt, judged)
        return min(loss_of(file, mean(file, z), learnt, judged) for z in fits.values())
    margins = batch_margins(
        file.job.loss,
        learnt.dense.astype(float),
        learnt.label,
        judged.dense.astype(float),
        quantile=file.job.quantile[0],
        delta=file.job.delta or 1.0,
        n_classes=len(label.classes or ()),
    )
    return loss_of(file, mean(file, margins), learnt, judged)


def mean(file: ModelFile, margins: np.ndarray) -> np.ndarray:
    """Predictions of margins in the label's unit."""
    if file.job.loss == "softmax":
        e = np.exp(margins - margins.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)
    z = margins.reshape(-1)
    match file.job.loss:
        case "logistic":
            return 1 / (1 + np.exp(-np.clip(z, -700, 700)))
        case "poisson" | "gamma":
            return np.exp(np.minimum(z, 700))
    return z


def loss_of(file: ModelFile, prediction: np.ndarray, learnt: Block, judged: Block) -> float:
    """Mean loss as `onepass evaluate` has it; regressions are clipped as onepass does."""
    if file.encoder.label.classes is None:
        prediction = np.clip(prediction, learnt.label.min(), learnt.label.max())
        if file.job.loss in {"poisson", "gamma"}:
            prediction = np.maximum(prediction, 1e-9)
    if not np.isfinite(prediction).all():
        return float("inf")
    metrics = file.metrics()
    metrics.add(prediction, judged.label, judged.weight)
    return metrics.loss()


def add_sklearn(
    row: Row, task: Task, file: ModelFile, learnt: Block, judged: Block, peers: str
) -> None:
    """scikit-learn on the features of onepass, which are better than raw ones."""
    x, at = learnt.dense.astype(float), judged.dense.astype(float)
    if learnt.slots.shape[1]:
        x, at = (sparse(block, file.encoder.n_slots) for block in (learnt, judged))
    rates = [None, *(SKLEARN_RATES if peers == "tuned" else ())]
    losses = []
    for rate in rates:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = sklearn_sgd(task, x, learnt.label, at, rate=rate, delta=file.job.delta or 1.0)
        if found is None:
            return
        losses.append(loss_of(file, found, learnt, judged))
    row.excess["sklearn SGD"] = percent(losses[0], row.batch)
    if peers == "tuned":
        row.excess["tuned"] = percent(min(losses), row.batch)


def sparse(block: Block, n_slots: int):
    """The hashed design as a sparse matrix."""
    from scipy.sparse import csr_matrix, hstack

    n, m = block.slots.shape
    hits = csr_matrix(
        (np.ones(n * m), block.slots.ravel().astype(np.int64), np.arange(0, n * m + 1, m)),
        shape=(n, n_slots),
    )
    return hstack([csr_matrix(block.dense.astype(float)), hits]).tocsr()


def add_vw(row: Row, task: Task, file: ModelFile, learnt: Block, judged: Block, peers: str) -> None:
    """Vowpal Wabbit on the raw columns, as text."""
    if installed("vowpalwabbit") is None:
        print("no Vowpal Wabbit here: pip install vowpalwabbit", file=sys.stderr)
        return
    classes = file.encoder.label.classes
    order = np.arange(len(task.train))
    train_lines = vw_lines(task, task.train.take(pa.array(order)), classes)
    holdout_lines = vw_lines(task, task.holdout, classes)
    losses = []
    for rate in [None, *(VW_RATES if peers == "tuned" else ())]:
        found = vowpal_wabbit(
            task, train_lines, holdout_lines, rate=rate, n_classes=len(classes or ())
        )
        if found is None:
            return
        losses.append(loss_of(file, np.asarray(found), learnt, judged))
    row.excess["VW"] = percent(losses[0], row.batch)
    if peers == "tuned":
        row.excess["tuned "] = percent(min(losses), row.batch)


def percent(loss: float, best: float) -> float:
    """Excess over the best in percent."""
    return 100 * (loss / best - 1)


def shown(value: float | None) -> str:
    """A percentage of five characters or so."""
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}" if value < 1e6 else f"{value:.0e}"


def print_table(rows: list[Row]) -> None:
    """The table, a row a task."""
    names = [c for c in COLUMNS if any(c in row.excess for row in rows)]
    print(f"| task | loss | rows | width | batch | {' | '.join(names)} |")
    print("|---|---|---|---|---|" + "---|" * len(names))
    for row in rows:
        cells = " | ".join(shown(row.excess.get(name)) for name in names)
        mark = " (small)" if row.is_small and row.kind not in {"hashed", "ids"} else ""
        print(
            f"| {row.name}{mark} | {row.loss} | {row.n_rows:,} | {row.width} "
            f"| {row.batch:.6g} | {cells} |"
        )


def print_summary(rows: list[Row]) -> None:
    """Medians, shares, and which targets are met."""
    dense = [r for r in rows if r.kind == "dense" and not r.is_small]
    for name in COLUMNS:
        found = np.array([r.excess[name] for r in dense if name in r.excess])
        if len(found):
            shares = ", ".join(f"{np.mean(found <= p):.0%} within {p} %" for p in (0.05, 0.5, 2))
            print(f"{name.strip()}, dense: median {np.median(found):.3f} %, {shares}")
    ours = np.array([r.excess["onepass"] for r in dense])
    if len(ours):
        tell("dense within 0.5 %", bool((ours <= 0.5).all()))
        tell("dense median within 0.05 %", bool(np.median(ours) <= 0.05))
    for kind, limit in (("hashed", 1.0), ("ids", 2.0), ("sorted", 0.5), ("stored", 0.5)):
        found = [r.excess["onepass"] for r in rows if r.kind == kind]
        if found:
            tell(f"{kind} within {limit} %", max(found) <= limit)


def installed(name: str) -> str | None:
    """Version of a package; None where it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def tell(target: str, is_met: bool) -> None:
    """One target."""
    print(f"target {target}: {'met' if is_met else 'MISSED'}")


def chosen(makers: Iterable[tuple[str, Maker]], only: str | None, size: str) -> Iterator[Task]:
    """Make the tasks whose names contain a text, one after another."""
    for name, make in makers:
        if not only or only in name:
            yield make((CLICK_ROWS if name.startswith("clicks") else ROWS)[size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="tasks whose names contain this")
    parser.add_argument("--peers", choices=["none", "default", "tuned"], default="default")
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--parallel", help="values to compare with 1, such as 4,16,auto")
    given = parser.parse_args()
    size = "quick" if given.quick else "full"
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}")
    packages = ["numpy", "scipy", "pyarrow", "numba", "scikit-learn", "vowpalwabbit"]
    print(", ".join(f"{name} {installed(name) or 'absent'}" for name in packages))
    if given.parallel:
        tasks = chosen(chain(all_tasks(), id_tasks(), round_tasks()), given.only, size)
        found = [measured(task, given.parallel.split(",")) for task in tasks]
        print("", *lines(found), sep="\n")
        return
    rows = []
    tasks = chain(all_tasks(), id_tasks(), stored_tasks(), separable_tasks())
    for task in chosen(tasks, given.only, size):
        row = run(task, given.peers)
        rows.append(row)
        line = ", ".join(f"{k.strip()} {shown(v)}" for k, v in row.excess.items())
        print(f"{task.name}: {line} ({row.seconds:.1f} s)", file=sys.stderr, flush=True)
    print()
    print_table(rows)
    print()
    print_summary(rows)
    if given.json:
        print(json.dumps([row.__dict__ for row in rows]))


if __name__ == "__main__":
    main()
