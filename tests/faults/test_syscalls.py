"""A fault at each system call of `onepass train` in turn: killed, or told that the disk fails.

strace counts calls by thread, and commits come from a thread of their own, so there are two scenes:
in ``creation`` the model is new, and the main thread writes model.json, the lock and the plan; in
``commits`` the plan is there already, and the thread of commits counts from its first call. Calls
for reading, compiling and importing are not among those injected into: compiled code is cached by
the uninterrupted run, and Python is told not to write its own.

A process costs two seconds, so that without ``REPEAT`` each scene and call has one fault at one
place; with ``REPEAT=2`` and more, every fault at every place until a run gets through.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakes import ROOT
from onepass import plan, train, verify
from onepass.ledger.store import open_store
from onepass.model.directory import model_exists, open_model

REPEAT = int(os.environ.get("REPEAT", "1"))
SEED = int(os.environ.get("SEED", "0"))

CALLS = {
    "fsync": "fsync,fdatasync",
    "link": "link,linkat",
    "rename": "rename,renameat,renameat2",
    "write": "write,pwrite64",
}
KILL = "signal=SIGKILL"
FAULTS = [KILL, "error=ENOSPC", "error=EIO", "error=EPERM"]

SCENES = {"creation": ["fsync", "link", "write"], "commits": ["fsync", "link", "rename", "write"]}

MOST_PLACES = 40
"""Far more than a run has of any call; a loop that never gets through must not hang."""


def _strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    probe = ["strace", "-f", "-o", os.devnull, "-e", "trace=none", "true"]
    return subprocess.run(probe, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    not _strace_works(), reason="strace is not installed, or may not trace (ptrace)"
)


@dataclass(frozen=True)
class Ended:
    """How a run under strace ended."""

    code: int
    err: str
    hits: list[str]
    """The calls that were failed, one in each thread; none where the run was killed."""

    @property
    def acknowledged(self) -> int:
        """The newest version that the run said was committed."""
        return max(map(int, re.findall(r"^trained .* version (\d+)$", self.err, re.M)), default=0)

    @property
    def complaints(self) -> list[str]:
        """What stderr holds beside the steps of the run."""
        return [line for line in self.err.splitlines() if not line.startswith("trained ")]


class Scene:
    """A lake, the uninterrupted run on it, and runs with a fault."""

    def __init__(self, job: dict[str, Any], folder: Path) -> None:
        self.job, self.folder = job, folder
        self.expected = train(job)
        self.n_runs = 0

    def run(self, scene: str, calls: str, fault: str, place: int) -> tuple[dict[str, Any], Ended]:
        """Train a new model in a process, with a fault at the call of that number."""
        self.n_runs += 1
        job = self.job | {"model": str(self.folder / f"model-{self.n_runs}")}
        arguments = ["--model", job["model"]]
        if scene == "creation":
            arguments += [job["lake"], "--label", job["label"], "--solver", job["solver"]]
        else:
            plan(job)
        trace = self.folder / "trace"
        names = CALLS[calls]
        strace = ["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", f"trace={names}"]
        strace += ["-e", f"inject={names}:{fault}:when={place}"]
        command = "from onepass.cli import main; main()"
        done = subprocess.run(
            [*strace, sys.executable, "-B", "-c", command, "train", *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": f"{ROOT}/pipeline:{ROOT}/flows"},
            timeout=120,
        )
        hits = [line for line in trace.read_text().splitlines() if "(INJECTED)" in line]
        return job, Ended(done.returncode, done.stderr, hits)

    def check(self, job: dict[str, Any], ended: Ended, context: str) -> None:
        """What was committed is there, and a plain run ends in the same bytes."""
        before = open_model(job["model"]).ledger if model_exists(open_store(job["model"])) else None
        assert ended.acknowledged <= (before.version if before else 0), context
        done = len(before.history.trained()) if before else 0
        report = train(job)
        assert report.state_sha256 == self.expected.state_sha256, context
        assert report.partitions == self.expected.partitions - done, context
        trained = [
            p.path for e in open_model(job["model"]).ledger.history.trained() for p in e.partitions
        ]
        assert sorted(trained) == sorted(os.listdir(job["lake"])), context
        assert verify(job["model"]).sound, context
        shutil.rmtree(job["model"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    from lakes import number_table, write_files

    folder = tmp_path_factory.mktemp("syscalls")
    tables = {f"part-{i}.parquet": number_table(300 + 37 * i, i) for i in range(2)}
    lake = write_files(folder / "lake", tables, row_group_size=150)
    job = {"lake": str(lake), "label": "y", "solver": "sgd", "model": str(folder / "whole")}
    return Scene(job, folder)


def places(salt: int) -> Iterator[int]:
    """Every place, or the one that is this call's turn."""
    if REPEAT > 1:
        yield from range(1, MOST_PLACES)
    else:
        yield 1 + (SEED + salt) % 2


def check_told(ended: Ended, model: Path, context: str) -> None:
    """Check that a failure is reported in a line or two and leaves no unfinished file."""
    assert "Traceback" not in ended.err, context
    assert not list(model.rglob("*.tmp")), context
    of_terminal = any(re.search(r"write\([012]<", hit) for hit in ended.hits)
    if not of_terminal:
        assert ended.code == 2, context
        assert 1 <= len(ended.complaints) <= 2, context
        assert ended.complaints[0].startswith("onepass: "), context


CASES = [(name, calls) for name, several in SCENES.items() for calls in several]


@pytest.mark.parametrize(("name", "calls"), CASES if REPEAT > 1 else CASES[::2], ids=str)
def test_killed_at_any_call_it_resumes_to_the_same_bytes(scene, name, calls):
    for place in places(CASES.index((name, calls))):
        job, ended = scene.run(name, calls, KILL, place)
        context = f"{name}, {KILL} at {calls} {place}: {ended}"
        scene.check(job, ended, context)
        if ended.code == 0:
            assert REPEAT > 1, context
            break
        assert ended.code == -signal.SIGKILL, context
    else:
        assert REPEAT == 1, f"{name}, {calls}: no run got through"


@pytest.mark.parametrize(("name", "calls"), CASES if REPEAT > 1 else CASES[1::2], ids=str)
def test_failure_of_any_call_is_told_and_loses_nothing(scene, name, calls):
    turn = CASES.index((name, calls))
    faults = FAULTS[1:] if REPEAT > 1 else [FAULTS[1 + turn % 3]]
    for fault in faults:
        for place in places(turn + 1):
            job, ended = scene.run(name, calls, fault, place)
            context = f"{name}, {fault} at {calls} {place}: {ended}"
            if ended.hits:
                check_told(ended, Path(job["model"]), context)
            scene.check(job, ended, context)
            if not ended.hits:
                assert REPEAT > 1, context
                assert ended.code == 0, context
                break
        else:
            assert REPEAT == 1, f"{name}, {calls}: no run got through"
