"""Policies with an exposure and claims, and the batch optimum of their poisson model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

WIDTH, N_FILES = 30, 8
FEATURES = [f"x{j:02d}" for j in range(WIDTH)]


@dataclass(frozen=True)
class Fit:
    """Coefficients of the features, then the intercept."""

    coefficients: list[float]
    errors: list[float] | None
    """Their standard errors, where there are any."""
    iterations: int | str = ""
    version: str = ""

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Fit:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


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


def as_text(lake: Path) -> Path:
    """Return a folder of the same rows as CSV files, which are written if they are not there."""
    folder = lake.with_name(f"{lake.name}-csv")
    folder.mkdir(exist_ok=True)
    for file in sorted(lake.glob("*.parquet")):
        path = folder / f"{file.stem}.csv"
        if not path.exists():
            part = path.with_suffix(".part")
            with pyarrow.csv.CSVWriter(part, pq.read_schema(file)) as out:
                for group in pq.ParquetFile(file).iter_batches():
                    out.write(group)
            part.rename(path)
    return folder


def deviance(fit: Fit, kept: Path) -> float:
    """Return the mean poisson deviance of coefficients on the rows of a file."""
    ((x, exposure, claims),) = _blocks([kept], 1 << 62)
    mean = exposure * np.exp(x @ np.array(fit.coefficients))
    ratio = np.where(claims > 0, claims, 1) / np.where(claims > 0, mean, 1)
    return float(np.mean(2 * (claims * np.log(ratio) - (claims - mean))))


def optimum(lake: Path) -> Fit:
    """Return the batch optimum, by Newton's method in double precision over the whole lake.

    It is kept in a file beside the lake, and read from there the next time.
    """
    path = lake.with_name(f"{lake.name}-optimum.json")
    if path.exists():
        return Fit.load(path)
    files = sorted(lake.glob("*.parquet"))
    weights, steps = np.zeros(WIDTH + 1), 0
    # The first file alone brings the weights close to those of all.
    for given in (files[:1], files):
        size = np.inf
        while size > 1e-9:
            slope, curvature = _expansion(given, weights)
            step = np.linalg.solve(curvature, slope)
            size = float(np.max(np.abs(step) * np.sqrt(np.diag(curvature))))
            weights, steps = weights + step, steps + 1
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    found = Fit(weights.tolist(), errors.tolist(), steps)
    found.save(path)
    return found


def _expansion(files: list[Path], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slope of the log likelihood and its negative curvature."""
    slope, curvature = np.zeros(WIDTH + 1), np.zeros((WIDTH + 1, WIDTH + 1))
    for x, exposure, claims in _blocks(files, 1 << 16):
        mean = exposure * np.exp(x @ weights)
        slope += x.T @ (claims - mean)
        curvature += x.T @ (mean[:, None] * x)
    return slope, curvature


def _blocks(files: list[Path], n_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield features with a column of ones, exposures and claims, in double precision."""
    for file in files:
        source = pq.ParquetFile(file)
        for rows in source.iter_batches(min(n_rows, source.metadata.num_rows)):
            columns = [rows[name].to_numpy() for name in FEATURES]
            x = np.column_stack([*columns, np.ones(len(rows))])
            yield x, rows["exposure"].to_numpy().astype(float), rows["claims"].to_numpy()
