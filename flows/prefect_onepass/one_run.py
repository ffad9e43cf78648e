"""One run of the train flow: train within sessions, then evaluate and publish each model.

A run has one label or several; one is a party of one. The sessions hold the locks of the models
from the plan to the end of training, and read the lake once for all of them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from onepass.training.progress import Together
from onepass.training.session import Session
from onepass.training.sessions import Sessions
from onepass.training.several import open_sessions
from prefect_onepass.announce import TrainedRounds, subject
from prefect_onepass.background import Background
from prefect_onepass.labels_report import publish_labels
from prefect_onepass.live_progress import LiveProgress
from prefect_onepass.names import of_labels
from prefect_onepass.one_model import Judged, OneModel, in_short, page_of
from prefect_onepass.run_log import RunLog
from prefect_onepass.run_outcome import RunOutcome, Stopped
from prefect_onepass.training_tasks import Part, TrainingTasks


class OneRun:
    """Plans, trains, evaluates and publishes the model of each label, once.

    Parameters
    ----------
    given
        Fields of the job that the run gives.
    background
        Sends what only shows.
    page
        File or URL to write the report page to; None for none. With several labels each has a page,
        see `page_of`.
    """

    def __init__(
        self, given: dict[str, Any], background: Background, page: str | None = None
    ) -> None:
        self._given, self._background, self._page = given, background, page
        self._log = RunLog()

    def run(self) -> RunOutcome:
        """Do all steps; return what was done, and the errors of models that have stopped.

        Raises
        ------
        ModelConflict
            If another run trains a model; nothing was done.
        OnepassError, OSError
            If a step fails for all models; what was committed before is kept.
        """
        run, ends = self._trained()
        # The end of the sessions has freed the locks of the models, and the memory of the learners.
        for one in ends:
            one.end()
        if run.is_of_several and not run.is_quiet:
            self._show(run)
        return run

    def _trained(self) -> tuple[RunOutcome, list[OneModel]]:
        """Train within sessions; return also what is left to do for each model."""
        steps = Together(self._log)
        with self._log, open_sessions(self._given, steps) as sessions, ExitStack() as showing:
            pairs = list(zip(sessions.labels, sessions.sessions, strict=True))
            parts = [Part(label, session) for label, session in pairs]
            rings = [self._shown(session, showing, len(pairs)) for _, session in pairs]
            TrainingTasks(sessions, parts).train()
            failed = sessions.failed()
            stopped, ends = [], []
            for part, ring in zip(parts, rings, strict=True):
                if (error := failed.get(part.label)) is None:
                    ends.append(self._end_of(part, sessions))
                else:
                    ring.remove()
                    model = part.session.model.path
                    stopped.append(Stopped(part.label, model, part.n_done, error))
            id_, done = parts[0].session.model.file.id, [one.outcome for one in ends]
            return RunOutcome(sessions.root, id_, sessions.labels, done, stopped), ends

    def _shown(self, session: Session, showing: ExitStack, n_labels: int) -> LiveProgress:
        """Show the steps of a model until the context ends; return its ring."""
        ring = LiveProgress(self._background, session.model, n_beside=n_labels)
        about = subject(session.model, session.job)
        rounds = TrainedRounds(about, self._background, n_beside=n_labels)
        assert isinstance(session.progress, Together)
        for one in (ring, rounds):
            session.progress.add(one)
            showing.enter_context(one)
        return ring

    def _end_of(self, part: Part, sessions: Sessions) -> OneModel:
        """Return what is left to do for a model, without its learner."""
        session = part.session
        outcome = part.outcome()
        is_guarded = session.job.max_loss_increase is not None
        lake = session.holdout() if is_guarded or not outcome.is_quiet else None
        has_predictor = lake is not None and not outcome.is_quiet
        judged = Judged(lake, session.predictor() if has_predictor else None)
        session.run.forget()
        page = self._page
        if page is not None and len(sessions.labels) > 1:
            page = page_of(page, session.model.path)
        who = of_labels([part.label], sessions.labels)
        return OneModel(outcome, judged, session.progress, self._background, who=who, page=page)

    def _show(self, run: RunOutcome) -> None:
        """Make the page of all labels; what only shows is no reason to fail."""
        try:
            run.report = publish_labels(self._background, run)
        except Exception as error:
            self._log.noted(f"the run is not shown: {in_short(error)}")
