"""A night on one machine: a schedule trains what lands, whatever is killed meanwhile.

The deployment is that of `prefect.yaml`, with a shorter schedule. A run is held still after a commit
in its middle, and then it, its worker, the server or everything is killed. Nobody helps: what is
left is trained by a later run of the schedule. All waits are for conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from lakes import ROOT
from landing import Landing
from production import Machine, lock_holder, stopped

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")

SECONDS_BETWEEN_RUNS = 10
"""A run with nothing new takes some of them on a busy machine, which may skip a run or two."""
SECONDS_WITHOUT_SERVER = 30
END_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def deploy(box: Machine, home: Path) -> None:
    """Deploy a copy of `prefect.yaml` that differs in its schedule alone, from another folder."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    deployments["deployments"][0]["schedules"] = [{"interval": SECONDS_BETWEEN_RUNS}]
    (home / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    box.prefect("work-pool", "create", "onepass", "--type", "process")
    box.prefect("deploy", "--all", "--prefect-file", str(home / "prefect.yaml"))


class Night:
    """What happens to the machine, and what must be true after it."""

    def __init__(self, box: Machine, landing: Landing) -> None:
        self.box, self.landing = box, landing

    def train_all(self) -> None:
        """Wait until the schedule has trained all that has landed, and its run has ended."""
        self.box.wait("all is trained", self.landing.is_all_trained)
        self.box.wait("no run trains", lambda: self._trainer() is None)

    @contextmanager
    def in_mid_run(self) -> Iterator[tuple[int, str]]:
        """Let files land, and hold the run that learns them still, after its first commit.

        Yields its process id and its id.
        """
        before = len(self.landing.trained())
        self.landing.land(12)

        def has_begun() -> bool:
            return len(self.landing.trained()) > before

        self.box.wait("a run has begun to train", has_begun)
        pid, run = self.box.wait("a process trains", self._trainer)
        with stopped(pid):
            assert not self.landing.is_all_trained(), "trained before it could be held still"
            yield pid, run

    def _trainer(self) -> tuple[int, str] | None:
        """The process that has a lock on the model, and its run."""
        lock = self.landing.model / "writer.lock"
        if (holder := lock_holder(lock)) in (runs := self.box.runs_by_process()):
            return holder, runs[holder]
        return None
