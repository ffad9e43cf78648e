"""Processor time and memory of other processes; Dask clusters of processes pinned to cores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor time of a process until now, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes_of(pid: int) -> int:
    """Highest resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@dataclass(frozen=True)
class Processes:
    """A running cluster."""

    address: str
    scheduler: int
    """Id of its process."""
    workers: tuple[int, ...]

    def worker_cpu_seconds(self) -> float:
        """Processor time of all workers until now."""
        return sum(map(cpu_seconds, self.workers))


@contextmanager
def cluster(n_workers: int) -> Iterator[Processes]:
    """Start a scheduler and workers of one thread each, worker i on core i modulo all cores."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "scheduler.json"
        words = ["--scheduler-file", str(file), "--no-dashboard"]
        begun = ["scheduler", *words, "--host", "127.0.0.1", "--port", "0"]
        scheduler = stack.enter_context(_running(folder, begun))
        _wait_for(file.exists)
        joins = ["worker", *words, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
        workers = [
            stack.enter_context(_running(folder, joins, cores[i % len(cores)]))
            for i in range(n_workers)
        ]
        address = str(json.loads(file.read_text())["address"])
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=60)
        yield Processes(address, scheduler, tuple(workers))


@contextmanager
def _running(folder: Path, words: list[str], core: int | None = None) -> Iterator[int]:
    pinned = ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []
    command = [*pinned, sys.executable, "-m", "dask", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(condition: object) -> None:
    until = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        if time.monotonic() > until:
            raise TimeoutError("the scheduler has not started within 30 s")
        time.sleep(0.05)
