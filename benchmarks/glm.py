"""A generalised linear model on counts with exposure: onepass, glum in memory, Spark.

    python benchmarks/glm.py --folder DISK                 # 16,777,216 rows; or:
    python benchmarks/glm.py --folder DISK --rows 1048576 --only 'onepass;glum'

The rows are claims of policies: 30 float32 columns and an exposure, with poisson loss and a
logarithmic link. Each contender is a process of its own. Its time and memory are those of the whole
process: imports, reading, fitting, standard errors. glum reads all rows into one matrix in double
precision, as its users do. The holdout deviance tells whether all find the same coefficients.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WIDTH, N_FILES = 30, 8
FEATURES = [f"x{j:02d}" for j in range(WIDTH)]
CONTENDERS = {"onepass": "onepass", "glum": "glum", "spark": "pyspark"}
"""Packages by contender."""


def table(n_rows: int, seed: int) -> pa.Table:
    """Return policies with their claims."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, WIDTH)).astype(np.float32)
    weights = 0.3 * np.cos(np.arange(WIDTH))
    exposure = rng.uniform(0.05, 1.0, n_rows).astype(np.float32)
    claims = rng.poisson(exposure * np.exp(x @ weights - 2.0)).astype(np.int32)
    columns = dict(zip(FEATURES, x.T, strict=True))
    return pa.table(columns | {"exposure": exposure, "claims": claims})


def written(folder: Path, n_rows: int) -> tuple[Path, Path]:
    """Return the lake and the holdout, which are written if they are not there."""
    lake, kept = folder / f"policies-{n_rows}", folder / f"policies-{n_rows}-holdout.parquet"
    if not kept.exists():
        lake.mkdir(parents=True, exist_ok=True)
        for k in range(N_FILES):
            part = table(n_rows // N_FILES, k)
            pq.write_table(part, lake / f"{k}.parquet", row_group_size=1 << 18)
        pq.write_table(table(min(500_000, n_rows), N_FILES), kept)
    return lake, kept


def deviance(mean: np.ndarray, claims: np.ndarray) -> float:
    """Return the mean poisson deviance."""
    ratio = np.where(claims > 0, claims, 1) / np.where(claims > 0, mean, 1)
    return float(np.mean(2 * (claims * np.log(ratio) - (claims - mean))))


def on_holdout(kept: Path, coefficients: np.ndarray, intercept: float) -> float:
    """Return the deviance of coefficients on the holdout."""
    rows = pq.read_table(kept)
    x = np.column_stack([rows[name].to_numpy() for name in FEATURES]).astype(float)
    mean = rows["exposure"].to_numpy() * np.exp(x @ coefficients + intercept)
    return deviance(mean, rows["claims"].to_numpy())


def onepass(lake: Path, kept: Path) -> dict[str, Any]:
    """Train in one pass, with standard errors."""
    from onepass import Model, train

    model = lake.parent / f"model-{time.time_ns()}"
    train(
        {"lake": str(lake), "label": "claims", "loss": "poisson", "exposure": "exposure"}
        | {"model": str(model), "features": FEATURES}
    )
    weights = Model.load(model).weights[0]
    assert weights.covariance is not None
    return {"deviance": on_holdout(kept, weights.dense, float(weights.intercept))}


def glum(lake: Path, kept: Path) -> dict[str, Any]:
    """Fit all rows in memory, with standard errors."""
    from glum import GeneralizedLinearRegressor

    rows = pq.read_table(lake)
    x = np.empty((rows.num_rows, WIDTH), order="F")
    for j, name in enumerate(FEATURES):
        x[:, j] = rows[name].to_numpy()
    y, offset = rows["claims"].to_numpy(), np.log(rows["exposure"].to_numpy().astype(float))
    del rows
    model = GeneralizedLinearRegressor(family="poisson", alpha=0)
    model.fit(x, y, offset=offset)
    model.covariance_matrix(x, y, offset=offset)
    found = on_holdout(kept, model.coef_, float(model.intercept_))
    return {"deviance": found, "iterations": int(model.n_iter_)}


def spark(lake: Path, kept: Path) -> dict[str, Any]:
    """Fit by iteratively reweighted least squares, with all memory and time of the JVM."""
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import GeneralizedLinearRegression
    from pyspark.sql.functions import col, log
    from spark import _session

    from processes import cpu_seconds, peak_bytes_of

    session = _session(lake.parent / "spark", 2)
    java = session.sparkContext._gateway.proc.pid
    try:
        rows = session.read.parquet(str(lake)).withColumn("known", log(col("exposure")))
        together = VectorAssembler(inputCols=FEATURES, outputCol="features")
        made = GeneralizedLinearRegression(
            family="poisson", labelCol="claims", offsetCol="known", featuresCol="features"
        )
        model = made.fit(together.transform(rows))
        _ = model.summary.coefficientStandardErrors
        found = on_holdout(kept, model.coefficients.toArray(), float(model.intercept))
        return {
            "deviance": found,
            "iterations": int(model.summary.numIterations),
            "other_cpu_seconds": cpu_seconds(java),
            "other_peak_bytes": peak_bytes_of(java),
        }
    finally:
        session.stop()


def measured(name: str, lake: Path, kept: Path) -> dict[str, Any]:
    """Run a contender in a process of its own; return its results, time and memory."""
    words = [sys.executable, __file__, "--run", name, "--lake", str(lake), "--kept", str(kept)]
    began = time.perf_counter()
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    text = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{name} ended with status {status}")
    found = json.loads(text.splitlines()[-1])
    cpu = used.ru_utime + used.ru_stime + found.pop("other_cpu_seconds", 0.0)
    peak = used.ru_maxrss * 1024 + found.pop("other_peak_bytes", 0)
    return found | {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak}


def main() -> None:
    """Measure the contenders, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark-lakes"))
    parser.add_argument("--rows", type=int, default=1 << 24)
    parser.add_argument("--only", default=";".join(CONTENDERS))
    parser.add_argument("--run", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--lake", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kept", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        contender = {"onepass": onepass, "glum": glum, "spark": spark}[given.run]
        print(json.dumps(contender(given.lake, given.kept)))
        return
    lake, kept = written(given.folder, given.rows)
    print("| | version | seconds | CPU s | peak MB | iterations | holdout deviance |")
    print("|---|---|---|---|---|---|---|")
    for name in given.only.split(";"):
        found = measured(name, lake, kept)
        print(
            f"| {name} | {_version(CONTENDERS[name])} | {found['seconds']:.1f} | "
            f"{found['cpu_seconds']:.1f} | {found['peak_bytes'] / 1e6:,.0f} | "
            f"{found.get('iterations', 'one pass')} | {found['deviance']:.6f} |",
            flush=True,
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


if __name__ == "__main__":
    main()
