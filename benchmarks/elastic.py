"""Paths of the lasso and the elastic net on correlated columns: onepass beside its peers.

    python benchmarks/elastic.py --folder DISK
    python benchmarks/elastic.py --folder DISK --rows 5000 --only 'squared:onepass, path'

200 columns, each correlated by 0.9 with the one before it, of which 20 tell of the label. Every
contender fits 100 penalties, from the least one at which all coefficients are 0 down to a
thousandth of it, and is a process of its own. The penalty is the best one on 20,000 rows; the loss
is that on 50,000 others. onepass reads a lake, its peers hold the rows in memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from usage import used_by

WIDTH, N_TRUE, N_PENALTIES, RATIO = 200, 20, 100, 1e-3
FEATURES = [f"x{j:03d}" for j in range(WIDTH)]
TRUE = np.arange(N_TRUE) * (WIDTH // N_TRUE)
CORRELATION = 0.9
L1_SHARE = {"squared": 0.5, "logistic": 1.0}
"""Share of l1 by loss: an elastic net and a lasso."""

Path_: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Coefficients in the units of the columns, shape (n_penalties, 200), and intercepts."""


def table(n_rows: int, seed: int) -> pa.Table:
    """Return rows with a label of each loss."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, WIDTH))
    for j in range(1, WIDTH):
        x[:, j] = CORRELATION * x[:, j - 1] + np.sqrt(1 - CORRELATION**2) * x[:, j]
    z = x[:, TRUE] @ (np.geomspace(0.5, 0.02, N_TRUE) * (-1.0) ** np.arange(N_TRUE))
    columns = dict(zip(FEATURES, x.T, strict=True))
    labels = {"squared": z + rng.normal(size=n_rows)}
    labels["logistic"] = (rng.logistic(size=n_rows) < z).astype(float)
    return pa.table(columns | labels)


def written(folder: Path, n_rows: int) -> dict[str, Path]:
    """Return the lakes, which are written if they are not there."""
    sizes = {"train": n_rows, "choose": 20_000, "test": 50_000}
    lakes = {name: folder / f"correlated-{n_rows}-{name}" for name in sizes}
    for seed, (name, lake) in enumerate(lakes.items()):
        if not lake.exists():
            lake.mkdir(parents=True)
            pq.write_table(table(sizes[name], seed), lake / "0.parquet", row_group_size=1 << 14)
    return lakes


def matrix(lake: Path, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a lake and their labels."""
    rows = pq.read_table(lake)
    x = np.empty((rows.num_rows, WIDTH), order="F")
    for j, name in enumerate(FEATURES):
        x[:, j] = rows[name].to_numpy()
    return x, rows[label].to_numpy()


def onepass(lake: Path, loss: str) -> Path_:
    """Return the best weights of the path of a model after one pass over the lake."""
    return _chosen(lake, loss)[1]


def onepass_again(lake: Path, loss: str) -> Path_:
    """Return the weights of another pass, which learns with the penalty that the path chose."""
    penalty, share = _chosen(lake, loss)[0], L1_SHARE[loss]
    return _weights(_trained(lake, loss, l1=penalty * share, l2=penalty * (1 - share)))


def _chosen(lake: Path, loss: str) -> tuple[float, Path_]:
    from onepass import choose_penalty, penalty_path

    model, others = _trained(lake, loss), lake.with_name(lake.name.replace("train", "choose"))
    shape = {"alpha": L1_SHARE[loss], "n_penalties": N_PENALTIES, "ratio": RATIO}
    path = choose_penalty(penalty_path(model, lake=str(others), **shape), "holdout")
    assert path.chosen is not None
    return path.chosen, _weights(model)


def _trained(lake: Path, loss: str, **more: Any) -> Path:
    from onepass import train

    model = lake.parent / f"model-{time.time_ns()}"
    job = {"lake": str(lake), "label": loss, "loss": loss, "model": str(model)}
    train(job | {"features": FEATURES} | more)
    return model


def _weights(model: Path) -> Path_:
    from onepass import Model

    weights = Model.load(model).weights[0]
    return weights.dense[None], np.array([weights.intercept])


def _in_memory(lake: Path, loss: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return standardised columns, the label, and the means and deviations of the columns."""
    x, y = matrix(lake, loss)
    mean, std = x.mean(0), x.std(0)
    x -= mean
    x /= std
    return x, y, mean, std


def _penalties(x: np.ndarray, y: np.ndarray, l1_share: float) -> np.ndarray:
    most = np.abs(x.T @ (y - y.mean())).max() / len(y) / l1_share
    return np.geomspace(most, most * RATIO, N_PENALTIES)


def _raw(coefficients: np.ndarray, intercepts: Any, mean: np.ndarray, std: np.ndarray) -> Path_:
    raw = coefficients / std
    return raw, intercepts - raw @ mean


def scikit_learn(lake: Path, loss: str) -> Path_:
    """Fit by coordinate descent, or by saga from one penalty to the next."""
    from sklearn.linear_model import LogisticRegression, enet_path

    x, y, mean, std = _in_memory(lake, loss)
    penalties = _penalties(x, y, L1_SHARE[loss])
    if loss == "squared":
        _, found, _ = enet_path(x, y - y.mean(), l1_ratio=0.5, alphas=penalties)
        return _raw(found.T, y.mean(), mean, std)
    model = LogisticRegression(l1_ratio=1.0, solver="saga", warm_start=True, max_iter=1000)
    rows = []
    for penalty in penalties:
        model.set_params(C=1 / (penalty * len(y))).fit(x, y)
        rows.append([*model.coef_[0], model.intercept_[0]])
    found = np.array(rows)
    return _raw(found[:, :-1], found[:, -1], mean, std)


def celer(lake: Path, loss: str) -> Path_:
    """Fit by working sets; its logistic loss has no intercept, and the rows need none."""
    from celer import celer_path

    x, y, mean, std = _in_memory(lake, loss)
    if loss == "squared":
        penalties = _penalties(x, y, 0.5)
        centred = y - y.mean()
        _, found, _ = celer_path(x, centred, "lasso", alphas=penalties, l1_ratio=0.5)[:3]
        return _raw(found.T, y.mean(), mean, std)
    signs = 2 * y - 1
    most = np.abs(x.T @ signs).max() / 2
    penalties = np.geomspace(most, most * RATIO, N_PENALTIES)
    _, found, _ = celer_path(x, signs, "logreg", alphas=penalties)[:3]
    return _raw(found.T, 0.0, mean, std)


def glum(lake: Path, loss: str) -> Path_:
    """Fit by iteratively reweighted least squares over active sets."""
    from glum import GeneralizedLinearRegressor

    x, y, mean, std = _in_memory(lake, loss)
    model = GeneralizedLinearRegressor(
        family={"squared": "normal", "logistic": "binomial"}[loss],
        l1_ratio=L1_SHARE[loss],
        alpha=_penalties(x, y, L1_SHARE[loss]),
        alpha_search=True,
        # glum 3.4.1 cannot choose a solver for several penalties of normal labels by itself.
        solver="irls-cd",
    )
    model.fit(x, y)
    return _raw(np.array(model.coef_path_), np.array(model.intercept_path_), mean, std)


CONTENDERS: dict[str, Callable[[Path, str], Path_]] = {
    "onepass, path": onepass,
    "onepass, path, then a pass with its choice": onepass_again,
    "glum": glum,
    "scikit-learn": scikit_learn,
    "celer": celer,
}
PACKAGES = {"glum": "glum", "scikit-learn": "scikit-learn", "celer": "celer"}


def losses(loss: str, path: Path_, lake: Path) -> np.ndarray:
    """Return the mean loss on a lake at each penalty: squared error, or log loss."""
    x, y = matrix(lake, loss)
    z = x @ path[0].T + path[1]
    if loss == "squared":
        return ((y[:, None] - z) ** 2).mean(0)
    return (np.logaddexp(0, z) - y[:, None] * z).mean(0)


def measured(name: str, loss: str, lakes: dict[str, Path], most_minutes: float) -> dict[str, Any]:
    """Run a contender in a process of its own; return its choice and what it used."""
    file = lakes["train"].parent / "path.npz"
    file.unlink(missing_ok=True)
    words = [sys.executable, __file__, "--run", f"{loss}:{name}", "--folder", str(lakes["train"])]
    used = used_by([*words, "--found", str(file)], 16e9, most_minutes * 60)
    found: dict[str, Any] = {"cpu_seconds": used.cpu_seconds, "peak_bytes": used.peak_bytes}
    if used.gave_up:
        return found | {"gave_up": used.gave_up}
    if used.status:
        raise SystemExit(f"{name} ended with status {used.status}")
    with np.load(file) as arrays:
        found_path = arrays["coefficients"], arrays["intercepts"]
    path = found_path[0], np.broadcast_to(found_path[1], len(found_path[0]))
    best = int(losses(loss, path, lakes["choose"]).argmin())
    kept = path[0][best] != 0
    chosen = path[0][best : best + 1], path[1][best : best + 1]
    found["loss"] = float(losses(loss, chosen, lakes["test"])[0])
    return found | {"kept": int(kept.sum()), "true": int(kept[TRUE].sum())}


def main() -> None:
    """Measure the contenders, and print a table for each loss."""
    every = [f"{loss}:{name}" for loss in L1_SHARE for name in CONTENDERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark-lakes"))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", default=";".join(every))
    parser.add_argument("--most-minutes", type=float, default=10.0)
    parser.add_argument("--run", choices=every, help=argparse.SUPPRESS)
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        loss, name = given.run.split(":")
        coefficients, intercepts = CONTENDERS[name](given.folder, loss)
        np.savez(given.found, coefficients=coefficients, intercepts=intercepts)
        return
    lakes = written(given.folder, given.rows)
    print("| loss | | version | held-out loss | not 0 | of the true 20 | CPU s | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for one in given.only.split(";"):
        loss, name = one.split(":")
        found = measured(name, loss, lakes, given.most_minutes)
        cells = [loss, name, version(PACKAGES[name]) if name in PACKAGES else ""]
        if "gave_up" in found:
            cells += [found["gave_up"], "", ""]
        else:
            cells += [f"{found['loss']:.6f}", str(found["kept"]), str(found["true"])]
        cells += [f"{found['cpu_seconds']:.1f}", f"{found['peak_bytes'] / 1e6:,.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
