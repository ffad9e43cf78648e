"""Cost of a second label: two labels in one pass, against a run for each.

    python benchmarks/labels.py --rows-dense 4194304 --rows-clicks 1048576 --repeats 3

The runs take turns. CPU seconds count whole processes, their start and the surveys included;
seconds are those of training alone, as it reports them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lakes import LABEL, Shape, files, lake

SECOND = "second"
"""Name of the second label."""


def with_second_label(found: Path, shape: Shape) -> Path:
    """The same lake with one more label, made if it is not there yet."""
    folder = found.with_name(f"{found.name}-labels")
    if folder.exists():
        return folder
    staged = Path(tempfile.mkdtemp(dir=found.parent))
    rng = np.random.default_rng(9)
    for path in files(found):
        table = pq.read_table(path)
        first = table.column(shape.features[0]).fill_null(0).to_numpy()
        flipped = (rng.random(len(table)) < 1 / (1 + np.exp(first - first.mean()))).astype(np.int8)
        table = table.append_column(SECOND, pa.array(flipped))
        pq.write_table(table, staged / path.name, row_group_size=shape.row_group_rows)
    staged.rename(folder)
    return folder


def trained(folder: Path, labels: list[str], words: list[str]) -> dict[str, float]:
    """CPU seconds, seconds of training and peak memory of one process."""
    others = [one for one in (LABEL, SECOND) if one not in labels]
    left_out = ["--exclude", *others] if others else []
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = [sys.executable, "-c", "from onepass.cli import main; main()", "train"]
        command += [str(folder), "--label", ",".join(labels), *left_out, *words]
        command += ["--model", f"{scratch}/model", "--json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    reports = report.get("models", [report])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "cpu": cpu,
        "seconds": max(one["seconds"] for one in reports),
        "peak": max(one["peak_rss_bytes"] for one in reports),
        "rows": reports[0]["rows"],
    }


def measured(shape: Shape, folder: Path, words: list[str], repeats: int) -> str:
    """A row of the table: medians, and the medians of the ratios of each turn."""
    found = with_second_label(lake(folder, shape), shape)
    asked = {"first": [LABEL], "second": [SECOND], "both": [LABEL, SECOND]}
    # The first run may have to compile the loops.
    trained(found, [LABEL], words)
    turns = [
        {name: trained(found, labels, words) for name, labels in asked.items()}
        for _ in range(repeats)
    ]

    def of(name: str, figure: str) -> float:
        return median(turn[name][figure] for turn in turns)

    def ratio(figure: str) -> float:
        return median(
            turn["both"][figure] / (turn["first"][figure] + turn["second"][figure])
            for turn in turns
        )

    def second(figure: str) -> float:
        return median(
            (turn["both"][figure] - turn["first"][figure]) / turn["second"][figure]
            for turn in turns
        )

    return (
        f"| {shape.kind} {' '.join(words)} | {of('both', 'rows'):,.0f} "
        f"| {of('first', 'cpu') + of('second', 'cpu'):.1f} | {of('both', 'cpu'):.1f} "
        f"| {ratio('cpu'):.2f} | {second('cpu'):.2f} "
        f"| {of('first', 'seconds') + of('second', 'seconds'):.2f} | {of('both', 'seconds'):.2f} "
        f"| {ratio('seconds'):.2f} | {of('first', 'peak') / 1e6:.0f} "
        f"| {of('both', 'peak') / 1e6:.0f} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lakes", default="dense,clicks")
    parser.add_argument("--rows-dense", type=int, default=1 << 22)
    parser.add_argument("--rows-clicks", type=int, default=1 << 20)
    parser.add_argument("--solvers", default="newton,sgd")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".onepass/benchmarks"))
    given = parser.parse_args()
    print(
        "| lake | rows | CPU s, two runs | CPU s, one pass | ratio | second label "
        "| s, two runs | s, one pass | ratio | peak MB, one label | peak MB, both |"
    )
    print("|---" * 11 + "|")
    for kind in given.lakes.split(","):
        rows = getattr(given, f"rows_{kind}")
        shape = Shape(kind, rows, -(-rows // 4), 1 << 20)
        for solver in given.solvers.split(","):
            words = ["--solver", solver, "--parallel", "1"]
            print(measured(shape, given.folder, words, given.repeats), flush=True)


if __name__ == "__main__":
    main()
