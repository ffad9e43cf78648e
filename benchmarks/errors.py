"""Standard errors of a million rows: onepass beside statsmodels.

    python benchmarks/errors.py --folder DISK
    python benchmarks/errors.py --folder DISK --rows 20000 --only 'squared:classic'

Ten float64 columns, of which two are the same for all rows of a firm, and labels whose variance
depends on a column and whose firms differ: classic, robust and clustered errors are far from each
other. Each fit is a process of its own. Processor seconds are those of the process from its start,
imports and reading included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WIDTH, N_FIRMS, N_FILES = 10, 2000, 4
FEATURES = [f"x{j}" for j in range(WIDTH)]
LABELS = {"squared": "wage", "logistic": "left", "poisson": "days"}
KINDS: dict[str, dict[str, Any]] = {
    "classic": {},
    "robust": {"robust": True},
    "clustered": {"cluster": "firm"},
}
"""Fields of the job by kind of standard errors."""


def table(n_rows: int, seed: int) -> pa.Table:
    """Return people of firms, with a label for each loss."""
    firms, rng = np.random.default_rng(0), np.random.default_rng(seed)
    common = firms.normal(size=(N_FIRMS, 3))
    firm = rng.integers(N_FIRMS, size=n_rows)
    x = rng.normal(size=(n_rows, WIDTH))
    x[:, :2] = common[firm, :2]
    margin = x @ (0.3 * np.cos(np.arange(WIDTH))) + 0.5 * common[firm, 2]
    exposure = rng.uniform(0.1, 1.0, n_rows)
    columns = dict(zip(FEATURES, x.T, strict=True))
    return pa.table(
        columns
        | {
            "firm": firm,
            "exposure": exposure,
            "wage": margin + np.exp(0.5 * x[:, 2]) * rng.normal(size=n_rows),
            "left": (rng.logistic(size=n_rows) < margin - 1).astype(np.int8),
            "days": rng.poisson(exposure * np.exp(margin - 1)).astype(np.int32),
        }
    )


def written(folder: Path, n_rows: int) -> Path:
    """Return the lake, which is written if it is not there."""
    lake = folder / f"people-{n_rows}"
    if not lake.exists():
        lake.mkdir(parents=True)
        for k in range(N_FILES):
            pq.write_table(table(n_rows // N_FILES, 1 + k), lake / f"{k}.parquet")
    return lake


def onepass(lake: Path, loss: str, kind: str) -> dict[str, Any]:
    """Train in one pass, then refine; return coefficients and errors after each."""
    from onepass import Model, refine, train
    from onepass.actions.summary import summarise

    model = lake.parent / f"model-{time.time_ns()}"
    job = {"lake": str(lake), "loss": loss, "model": str(model), "label": LABELS[loss]}
    offset = {"exposure": "exposure"} if loss == "poisson" else {}
    train(job | {"features": FEATURES} | offset | KINDS[kind])

    def found() -> dict[str, Any]:
        summary = summarise(Model.load(model), by_column=True)
        rows = [*summary.coefficients, *summary.intercepts]
        coefficients, errors = [r.coefficient for r in rows], [r.std_error for r in rows]
        return {"coefficients": coefficients, "errors": errors} | _used()

    after_pass = found()
    refine({"model": str(model)})
    return {"one pass": after_pass, "refined": found()}


def statsmodels(lake: Path, loss: str, kind: str) -> dict[str, Any]:
    """Fit all rows in memory."""
    import statsmodels.api as sm

    rows = pq.read_table(lake)
    x = np.column_stack([*(rows[name].to_numpy() for name in FEATURES), np.ones(rows.num_rows)])
    y = rows[LABELS[loss]].to_numpy()
    kinds = {"classic": "nonrobust", "robust": "HC1", "clustered": "cluster"}
    how: dict[str, Any] = {"cov_type": kinds[kind]}
    if kind == "clustered":
        how["cov_kwds"] = {"groups": rows["firm"].to_numpy()}
    if loss == "squared":
        made = sm.OLS(y, x)
    elif loss == "logistic":
        made = sm.GLM(y, x, family=sm.families.Binomial())
    else:
        exposure = rows["exposure"].to_numpy()
        made = sm.GLM(y, x, family=sm.families.Poisson(), exposure=exposure)
    fitted = made.fit(**how)
    found = {"coefficients": fitted.params.tolist(), "errors": fitted.bse.tolist()}
    return {"batch": found | _used()}


def _used() -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu_seconds": time.process_time(), "peak_bytes": peak}


def measured(name: str, lake: Path, case: str) -> dict[str, Any]:
    """Return what a contender finds in a process of its own."""
    words = [sys.executable, __file__, "--run", name, "--lake", str(lake), "--only", case]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def printed(case: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Return a row of the table."""
    batch, cells = theirs["batch"], [case.replace(":", ", ")]
    for stage in ("one pass", "refined"):
        found = ours[stage]
        off = np.subtract(found["coefficients"], batch["coefficients"]) / batch["errors"]
        ratio = np.divide(found["errors"], batch["errors"]) - 1
        cells += [f"{np.abs(off).max():.0e}", f"{np.abs(ratio).max():.0e}"]
    for found in (ours["one pass"], ours["refined"], batch):
        cells.append(f"{found['cpu_seconds']:.1f}")
    cells += [f"{found['peak_bytes'] / 1e6:,.0f}" for found in (ours["refined"], batch)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Compare every kind of errors of every loss, and print a table."""
    cases = [f"{loss}:{kind}" for loss in LABELS for kind in KINDS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark-lakes"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", default=";".join(cases))
    parser.add_argument("--run", choices=("onepass", "statsmodels"), help=argparse.SUPPRESS)
    parser.add_argument("--lake", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        contender = {"onepass": onepass, "statsmodels": statsmodels}[given.run]
        print(json.dumps(contender(given.lake, *given.only.split(":"))))
        return
    lake = written(given.folder, given.rows)
    print(f"{given.rows:,} rows, statsmodels {version('statsmodels')}:\n")
    print(
        "| | one pass: coefficients off, in standard errors | its errors off by | refined: "
        "coefficients off | its errors off by | CPU s, one pass | refined | statsmodels | "
        "peak MB, onepass | statsmodels |"
    )
    print("|---|" + "---|" * 9)
    for case in given.only.split(";"):
        ours, theirs = (measured(name, lake, case) for name in ("onepass", "statsmodels"))
        print(printed(case, ours, theirs), flush=True)


if __name__ == "__main__":
    main()
