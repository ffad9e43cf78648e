"""The tasks of Prefect in which a run plans and trains, within the sessions of its models.

An error of one model fails the task in which it occurs, and stops this model alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from onepass.errors import first_line
from onepass.ledger.entries import TrainEntry
from onepass.ledger.history import History
from onepass.partition import Partition
from onepass.training.lockstep import OF_ONE_MODEL
from onepass.training.session import Session
from onepass.training.sessions import Sessions
from prefect_onepass.names import (
    after_training,
    before_training,
    of_labels,
    planned_name,
    rename_task_run,
)
from prefect_onepass.outcome import Group, Outcome
from prefect_onepass.steps import RETRIES, run_task

_MOST_PLANS = 10
"""Most plans of a run: a lake into which files land all the time must not keep it from its end."""


@dataclass(slots=True)
class Part:
    """The part of one label in a run, while its session is open."""

    label: str
    session: Session
    since: int = field(init=False)
    """Newest version before the run."""
    groups: list[Group] = field(default_factory=list)
    """The entries of each train task, oldest first."""

    def __post_init__(self) -> None:
        self.since = self.history.version

    @property
    def history(self) -> History:
        """Entries of the log so far."""
        return self.session.model.ledger.history

    @property
    def n_done(self) -> int:
        """Partitions that the run has committed."""
        return sum(group.partitions for group in self.groups)

    def take(self, since: int, seconds: float) -> list[Partition]:
        """Note what a task has committed after a version, and return its partitions."""
        entries = [one for one in self.history.entries[since:] if isinstance(one, TrainEntry)]
        if entries:
            self.groups.append(Group(entries, seconds))
        return [one for entry in entries for one in entry.partitions]

    def outcome(self) -> Outcome:
        """Return what the session has trained."""
        return Outcome(
            job=self.session.job,
            model=self.session.model,
            trained=self.session.report(),
            since=self.since,
            groups=self.groups,
        )


class TrainingTasks:
    """Plans and trains.

    Parameters
    ----------
    sessions
        The sessions of the run.
    parts
        Receive what is committed for each label.
    """

    def __init__(self, sessions: Sessions, parts: Sequence[Part]) -> None:
        self._sessions, self._parts = sessions, parts

    def train(self) -> None:
        """Train what is new, and what arrives meanwhile.

        Raises
        ------
        OnepassError, OSError
            If the lake, a disk, a store or a cluster fails for all models.
        """
        # An event of a file that lands now starts a run that leaves the model to this one.
        for _ in range(_MOST_PLANS):
            self._run_task("plan", self._plan)
            if not self._pending():
                break
            while pending := self._pending():
                most = max(pending, key=lambda one: len(one.history.pending()))
                name = before_training(most.n_done, most.history.pending(), self._who(pending))
                self._run_task("train", self._train, name)

    def _pending(self) -> list[Part]:
        pending = self._sessions.pending()
        return [one for one in self._parts if one.session in pending]

    def _who(self, parts: Sequence[Part]) -> str:
        return of_labels([one.label for one in parts], self._sessions.labels)

    def _run_task(self, name: str, call: Callable[[], None], run_name: str | None = None) -> None:
        """Run a task, which fails if an error stops a model; the other models go on."""
        failures = self._sessions.failures
        known = set(failures)

        def called() -> None:
            call()
            for run, error in failures.items():
                if run not in known:
                    raise error

        try:
            run_task(name, called, run_name=run_name, **RETRIES)
        except OF_ONE_MODEL:
            if known == set(failures):
                raise
        if len(self._parts) > 1:
            for one in self._parts:
                if (run := one.session.run) in failures and run not in known:
                    one.session.progress.noted(f"training has stopped: {first_line(failures[run])}")

    def _plan(self) -> None:
        self._sessions.plan()
        if pending := self._pending():
            reports = [one.session.plan_report(one.history.pending()) for one in pending]
            most = max(reports, key=lambda one: one.partitions)
            rename_task_run(planned_name(most, self._who(pending)))
        else:
            rename_task_run("plan: nothing new")

    def _train(self) -> None:
        began, pending = time.perf_counter(), self._pending()
        before = [(one.history.version, one.n_done, one.history.pending()) for one in pending]
        try:
            self._sessions.train_pending(max_seconds=pending[0].session.job.group_seconds)
        finally:
            # A task that fails has committed what it had learnt before.
            seconds = time.perf_counter() - began
            pairs = zip(pending, before, strict=True)
            trained = [one.take(version, seconds) for one, (version, *_) in pairs]
            most = max(range(len(pending)), key=lambda i: len(trained[i]))
            _, n_done, groups = before[most]
            planned = pending[most].history.planned()
            who = [one for one, own in zip(pending, trained, strict=True) if own] or pending
            name = after_training(n_done, groups, trained[most], planned, self._who(who))
            rename_task_run(name)
