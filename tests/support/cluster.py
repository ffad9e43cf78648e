"""Dask schedulers and workers on loopback, in processes of their own, that tests may kill.

They are forks of one process that has imported `distributed` and onepass: a fork takes 0.1 s where
`dask worker` takes 3 s. Run as a script, this forks what it is told to on stdin.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Process:
    """A scheduler or a worker."""

    pid: int
    address: str

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Let it do nothing more, its connections stay open."""
        self.send(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.send(signal.SIGKILL)


class Forks:
    """The process that others are forked from."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def fork(self, **order: Any) -> Process:
        """Start a scheduler or a worker, and wait until it is there."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return Process(**json.loads(self._server.stdout.readline()))

    def close(self) -> None:
        """End the process; those that were forked end by their own ids."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


class TestCluster:
    """A scheduler with workers of one thread each; use as a context manager."""

    __test__ = False

    def __init__(self, forks: Forks, n_workers: int = 2, host: str = HOST) -> None:
        self._forks, self._started = forks, []
        self.scheduler = self._fork(do="scheduler", address=f"tcp://{host}:0")
        self.workers = [self.add_worker() for _ in range(n_workers)]

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return self.scheduler.address

    def add_worker(self, **options: Any) -> Process:
        """Start one more worker; see `_worker` for the options."""
        return self._fork(do="worker", scheduler=self.address, **options)

    def restart_scheduler(self) -> None:
        """Kill the scheduler, with which the workers end, and start it again at its address."""
        self.scheduler.kill()
        self.scheduler = self._fork(do="scheduler", address=self.address)

    def _fork(self, **order: Any) -> Process:
        process = self._forks.fork(**order)
        self._started.append(process)
        return process

    def __enter__(self) -> TestCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._started:
            process.kill()


def _scheduler(report: Any, address: str) -> None:
    # A scheduler needs no onepass, so none of the tests lets it have any.
    for name in [name for name in sys.modules if name.split(".")[0] == "onepass"]:
        sys.modules[name] = None  # type: ignore[assignment]

    async def run() -> None:
        from distributed import Scheduler

        until = time.monotonic() + 10
        while True:
            try:
                # The port of a scheduler that was killed is free a little later.
                scheduler = await Scheduler(host=address, dashboard=False, port=_port(address))
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.05)
        report(scheduler.address)
        await scheduler.finished()

    asyncio.run(run())


def _worker(
    report: Any, scheduler: str, n_threads: int = 1, setup: str = "", namespace: str = ""
) -> None:
    """Run a worker.

    Parameters
    ----------
    setup
        Statements to execute first, for a worker that differs from others.
    namespace
        Name of the network namespace in which it runs.
    """
    if namespace:
        with open(f"/run/netns/{namespace}") as file:
            assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0) == 0
    exec(setup, {})

    async def run() -> None:
        from distributed import Worker

        worker = await Worker(scheduler, nthreads=n_threads, dashboard=False)
        report(worker.address)
        await worker.finished()

    asyncio.run(run())


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def _serve() -> None:
    import distributed  # noqa: F401

    import onepass.actions.train
    import onepass.stream.cluster.remote  # noqa: F401
    from processes import warm_up

    warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.chdir("/")
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            _child(order, writer)
        os.close(writer)
        with open(reader) as answer:
            print(json.dumps({"pid": pid, "address": answer.readline().strip()}), flush=True)


def _child(order: dict[str, Any], writer: int) -> None:
    def report(address: str) -> None:
        os.write(writer, f"{address}\n".encode())
        os.close(writer)

    os.closerange(0, 3)
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    run = {"scheduler": _scheduler, "worker": _worker}[order.pop("do")]
    try:
        run(report, **order)
    finally:
        os._exit(0)


if __name__ == "__main__":
    _serve()
