"""Train the sample lake on a Dask cluster of this machine, and compare it with threads.

Starts a scheduler and three workers of one thread, as `docs/cluster.md` does it on several
machines, trains with them, trains again without them, and shows that both states have the same
bytes. Run it from anywhere: ``python examples/cluster.py``; it needs `pip install
'onepass[distributed]'`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onepass import train

LAKE = Path(__file__).resolve().parent.parent / "data_samples" / "deliveries"
N_WORKERS = 3


@contextmanager
def process(*arguments: str) -> Iterator[None]:
    """Run a command of `dask` until the context ends."""
    started = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        started.terminate()
        started.wait()


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Start a scheduler and workers; the address of the scheduler is in a file."""
    file = folder / "scheduler.json"
    scheduler = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    worker = ("--nthreads", "1", "--memory-limit", "2GiB", "--no-dashboard", "--no-nanny")
    with ExitStack() as stack:
        stack.enter_context(process("scheduler", "--scheduler-file", str(file), *scheduler))
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        for _ in range(N_WORKERS):
            stack.enter_context(process("worker", "--scheduler-file", str(file), *worker))
        yield json.loads(file.read_text())["address"]


def main() -> None:
    """Train twice, and print both states."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        job = {"lake": str(LAKE), "label": "minutes", "exclude": ["late"], "parallel": 4}
        with cluster(folder) as address:
            print(f"a scheduler at {address} with {N_WORKERS} workers")
            together = train(job | {"model": folder / "cluster", "dask": address})
        alone = train(job | {"model": folder / "threads"})
    print(f"{together.rows:,} rows in {together.partitions} partitions, loss {together.loss:.5g}")
    print(f"state by the cluster  {together.state_sha256}")
    print(f"state by threads      {alone.state_sha256}")
    if together.state_sha256 != alone.state_sha256:
        sys.exit("the states differ")
    print("the same bytes")


if __name__ == "__main__":
    main()
