"""Does memory stay flat, and speed constant, over a lake that is larger than the machine's memory?

    python benchmarks/scale.py --folder /data/bench                # 30 GB decoded, made first
    python benchmarks/scale.py --kind clicks --rows 20000000

Trains once and tells resident memory and rows a second for each tenth of the lake; `--plot` draws
both, partition by partition.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from contenders import HASH_BITS, peak_bytes

from lakes import LABEL, Shape, files, lake
from onepass import plan
from onepass.actions.train import train_pending
from onepass.training.progress import Progress

DECODED_BYTES = {"dense": 30 * 4 + 1, "wide": 300 * 4 + 1, "clicks": 13 * 4 + 26 * 12 + 1}
"""Of one row: 4 bytes for a number, 12 for a text of 8 characters with its offset."""


class Watched(Progress):
    """Notes rows, time and resident memory at each commit."""

    def __init__(self) -> None:
        self.seconds, self.rows, self.resident = [time.perf_counter()], [0], [resident_bytes()]

    def committed(self, entry: Any, total: Any) -> None:
        """A partition is durable."""
        self.seconds.append(time.perf_counter())
        self.rows.append(self.rows[-1] + entry.rows)
        self.resident.append(resident_bytes())


def resident_bytes() -> int:
    """Resident memory of this process as it is now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tenths(watched: Watched) -> list[tuple[int, float, float, float]]:
    """Rows so far, rows a second, least and most resident MB, for each tenth of the partitions."""
    found = []
    edges = np.unique(np.linspace(0, len(watched.rows) - 1, 11).round().astype(int))
    for first, last in pairwise(edges):
        rows = watched.rows[last] - watched.rows[first]
        seconds = watched.seconds[last] - watched.seconds[first]
        resident = [one / 1e6 for one in watched.resident[first + 1 : last + 1]]
        found.append((watched.rows[last], rows / seconds, min(resident), max(resident)))
    return found


def draw(watched: Watched, path: Path) -> None:
    """Memory and speed by rows read."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    rows = np.array(watched.rows[1:]) / 1e6
    speed = np.diff(watched.rows) / np.diff(watched.seconds) / 1e6
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(7, 5))
    upper.plot(rows, np.array(watched.resident[1:]) / 1e6)
    upper.set(ylabel="resident MB", ylim=(0, None), title="one pass over one lake")
    lower.plot(rows, speed)
    lower.set(ylabel="M rows/s", xlabel="M rows learnt", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Make the lake, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", default="dense", choices=tuple(DECODED_BYTES))
    parser.add_argument("--rows", type=int, default=256 << 20)
    parser.add_argument("--solver", default="sgd")
    parser.add_argument("--folder", type=Path, default=Path(".onepass/bench"))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the lake for the next run")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    file_rows = {"dense": 2 << 20, "wide": 1 << 18, "clicks": 1 << 20}[given.kind]
    shape = Shape(given.kind, given.rows, file_rows, 1 << 20)
    began = time.perf_counter()
    found = lake(folder, shape)
    on_disk = sum(file.stat().st_size for file in files(found))
    print(
        f"{given.rows:,} rows, {len(files(found))} files, {on_disk / 1e9:.1f} GB on disk, "
        f"{given.rows * DECODED_BYTES[given.kind] / 1e9:.1f} GB decoded "
        f"(made in {time.perf_counter() - began:.0f} s)"
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = {"lake": str(found), "label": LABEL, "model": f"{scratch}/model"}
        hashed = {"hash_bits": HASH_BITS} if shape.texts else {}
        plan(job | {"solver": given.solver} | hashed)
        watched = Watched()
        report = train_pending({"model": job["model"]}, progress=watched)
    print(f"{report.rows:,} rows in {report.seconds:.0f} s, peak {peak_bytes() / 1e6:.0f} MB\n")
    print("| M rows learnt | M rows/s | resident MB |\n|---|---|---|")
    for rows, speed, least, most in tenths(watched):
        print(f"| {rows / 1e6:.0f} | {speed / 1e6:.2f} | {least:.0f} to {most:.0f} |")
    if given.plot:
        draw(watched, given.plot)
    if not given.keep:
        shutil.rmtree(found)


if __name__ == "__main__":
    main()
