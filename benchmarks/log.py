"""Seconds and memory that opening a long log takes.

    python benchmarks/log.py                    # 100,000 entries
    python benchmarks/log.py --entries 10000

The log is synthetic, but as a training writes it: one plan, then one train entry for each planned
partition, each with the digest of the entry before it. It takes some 1 KB of disk an entry.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ATTEMPT = "0123456789abcdef" * 2


def create(folder: Path, n_entries: int) -> Path:
    """Train a small model, and replace its log by a long one."""
    from onepass import train
    from onepass.ledger.entries import digest

    x = np.random.default_rng(0).normal(size=(100, 8))
    table = pa.table({f"x{i}": x[:, i] for i in range(8)} | {"y": x.sum(axis=1)})
    pq.write_table(table, folder / "rows.parquet")
    model = folder / "model"
    train({"lake": str(folder / "rows.parquet"), "label": "y", "model": str(model)})
    trained = json.loads((model / f"log/{2:020d}.json").read_text())
    for name in ("log", "state"):
        shutil.rmtree(model / name)
        (model / name).mkdir()
    parent = digest((model / "model.json").read_bytes())
    for version, fields in enumerate(entries(trained, n_entries), start=1):
        header = {"version": version, "parent_sha256": parent, "attempt": ATTEMPT}
        data = sealed(header | {"time": trained["time"]} | fields)
        (model / f"log/{version:020d}.json").write_bytes(data)
        parent = digest(data)
    return model


def entries(trained: dict[str, Any], n_entries: int) -> Any:
    """Fields of a plan and of the train entries for it, in the manner of a real train entry."""
    partitions = [partition(number) for number in range(n_entries - 1)]
    yield {"action": "plan", "groups": [{"epoch": 1, "partitions": [p]} for p in partitions]}
    for version, planned in enumerate(partitions, start=2):
        state = {"key": f"state/{version:08d}-{ATTEMPT}.npz", "size": 4096, "sha256": "f" * 64}
        fields = {name: trained[name] for name in list(trained)[4:-1]}
        yield fields | {"partitions": [planned], "rows": planned["rows"], "state": state}


def partition(number: int) -> dict[str, Any]:
    """A file of an hour, as the log names it."""
    from onepass.ledger.entries import digest

    footer = digest(str(number).encode())
    print_ = {"size": 30_000_000 + number, "footer_sha256": footer, "rows": 900, "row_groups": 1}
    path = f"year=2026/day={number // 24:05d}/part-{number % 24:02d}.parquet"
    place = {"path": path, "first_row_group": 0, "end_row_group": 1, "rows": 900}
    return place | {"fingerprint": print_}


def sealed(fields: dict[str, Any]) -> bytes:
    """An entry as it is on disk."""
    from onepass.ledger.entries import digest

    data = json.dumps(fields, separators=(",", ":")).encode()
    return data[:-1] + b',"seal":"' + digest(data).encode() + b'"}\n'


def measure(model: Path) -> tuple[float, int]:
    """Seconds and bytes that opening takes in a process that has imported onepass."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_open, args=(model, theirs))
    process.start()
    found: tuple[float, int] = ours.recv()
    process.join()
    return found


def _open(model: Path, answer: Any) -> None:
    from contenders import peak_bytes

    from onepass.model.directory import open_model

    before, began = peak_bytes(), time.perf_counter()
    opened = open_model(model)
    seconds, more = time.perf_counter() - began, peak_bytes() - before
    assert opened.ledger.version
    answer.send((seconds, more))


def main() -> None:
    """Print the two figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000, help="length of the log")
    parser.add_argument("--repeat", type=int, default=3, help="the fastest of so many is printed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = create(Path(folder), given.entries)
        found = [measure(model) for _ in range(given.repeat)]
    seconds, nbytes = min(one[0] for one in found), max(one[1] for one in found)
    print(f"{given.entries:,} entries: {seconds:.2f} s, {nbytes / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
