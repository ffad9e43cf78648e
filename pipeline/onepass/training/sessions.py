"""The sessions of a run: of the model of one label, or of several that read their lake together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from onepass.errors import OnepassError
from onepass.training.groups import read_alike
from onepass.training.lockstep import Deadline, Failures, train_in_lockstep
from onepass.training.session import Session


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions of the models of one label or of several, in the order of the labels.

    An error of one model, such as a bad value of its label, stops this model alone. It is kept in
    `failures`, and the others go on.
    """

    root: str
    """Directory of all models; that of the model if there is one label."""
    labels: list[str]
    sessions: list[Session]
    failures: Failures = field(default_factory=Failures)

    def train(self) -> None:
        """Train each model on everything in the lake that it has not seen."""
        # The first plan of such a model is the rest of an older one. Then plan the new files.
        again = [one for one in self.sessions if one.model.ledger.history.pending()]
        self._plan(self.sessions)
        self.train_pending()
        self._plan(again)
        self.train_pending()

    def plan(self) -> None:
        """Plan what each model is still to train; see `Session.plan`."""
        self._plan(self.sessions)

    def _plan(self, sessions: Sequence[Session]) -> None:
        listed: Session | None = None
        for session in sessions:
            if session.run in self.failures:
                continue
            with self.failures.of(session.run):
                session.plan(listed)
                listed = listed or session

    def pending(self) -> list[Session]:
        """Return the sessions whose models have planned groups left, and have not failed."""
        return [one for one in self.sessions if self._goes_on(one)]

    def _goes_on(self, session: Session) -> bool:
        return session.run not in self.failures and bool(session.model.ledger.history.pending())

    def train_pending(self, max_seconds: float | None = None) -> None:
        """Train planned groups; stop after the round in which `max_seconds` have passed."""
        deadline, pending = Deadline(max_seconds), self.pending()
        with ExitStack() as recovering:
            for session in pending:
                with self.failures.of(session.run):
                    recovering.enter_context(session.recovering())
            left = [one for one in pending if one.run not in self.failures]
            while left:
                alike = [one for one in left if read_alike(left[0].learner, one.learner)]
                left = [one for one in left if one not in alike]
                self._train_alike(alike, deadline)
                if deadline.is_over:
                    return
                if left:
                    # Only models that were created together fit into memory together.
                    for session in alike:
                        session.run.forget()

    def _train_alike(self, sessions: Sequence[Session], deadline: Deadline) -> None:
        runs = [one.run for one in sessions]
        pending = [one.model.ledger.history.pending() for one in sessions]
        train_in_lockstep(runs, pending, self.failures, deadline)

    def failed(self) -> dict[str, OnepassError]:
        """Return the errors of the models that have failed, by label."""
        pairs = zip(self.labels, self.sessions, strict=True)
        return {label: self.failures[one.run] for label, one in pairs if one.run in self.failures}
