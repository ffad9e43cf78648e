"""``make soak``: hours of a schedule in minutes, while what runs is killed at random.

Files land; a run that learns them is held still in its middle; then the run, its worker, the
server or everything is killed, or the server is taken away for up to a minute, or the run is
cancelled. All must then be trained by the schedule alone. At the end each file has been learnt
once, and the state has the bytes of an uninterrupted run. The table has a line for each of these.

``SOAK_MINUTES`` (30) and ``SEED`` are variables of the environment.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from landing import Landing, newest_state
from night import Night, deploy
from production import Machine, has_pending_signal, machine, resident_bytes

SECONDS_BETWEEN_RUNS = 10
HEARTBEAT_SECONDS = 30
LONGEST_WITHOUT_SERVER = 60.0
MB = 1e6


class Soak:
    """One machine, and what is done to it."""

    def __init__(self, box: Machine, landing: Landing, seed: int) -> None:
        self.box, self.landing, self.rng = box, landing, random.Random(seed)
        self.night, self.began = Night(box, landing), time.monotonic()
        self.runs: list[tuple[str, str]] = []

    def let_be(self, pid: int, run: str) -> None:
        """Nothing happens."""

    def kill_flow(self, pid: int, run: str) -> None:
        """Kill the run."""
        os.kill(pid, signal.SIGKILL)

    def kill_worker(self, pid: int, run: str) -> None:
        """Kill the worker, which a supervisor starts again."""
        self.box.kill_worker()
        self.box.start_worker()

    def lose_server(self, pid: int, run: str) -> None:
        """Kill the server, and let the run go on without it for a while."""
        self.box.kill_server()
        os.kill(pid, signal.SIGCONT)
        self.night.stay_away(self.rng.uniform(1.0, LONGEST_WITHOUT_SERVER))
        self.box.start_server()

    def cut_power(self, pid: int, run: str) -> None:
        """Kill everything, and start server and worker."""
        self.box.cut_power()
        self.box.start_server()
        self.box.start_worker()

    def cancel(self, pid: int, run: str) -> None:
        """Cancel the run."""
        self.box.cancel(run)
        self.box.wait("it is told to stop", lambda: has_pending_signal(pid, signal.SIGTERM))

    def step(self) -> None:
        """Do one of these in the middle of a run, and wait until all is trained."""
        # Each new seed begins with another, and comes back to each.
        acts: list[Callable[[int, str], None]] = [
            self.let_be,
            self.kill_flow,
            self.kill_worker,
            self.lose_server,
            self.cut_power,
            self.cancel,
        ]
        act = self.rng.choice(acts)
        with self.night.in_mid_run() as (pid, run):
            act(pid, run)
        since = time.monotonic()
        self.night.train_all()
        self.runs.append((act.__name__.replace("_", " "), run))
        self.print_line(time.monotonic() - since)

    def print_line(self, seconds: float) -> None:
        """Print what was done, how long training took then, and what memory and disk are used."""
        server, worker, flows = self.memory()
        size = sum(path.stat().st_size for path in self.box.database()) / MB
        print(
            f"{time.monotonic() - self.began:7.0f}  {self.runs[-1][0]:12}  {seconds:8.1f}  "
            f"{server:6.0f}  {worker:6.0f}  {flows:6.0f}  {size:6.1f}  "
            f"{len(self.box.flow_runs()):4}  {len(self.landing.trained()):6}",
            flush=True,
        )

    def memory(self) -> tuple[float, float, float]:
        """Return the resident memory of the server, the worker and the largest run, in MB."""
        by_kind = {"server": 0.0, "worker": 0.0, "run": 0.0}
        for pid, environment in self.box.processes().items():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                is_run = "PREFECT__FLOW_RUN_ID" in environment
                kind = "run" if is_run else "server" if b"server" in words else "worker"
                by_kind[kind] = max(by_kind[kind], resident_bytes(pid) / MB)
        return by_kind["server"], by_kind["worker"], by_kind["run"]


def soak(minutes: float, seed: int) -> None:
    """Run a machine for so long, and check what it has learnt."""
    print(f"soaking for {minutes:g} minutes, SEED={seed}")
    print("seconds  what          until all server  worker    run     db   runs  partitions")
    print("                       trained, s     MB      MB     MB     MB              trained")
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        home = Path(name) / "home"
        settings = {
            "ONEPASS_HOME": str(home),
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        }
        landing = Landing(home)
        with machine(Path(name) / "box", **settings) as box:
            box.start_server()
            box.prefect("work-pool", "create", "onepass", "--type", "process")
            deploy(box, home, seconds_between_runs=SECONDS_BETWEEN_RUNS)
            box.shorten("onepass-dead-runs", 3 * HEARTBEAT_SECONDS)
            box.shorten("onepass-runs-never-started", 3 * HEARTBEAT_SECONDS)
            box.start_worker()
            one = Soak(box, landing, seed)
            one.night.train_all()
            while time.monotonic() - one.began < 60 * minutes:
                one.step()
            print_ends(one)
            assert Counter(landing.trained()).most_common(1)[0][1] == 1, "a file was trained twice"
            same = newest_state(landing.model) == newest_state(landing.uninterrupted(Path(name)))
            assert same, "the state has other bytes than that of an uninterrupted run"
    print("each file was trained once, and the bytes are those of an uninterrupted run")


def print_ends(one: Soak) -> None:
    """Wait until each run has an end, and print how many ended how."""
    box = one.box
    ended = {"COMPLETED", "CRASHED", "CANCELLED", "FAILED"}

    def have_ended() -> bool:
        found = box.flow_runs()
        return all(found[run]["state_type"] in ended for _, run in one.runs if run in found)

    box.wait("each run that was held has an end", have_ended)
    known = box.flow_runs()
    for (what, name), count in sorted(
        Counter((what, known[run]["state_name"]) for what, run in one.runs if run in known).items()
    ):
        print(f"{count:4} times {what}: the run ended as {name}")
    print("all runs:", dict(Counter(run["state_name"] for run in known.values())))


if __name__ == "__main__":
    soak(float(os.environ.get("SOAK_MINUTES", "30")), int(os.environ.get("SEED", time.time())))
