"""A generalised linear model on counts with exposure: onepass beside its peers.

    python benchmarks/glm.py --folder DISK                  # 1,048,576 and 16,777,216 rows; or:
    python benchmarks/glm.py --folder DISK --rows 1048576 --only 'onepass;glum;H2O' --rounds 3

The rows are claims of policies: 30 float32 columns and an exposure, with poisson loss and a
logarithmic link. Each contender runs by itself. Its time and memory are those of all its processes:
start, imports, reading, fitting, standard errors. Coefficients are compared with the batch optimum
in units of standard errors.

Spark and H2O need Java 17. The contenders in R need `Rscript` with mgcv and data.table (Debian:
r-base-core, r-cran-mgcv, r-cran-data.table), and read the same rows as CSV.

Every run is written to glm.jsonl in the folder when it ends. Started again, the script goes on with
what is missing or has failed, and prints the table of all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from claims import Fit, as_text, deviance, optimum, written
from glm_peers import CONTENDERS
from usage import Usage, used_by

HERE = Path(__file__).parent

IN_R = {"R glm": "glm", "R mgcv bam": "bam"}
"""Names in glm.R by contender."""


def measured(name: str, lake: Path, kept: Path, most: tuple[float, float]) -> dict[str, Any]:
    """Run a contender; return what it used, and how far from the optimum it ended."""
    best, path = optimum(lake), lake.parent / "fit.json"
    path.unlink(missing_ok=True)
    if name in IN_R:
        words = ["Rscript", str(HERE / "glm.R"), IN_R[name], str(as_text(lake)), str(path)]
    else:
        script = str(HERE / "glm_peers.py")
        words = [sys.executable, script, name, "--lake", str(lake), "--found", str(path)]
    load = os.getloadavg()[0]
    used = used_by(words, *most)
    if used.gave_up:
        return _told(used, load) | {"gave_up": used.gave_up}
    if used.status or not path.exists():
        return _told(used, load) | {"failed": f"ended with status {used.status}"}
    fit = Fit.load(path)
    off = np.subtract(fit.coefficients, best.coefficients) / best.errors
    found = {"off": float(np.abs(off).max()), "deviance": deviance(fit, kept)}
    if fit.errors is not None:
        found["errors_off"] = float(np.abs(np.divide(fit.errors, best.errors) - 1).max())
    return _told(used, load) | found | {"iterations": fit.iterations, "version": fit.version}


def _told(used: Usage, load: float) -> dict[str, Any]:
    return {
        "seconds": used.seconds,
        "cpu_seconds": used.cpu_seconds,
        "peak_bytes": used.peak_bytes,
        "load": max(load, os.getloadavg()[0]),
    }


def printed(name: str, runs: list[dict[str, Any]]) -> str:
    """Return the row of a contender: medians of its runs."""
    last = runs[-1]

    def median(field: str, form: str) -> str:
        known = [run[field] for run in runs if run.get(field) is not None]
        return format(statistics.median(known), form) if known else "-"

    cells = [
        name,
        last.get("version", ""),
        median("seconds", ".1f"),
        median("load", ".1f"),
        median("cpu_seconds", ".1f"),
        format(float(median("peak_bytes", ".0f")) / 1e6, ",.0f"),
    ]
    if why := last.get("gave_up") or last.get("failed"):
        cells += ["none", why, "", ""]
    else:
        cells += [str(last["iterations"]), median("off", ".1e"), median("errors_off", ".1e")]
        cells.append(median("deviance", ".6f"))
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure the contenders, and print a table for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark-lakes"))
    parser.add_argument("--rows", default="1048576,16777216")
    parser.add_argument("--only", default=";".join([*CONTENDERS, *IN_R]))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most-gb", type=float, default=18.0)
    parser.add_argument("--most-minutes", type=float, default=15.0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    names, log = given.only.split(";"), given.folder / "glm.jsonl"
    if unknown := set(names) - {*CONTENDERS, *IN_R}:
        parser.error(f"expected contenders of {[*CONTENDERS, *IN_R]}, got {sorted(unknown)}")
    for n_rows in map(int, given.rows.split(",")):
        lake, kept = written(given.folder, n_rows)
        for name in names * given.rounds:
            done = [run for run in _runs(log, n_rows, name) if "failed" not in run]
            if len(done) < given.rounds:
                most = (given.most_gb * 1e9, given.most_minutes * 60)
                run = measured(name, lake, kept, most)
                with log.open("a") as out:
                    print(json.dumps({"rows": n_rows, "name": name} | run), file=out)
        print(f"\n{n_rows:,} rows, {os.cpu_count()} cores:\n")
        print(
            "| | version | seconds | load | CPU s | peak MB | passes | from the optimum, in "
            "standard errors | standard errors off by | holdout deviance |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for name in names:
            runs = _runs(log, n_rows, name)
            print(printed(name, [run for run in runs if "failed" not in run] or runs), flush=True)


def _runs(log: Path, n_rows: int, name: str) -> list[dict[str, Any]]:
    if not log.exists():
        return []
    runs = [json.loads(line) for line in log.read_text().splitlines()]
    return [run for run in runs if (run["rows"], run["name"]) == (n_rows, name)]


if __name__ == "__main__":
    main()
