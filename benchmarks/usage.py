"""Time, processor time and peak memory of a command with all processes that it starts."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PAUSE_SECONDS = 0.1
"""Between two looks at the memory."""

PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Usage:
    """What a command used."""

    seconds: float
    cpu_seconds: float
    """Of all its processes, exact: each is waited for."""
    peak_bytes: int
    """Highest sum of the resident memory of its processes, looked at every 100 ms.

    A process counts from at most a second after its start. The peak that the system keeps for a
    process is not used, because it begins with that of the process it was started from.
    """
    status: int
    """Exit status of the command itself."""
    gave_up: str
    """Which limit it passed, or nothing."""


def used_by(words: list[str], most_bytes: float, most_seconds: float) -> Usage:
    """Run a command to its end, or until it passes a limit; then kill it with all it has started.

    A Java machine outlives the Python process that started it. This process adopts it, and waits
    for it, so that its time is counted. No other child may run meanwhile.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began, peak, gave_up = time.monotonic(), 0, ""
    tree, looks = list[int](), 0
    cpu, status = 0.0, 0
    first = subprocess.Popen(words).pid
    while True:
        try:
            pid, code, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid:
            cpu += used.ru_utime + used.ru_stime
            status = os.waitstatus_to_exitcode(code) if pid == first else status
            continue
        # To go through all processes of the machine takes milliseconds.
        tree = _descendants() if looks % 10 == 0 else tree
        looks += 1
        peak = max(peak, sum(map(_resident_bytes, tree)))
        seconds = time.monotonic() - began
        if not gave_up and (peak > most_bytes or seconds > most_seconds):
            gave_up = (
                f"more than {most_bytes / 1e9:.0f} GB"
                if peak > most_bytes
                else f"more than {most_seconds / 60:.0f} minutes"
            )
        if gave_up:
            for one in _descendants():
                _kill(one)
        time.sleep(PAUSE_SECONDS)
    return Usage(time.monotonic() - began, cpu, peak, status, gave_up)


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found = children.get(os.getpid(), [])
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _resident_bytes(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
