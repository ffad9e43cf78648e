"""A schedule that trains what lands, and a way to come in the middle of one of its runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from lakes import ROOT
from landing import Landing
from production import Machine, lock_holder, stopped


def deploy(box: Machine, home: Path, *, seconds_between_runs: int) -> None:
    """Deploy a copy of `prefect.yaml` that differs in its schedule alone."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    deployments["deployments"][0]["schedules"] = [{"interval": seconds_between_runs}]
    (home / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    box.prefect("deploy", "--all", "--prefect-file", str(home / "prefect.yaml"))


_MOST_ATTEMPTS = 5
"""How often files land before a run must have been found in its middle."""


@dataclass
class Night:
    """What happens on a machine while files land."""

    box: Machine
    landing: Landing
    files: int = 12
    """Files that land before a run is held still; it must not learn all of them in an instant."""

    def train_all(self) -> None:
        """Wait until the schedule has trained all that has landed, and no run holds the model."""
        self.box.wait("all is trained", self.landing.is_all_trained)
        self.box.wait("no run holds the model", lambda: self.trainer() is None)

    @contextmanager
    def in_mid_run(self) -> Iterator[tuple[int, str]]:
        """Let files land, and hold the run that learns them still after its first commit.

        Yields its process id and its id. On a busy machine a run may have learnt all files before
        this process had a turn to hold it; then twice as many land.
        """
        for attempt in range(_MOST_ATTEMPTS):
            before = self.landing.n_entries()
            self.landing.land(self.files << attempt)
            # The first new entry is the plan.
            self.box.wait("a run trains", lambda n=before + 2: self.landing.n_entries() >= n)
            if (trainer := self.trainer()) is None:
                continue
            with stopped(trainer[0]):
                if not self.landing.is_all_trained():
                    yield trainer
                    return
        raise AssertionError(f"{_MOST_ATTEMPTS} times all was trained before a run was held still")

    def trainer(self) -> tuple[int, str] | None:
        """Return the process that holds the model's lock, and its run."""
        runs = self.box.runs_by_process()
        holder = lock_holder(self.landing.model / "writer.lock")
        return (holder, runs[holder]) if holder in runs else None

    def stay_away(self, seconds: float) -> None:
        """Leave the server away for so long, which no run may need to know."""
        time.sleep(seconds)
