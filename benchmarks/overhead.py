"""What a partition costs beyond its training, and what a commit costs.

    python benchmarks/overhead.py                    # 1,000 and 10,000 files of 100 rows
    python benchmarks/overhead.py --files 1000 --lakes clicks

The overhead of a file is the time of a lake of tiny files less that of the same rows in one file,
planning included. The cost of commits is the time that training waits for them, as a share of all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from contenders import HASH_BITS, peak_bytes

from lakes import LABEL, Shape, lake

FILE_ROWS = 100


def trained(folder: Path, shape: Shape, options: dict[str, Any]) -> dict[str, float]:
    """Seconds, of those the ones that were waited for commits, and peak memory of one training."""
    from onepass import train
    from onepass.model.state import ModelState
    from onepass.training.committer import Committer

    waited = 0.0

    def timed(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal waited
            began = time.perf_counter()
            try:
                return real(*args, **kwargs)
            finally:
                waited += time.perf_counter() - began

        setattr(owner, name, wrapped)

    # All that the training thread itself spends on a commit: a copy of the state, and waiting.
    timed(ModelState, "snapshot")
    timed(Committer, "wait")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = {"lake": str(lake(folder, shape)), "label": LABEL, "model": f"{scratch}/model"}
        began = time.perf_counter()
        train(job | options)
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "waited": waited, "peak": peak_bytes()}


def measured(folder: Path, shape: Shape, **options: Any) -> dict[str, float]:
    """`trained` in a process of its own, the second time: compiled code is there by then."""
    lake(folder, shape)
    command = [
        sys.executable,
        __file__,
        "--one",
        json.dumps([str(folder), vars_of(shape), options]),
    ]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def vars_of(shape: Shape) -> dict[str, Any]:
    """Fields of a shape."""
    return {name: getattr(shape, name) for name in Shape.__dataclass_fields__}


def tiny_files(folder: Path, numbers: list[int]) -> None:
    """Overhead by number of files."""
    print(
        f"\n| files of {FILE_ROWS} rows | seconds | same rows in one file | ms a file | peak MB |"
    )
    print("|---|---|---|---|---|")
    for n in numbers:
        rows = n * FILE_ROWS
        many = measured(folder, Shape("dense", rows, FILE_ROWS, FILE_ROWS), solver="sgd")
        one = measured(folder, Shape("dense", rows, rows, 1 << 20), solver="sgd")
        each = (many["seconds"] - one["seconds"]) / n * 1e3
        print(
            f"| {n:,} | {many['seconds']:.1f} | {one['seconds']:.1f} | {each:.2f} | "
            f"{many['peak'] / 1e6:.0f} |"
        )


def commits(folder: Path, kinds: list[str]) -> None:
    """Share of training that commits take."""
    print("\n| lake | solver | commits | seconds | waited for commits | share |")
    print("|---|---|---|---|---|---|")
    for kind in kinds:
        rows, file_rows = {"dense": (16 << 20, 2 << 20), "clicks": (4 << 20, 1 << 20)}[kind]
        shape = Shape(kind, rows, file_rows, 1 << 20)
        for solver in ("sgd", "nag", "newton"):
            extra = {"hash_bits": HASH_BITS} if kind == "clicks" else {}
            found = measured(folder, shape, solver=solver, **extra)
            print(
                f"| {kind} | {solver} | {rows // file_rows} | {found['seconds']:.1f} | "
                f"{found['waited']:.2f} | {found['waited'] / found['seconds']:.1%} |"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", default="1000,10000")
    parser.add_argument("--lakes", default="dense,clicks", help="for the cost of commits; '' none")
    parser.add_argument("--folder", type=Path, default=Path(".onepass/bench"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        folder, shape, options = json.loads(given.one)
        print(json.dumps(trained(Path(folder), Shape(**shape), options)))
        return
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tiny_files(folder, [int(n) for n in given.files.split(",") if n])
    commits(folder, [kind for kind in given.lakes.split(",") if kind])


if __name__ == "__main__":
    main()
