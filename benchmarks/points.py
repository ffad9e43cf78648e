"""Train on clusters of processes on this machine, and measure what sending between them takes."""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from lakes import Shape
from onepass.stream.workers import Workers
from processes import Processes, cluster, cpu_seconds

HERE = Path(__file__).parent
_SIZES = (1 << 16, 1 << 20, 32 << 20)


@dataclass
class Point:
    """Training with a number of worker processes."""

    workers: int
    runs: list[dict[str, Any]] = field(default_factory=list)

    def middle(self, key: str) -> float:
        """Median of one of the figures."""
        return median(run[key] for run in self.runs)

    @property
    def speed(self) -> float:
        """Rows a second."""
        return median(run["rows"] / run["seconds"] for run in self.runs)


def points(
    folder: Path,
    shape: Shape,
    options: dict[str, Any],
    numbers: Sequence[int] = (1, 2, 3),
    repeats: int = 3,
) -> list[Point]:
    """Train with each number of workers in turn, round by round; clusters stay up meanwhile."""
    found = [Point(n) for n in numbers]
    with ExitStack() as stack:
        clusters = [stack.enter_context(cluster(n)) for n in numbers]
        few = Shape(**{**asdict(shape), "rows": 4 * shape.file_rows})
        for one in clusters:
            # Workers import onepass and load compiled code at the first share.
            _trained(folder, few, options | {"parallel": 2}, one)
        for _ in range(repeats):
            for point, one in zip(found, clusters, strict=True):
                point.runs.append(_trained(folder, shape, options, one))
    return found


def _trained(
    folder: Path, shape: Shape, options: dict[str, Any], where: Processes
) -> dict[str, Any]:
    """Train in a process of its own; the workers learn."""
    words = json.dumps(options | {"dask": where.address})
    command = [sys.executable, str(HERE / "contenders.py"), "onepass", str(folder)]
    before = where.worker_cpu_seconds()
    done = subprocess.run(
        [*command, json.dumps(asdict(shape)), words],
        capture_output=True,
        text=True,
        env=os.environ | {"DO_NOT_TRACK": "1"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"worker_cpu_seconds": where.worker_cpu_seconds() - before}


def sending() -> dict[str, float]:
    """Seconds and bytes a second of values through `distributed`, and the costs of calls."""
    from distributed import Client

    with cluster(2) as where:
        out: dict[int, float] = {}
        back: dict[int, float] = {}
        with Client(where.address, set_as_default=False) as client:
            first = next(iter(client.scheduler_info()["workers"]))
            for size in _SIZES:
                value = np.random.default_rng(size).integers(0, 255, size, np.uint8)
                out[size] = median(_scatter_seconds(client, value) for _ in range(7))
                kept = [client.scatter(value + i, workers=[first]) for i in range(7)]
                # Through the scheduler, as results of shares come.
                back[size] = median(_seconds(client.gather, one) for one in kept)
        with Workers(where.address) as workers:
            calls = _calls(workers, where)
    small, large = _SIZES[0], _SIZES[-1]
    return {
        "scatter_seconds": out[small],
        "scatter_rate": (large - small) / (out[large] - out[small]),
        "gather_seconds": back[small],
        "gather_rate": (large - small) / (back[large] - back[small]),
        **calls,
    }


def _calls(workers: Workers, where: Processes) -> dict[str, float]:
    """Costs of calls that do nothing, of a function that workers can import."""
    list(workers.each(operator.add, 0, range(64)))
    n = 1024
    began, own, their = time.perf_counter(), time.process_time(), cpu_seconds(where.scheduler)
    list(workers.each(operator.add, 0, range(n)))
    seconds = time.perf_counter() - began
    driver = (time.process_time() - own) / n
    scheduler = (cpu_seconds(where.scheduler) - their) / n
    alone = median(_seconds(lambda: list(workers.each(operator.add, 0, [1]))) for _ in range(15))
    return {
        "driver_call_seconds": driver,
        "scheduler_call_seconds": scheduler,
        "gap_seconds": seconds / n * len(where.workers),
        "round_seconds": alone,
    }


def _seconds(function: Any, *args: Any, **options: Any) -> float:
    began = time.perf_counter()
    function(*args, **options)
    return time.perf_counter() - began


def _scatter_seconds(client: Any, value: Any) -> float:
    """To both workers."""
    began = time.perf_counter()
    future = client.scatter(value, broadcast=True, hash=False, direct=False)
    seconds = time.perf_counter() - began
    future.release()
    return seconds
