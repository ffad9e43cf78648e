"""The end of a run for one model: evaluate it, let predictions use it, and show what was done."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.holdout import evaluate_holdout
from onepass.actions.publish import publish as publish_version
from onepass.errors import VersionRefused
from onepass.lake.discover import Lake
from onepass.model.predictor import Predictor
from onepass.training.progress import Notes, Progress
from prefect_onepass.announce import publishing, quarantined, refused, updated
from prefect_onepass.artifacts import publish as publish_pages
from prefect_onepass.background import Background
from prefect_onepass.messages import told
from prefect_onepass.names import evaluated_name, published_name, rename_task_run
from prefect_onepass.outcome import Outcome
from prefect_onepass.run_report import warnings_of
from prefect_onepass.sending import emit
from prefect_onepass.states import EXPECTED
from prefect_onepass.steps import RETRIES, run_task


@dataclass(frozen=True, slots=True)
class Judged:
    """The holdout and the weights by which a version is judged after the session."""

    lake: Lake | None
    """Holdout of the run; None if the job has none, or a quiet run needs none."""
    predictor: Predictor | None
    """Weights of the version; None without a holdout."""


class OneModel:
    """Ends a run for the model of one label.

    Parameters
    ----------
    outcome
        What the run has trained; receives what follows.
    judged
        What the version is to be judged by.
    log
        Receives warnings.
    background
        Sends what only shows.
    who
        Ending of names of tasks that tells the models of a run apart; see `names.of_labels`.
    page
        File or URL to write the report page to; None for none.
    """

    def __init__(
        self,
        outcome: Outcome,
        judged: Judged,
        log: Progress,
        background: Background,
        *,
        who: str = "",
        page: str | None = None,
    ) -> None:
        self.outcome, self._judged = outcome, judged
        self._log, self._background = log, background
        self._who, self._page = who, page

    def end(self) -> None:
        """Evaluate, publish and show; an error of the library or the system goes to the outcome."""
        outcome = self.outcome
        try:
            if outcome.is_quiet:
                # An earlier run may have died before it had published its version.
                self._let_predict()
                return
            self._evaluate()
            publishing(outcome, self._publish)()
        except EXPECTED as error:
            outcome.error = outcome.error or error

    def _evaluate(self) -> None:
        """Evaluate on the holdout, if there is one; an error waits until the rest is published."""
        predictor, lake, outcome = self._judged.predictor, self._judged.lake, self.outcome
        if predictor is None or lake is None:
            return

        def evaluated() -> EvaluateReport | None:
            store, notes = outcome.model.store, Notes(self._log)
            report = evaluate_holdout(predictor, lake, outcome.job, store=store, progress=notes)
            if report is not None:
                rename_task_run(evaluated_name(report, self._who))
            return report

        name = f"evaluate{self._who}" if self._who else None
        try:
            outcome.holdout = run_task("evaluate", evaluated, run_name=name, **RETRIES)
        except EXPECTED as error:
            # The report tells what is trained and kept all the same.
            outcome.holdout_error, outcome.error = told(error), error

    def _publish(self) -> str:
        """Let predictions use the version unless it is refused, and show the run in its pages."""
        outcome = self.outcome
        rename_task_run(published_name(outcome.trained, self._who))
        error: VersionRefused | None = None
        try:
            self._let_predict()
        except VersionRefused as refusal:
            error, outcome.refusal = refusal, told(refusal)
        if outcome.trained.quarantined:
            emit(quarantined(outcome), self._background)
        self._show()
        if error is not None:
            raise error
        return outcome.report or ""

    def _show(self) -> None:
        """Make the pages of the model; what only shows is no reason to fail."""
        outcome = self.outcome
        try:
            if self._page is not None:
                # Imported here: most runs write no page.
                from onepass.report.write import write_report

                outcome.page = write_report(outcome.model.path, self._page, version="newest")
        except Exception as error:
            self._log.noted(f"the report page was not written: {in_short(error)}")
        try:
            run = outcome.finished()
            outcome.warnings = warnings_of(run)
            outcome.report = publish_pages(self._background, run)
        except Exception as error:
            self._log.noted(f"the run is not shown: {in_short(error)}")

    def _let_predict(self) -> None:
        """Let predictions use the newest version, unless the guard of the job refuses it."""
        outcome = self.outcome
        if outcome.job.max_loss_increase is not None and outcome.holdout_error is not None:
            return  # It cannot be judged; the next run tries again.
        try:
            outcome.publication = publish_version(
                outcome.model,
                outcome.job,
                newest=self._judged.predictor,
                lake=self._judged.lake,
                holdout=outcome.holdout,
            )
        except VersionRefused as error:
            emit(refused(outcome, error), self._background)
            raise
        how = outcome.publication.outcome
        if how == "published" or (how == "unchanged" and outcome.trained.partitions):
            emit(updated(outcome), self._background)


def page_of(page: str, model: str) -> str:
    """Return where the report page of one of several models is written.

    Examples
    --------
    >>> page_of("/srv/reports/nightly.html", "/srv/models/paid")
    '/srv/reports/nightly-paid.html'
    """
    stem, ending = posixpath.splitext(page)
    return f"{stem}-{posixpath.basename(model.rstrip('/'))}{ending}"


def in_short(error: Exception) -> str:
    """Return what an error is, in a line."""
    return f"{type(error).__name__}: {told(error)}".splitlines()[0]
