"""A machine on which Prefect trains models: a server, a worker, and runs; all may be killed.

Every process carries a mark in its environment, so that those of others are never touched and none
is left behind.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

_MARK = "ONEPASS_TEST_MACHINE"
_CEILING = 180.0
"""Seconds after which a condition is said never to hold; a busy machine needs many of them."""


def python_path_of_servers() -> str:
    """Return the ``PYTHONPATH`` of a server of Prefect, see ``server/sitecustomize.py``."""
    there = str(Path(__file__).with_name("server"))
    return os.pathsep.join([there, *filter(None, [os.environ.get("PYTHONPATH")])])


class Machine:
    """A Prefect server and a worker with a home of their own.

    Parameters
    ----------
    folder
        Gets logs, the database and the home of Prefect; commands run in it.
    settings
        More variables of the environment.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.mark = uuid.uuid4().hex
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        self.environment = kept | {
            _MARK: self.mark,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            **settings,
        }
        self.api = httpx.Client(base_url=self.url, timeout=30)
        self._server: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    # -- what starts

    def start_server(self) -> None:
        """Start the server, and wait until it answers."""
        command = ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._server = self._begin(command, "server.log", PYTHONPATH=python_path_of_servers())
        self.wait("the server answers", self.is_up)

    def start_worker(self) -> None:
        """Start a worker of the pool."""
        # More at once would keep a slow machine busy with starting them.
        command = ["worker", "start", "--pool", "onepass", "--name", "machine", "--limit", "3"]
        self._worker = self._begin(command, "worker.log")

    def prefect(self, *arguments: str, cwd: Path | None = None, terminal: bool = False) -> str:
        """Return the output of a command of Prefect, which must succeed."""
        command = [sys.executable, "-m", "prefect", *arguments]
        where = {"env": self.environment, "cwd": cwd or self.folder}
        code, text = _at_a_terminal(command, **where) if terminal else _piped(command, **where)
        assert code == 0, text
        return text

    # -- what ends

    def kill_server(self) -> None:
        """Kill the server, which is two processes in a group of their own."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()

    def kill_worker(self) -> None:
        """Kill the worker alone; its runs become orphans."""
        assert self._worker is not None
        self._worker.kill()
        self._worker.wait()

    def cut_power(self) -> None:
        """Kill everything at once."""
        while found := self.processes():
            for pid in found:
                _signal(pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        for one in (self._server, self._worker):
            if one is not None:
                one.wait()

    def processes(self) -> dict[int, dict[str, str]]:
        """Return the environments of all processes that carry the mark, by process id."""
        environments = {pid: _environment(pid) for pid in _all_pids()}
        return {pid: one for pid, one in environments.items() if one.get(_MARK) == self.mark}

    def runs_by_process(self) -> dict[int, str]:
        """Return the ids of the flow runs that have a process, by its process id."""
        found = self.processes().items()
        ids = {pid: one.get("PREFECT__FLOW_RUN_ID") for pid, one in found}
        return {pid: run for pid, run in ids.items() if run}

    # -- what is seen

    def is_up(self) -> bool:
        """Return whether the server answers."""
        try:
            return self.api.get("/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, path: str, method: str = "POST", **body: Any) -> Any:
        """Return the answer of the server to a question, such as a filter."""

        def answered() -> httpx.Response | None:
            # A server with SQLite says 503 while its database is busy, or takes too long.
            try:
                answer = self.api.request(method, path, json=None if method == "GET" else body)
            except httpx.TransportError:
                return None
            return None if answer.status_code == 503 else answer

        answer = self.wait(f"{path} is answered", answered)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def flow_runs(self) -> dict[str, dict[str, Any]]:
        """Return all flow runs that were begun, by id, oldest first."""
        begun = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        runs, seen, page = dict[str, dict[str, Any]](), 0, [{}]
        while page:
            order = {"sort": "EXPECTED_START_TIME_ASC", "offset": seen}
            page = self.ask("/flow_runs/filter", flow_runs=begun, **order)
            runs |= {one["id"]: one for one in page}
            seen += len(page)
        return runs

    def database(self) -> list[Path]:
        """Return the files of the server's database."""
        return list((self.folder / "prefect").glob("prefect.db*"))

    def state_of(self, run: str) -> str:
        """Return the name of the state of a flow run."""
        return str(self.ask(f"/flow_runs/{run}", "GET")["state"]["name"])

    def events(self, name: str, run: str | None = None) -> list[dict[str, Any]]:
        """Return events of a name, of one flow run if its id is given."""
        wanted: dict[str, Any] = {"event": {"name": [name]}}
        if run is not None:
            wanted["resource"] = {"id": [f"prefect.flow-run.{run}"]}
        return list(self.ask("/events/filter", filter=wanted)["events"])

    def cancel(self, run: str) -> None:
        """Ask for a run to be cancelled, as its page does."""
        self.ask(f"/flow_runs/{run}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})

    def shorten(self, automation: str, seconds: float) -> None:
        """Let an automation wait for so long only."""
        for found in self.ask("/automations/filter"):
            if found["name"] == automation:
                kept = {key: found[key] for key in ("name", "actions", "enabled")}
                trigger = {k: v for k, v in found["trigger"].items() if k != "id"}
                body = kept | {"trigger": trigger | {"within": seconds}}
                self.ask(f"/automations/{found['id']}", "PUT", **body)

    def wait(self, what: str, holds: Callable[[], Any], seconds: float = _CEILING) -> Any:
        """Wait until a condition holds, and return what it returned."""
        until = time.monotonic() + seconds
        while not (found := holds()):
            if time.monotonic() > until:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self._logs()}")
            time.sleep(0.02)
        return found

    def _logs(self) -> str:
        logs = [path for path in self.folder.glob("*.log") if path.exists()]
        return "\n".join(f"-- {path.name}\n{path.read_text()[-5000:]}" for path in logs)

    def _begin(self, arguments: list[str], log: str, **more: str) -> subprocess.Popen[bytes]:
        with open(self.folder / log, "ab") as sink:
            return subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                env=self.environment | more,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )


@contextmanager
def machine(folder: Path, **settings: str) -> Iterator[Machine]:
    """A machine whose processes are all ended, and seen to be gone."""
    one = Machine(folder, **settings)
    try:
        yield one
    finally:
        one.cut_power()
        one.api.close()
        assert not one.processes()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process still, so that what happens meanwhile happens in the middle of its run."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pid, signal.SIGCONT)


def has_pending_signal(pid: int, number: signal.Signals) -> bool:
    """Return whether a signal waits for a process that is held still, or the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return True
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def lock_holder(path: Path) -> int | None:
    """Return the process that holds a lock of the kernel on a file; None if none does."""
    try:
        inode = path.stat().st_ino
    except OSError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "->" not in fields and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment(pid: int) -> dict[str, str]:
    try:
        # A zombie has no environment.
        fields = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = [field.decode(errors="replace").partition("=") for field in fields]
    return {name: value for name, _, value in pairs}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _piped(command: list[str], env: dict[str, str], cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_CEILING,
    )
    return done.returncode, done.stdout


def _at_a_terminal(command: list[str], env: dict[str, str], cwd: Path) -> tuple[int, str]:
    """Run a command whose input and output are a terminal, and answer nothing it asks."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    text, until = b"", time.monotonic() + _CEILING
    try:
        while time.monotonic() < until:
            if select.select([ours], [], [], 1.0)[0]:
                text += os.read(ours, 65536)
    except OSError:
        # The terminal is closed when the command ends.
        until = time.monotonic() + _CEILING
    finally:
        os.close(ours)
        # A command that asks a question never ends.
        if time.monotonic() >= until:
            process.kill()
    return process.wait(), text.decode(errors="replace")
