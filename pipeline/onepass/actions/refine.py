"""Refine a model: a few batch passes, out of core, over everything that it has learnt.

Streaming training ends near the batch optimum, and refining ends at it. A batch pass is a sum over
the blocks of the lake. Dask tasks compute the terms. They are added in the order of the partitions,
so the result does not depend on the speed of the tasks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import BaseModel

from onepass.actions.publish import Publication, publish
from onepass.actions.refine_rule import chosen_rule
from onepass.block import FloatArray
from onepass.environment import environment, peak_rss_bytes
from onepass.errors import BadPartition, JobError, ModelNotFound
from onepass.job import Job
from onepass.learn.minimise import KINK_WIDTH, Minimum, minimise
from onepass.learn.newton.scores import scores_bytes
from onepass.learn.objective import Sums
from onepass.learn.settings import Settings
from onepass.learn.updater import Updater
from onepass.learn.walk import BatchObjective
from onepass.ledger.entries import LearntEntry, Refined
from onepass.ledger.history import History
from onepass.model.memory import partitions_at_once
from onepass.partition import Partition
from onepass.stream.fold import Fold, folded
from onepass.stream.readers import Placed, Readers
from onepass.stream.reading import Streamed
from onepass.training.progress import Progress
from onepass.training.session import Session, open_session

LEAST_PASSES = 2
"""Minimum number of passes: one at the start, and one at the result."""


class RefineReport(BaseModel):
    """Outcome of refining."""

    model: str
    """Model directory."""
    version: int
    """Version that holds the weights: a new one, or the present one if nothing was committed."""
    improved: bool
    """Whether the passes found better weights than those of the model."""
    committed: bool
    """Whether there is a new version. Where no better weights are found there is none, unless
    the passes find that the model was at its optimum: then the curvature of all rows at once is
    committed, from which standard errors follow."""
    settled: bool | None
    """Whether the passes have ended at the optimum; None for gradient descent, which cannot tell.
    If not, more passes go on from the result."""
    rule: str
    """Rule of the passes: newton, lbfgs or gradient_descent."""
    losses: list[float]
    """Penalised mean loss per row in each pass, on scaled labels; one quantile after another."""
    slopes: list[float]
    """Length of the gradient of the penalised mean loss in each pass."""
    rows: int
    """Rows of one pass."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    state_sha256: str
    published: Publication | None = None
    """Version that predictions use now."""


def refine(
    job: Job | Mapping[str, Any],
    *,
    n_passes: int = 10,
    rule: str = "auto",
    learning_rate: float | None = None,
    progress: Progress | None = None,
) -> RefineReport:
    """Take batch passes over every partition that a model has learnt, and commit the result.

    What is committed is the best of the points that the passes have evaluated. Nothing is committed
    if that is the one from which they began; see `RefineReport.committed`.

    Parameters
    ----------
    job
        The job, or ``{"model": directory}``.
    n_passes
        Maximum number of passes, at least 2; each of several quantiles has as many of its own.
        newton and lbfgs stop earlier at the optimum, and tell whether they have reached it.
        gradient_descent takes one more if its last steps overshoot.
    rule
        ``newton`` takes up to 1,024 dense weights and no hashed column; ``lbfgs`` takes all models
        but those with an l1 penalty; ``gradient_descent`` is for comparison, and takes no l1
        penalty and no constraint. ``auto`` is newton if it fits, and lbfgs otherwise.
    learning_rate
        Learning rate of gradient descent on the mean loss; by default a bound of the curvature
        gives it.

    Raises
    ------
    JobError
        If the rule does not suit the model.
    Diverged
        If the loss is no number, neither for the model nor for weights of 0.
    ModelConflict
        If another process trains the model.
    VersionRefused
        If the refined version is worse than the current one by more than the job allows.
    DataError
        If a file that was learnt is bad, gone or has changed.
    """
    if n_passes < LEAST_PASSES:
        raise JobError(f"--passes must be at least {LEAST_PASSES}, found {n_passes}")
    with open_session(job, progress, creates=False) as session:
        report = _Refinement(session, rule, n_passes, learning_rate).run()
        model, refined = session.model, session.job
    return report.model_copy(update={"published": publish(model, refined)})


class _Refinement:
    """Batch passes over the partitions of one model."""

    def __init__(
        self, session: Session, rule: str, n_passes: int, learning_rate: float | None
    ) -> None:
        self._session, self._n_passes, self._learning_rate = session, n_passes, learning_rate
        model = session.model
        self._partitions = _learnt_partitions(model.ledger.history)
        if not self._partitions:
            raise ModelNotFound(f"the model in {model.path!r} has learnt nothing; train it first")
        self._state = session.restorer.newest()
        self._learner = self._state.learner.best()
        self._rule = chosen_rule(rule, self._learner, model.file.job)

    def run(self) -> RefineReport:
        """Minimise the objective of each head, commit the weights, and report."""
        began = time.perf_counter()
        found = [self._refine_head(head) for head in self._learner.heads]
        seconds = time.perf_counter() - began
        passes = [one for minimum in found for one in minimum.passes]
        n_rows, losses = found[0].sums.n_rows, [one.loss for one in passes]
        is_told = self._rule != "gradient_descent"
        settled = all(one.settled for one in found) if is_told else None
        adopted = any(map(_is_adopted, found))
        if adopted:
            self._commit(n_rows, losses, settled, seconds)
        entry = self._newest()
        return RefineReport(
            model=self._session.model.path,
            version=entry.version,
            improved=any(one.improved for one in found),
            committed=adopted,
            settled=settled,
            rule=self._rule,
            losses=losses,
            slopes=[one.slope for one in passes],
            rows=n_rows,
            seconds=seconds,
            rows_per_second=n_rows * len(passes) / seconds,
            peak_rss_bytes=peak_rss_bytes(),
            state_sha256=entry.state.sha256,
        )

    def _refine_head(self, head: Updater) -> Minimum:
        objective = head.objective()
        minimum = minimise(
            self._rule,
            objective,
            head.point(),
            partial(self._pass, objective),
            self._n_passes,
            self._learning_rate,
        )
        if _is_adopted(minimum):
            head.adopt(minimum.point, minimum.sums, trusted=minimum.trusted)
        return minimum

    def _newest(self) -> LearntEntry:
        return self._session.model.ledger.history.newest_states(1)[-1]

    def _commit(
        self, n_rows: int, losses: list[float], settled: bool | None, seconds: float
    ) -> None:
        refined = Refined(
            rule=self._rule,
            n_passes=self._n_passes,
            learning_rate=self._learning_rate,
            losses=losses,
            settled=settled,
            rows=n_rows,
            seconds=seconds,
            peak_rss_bytes=peak_rss_bytes(),
            environment=environment(),
        )
        self._session.model.ledger.commit_refine(self._state.dump(), refined)

    def _pass(self, objective: BatchObjective, point: FloatArray, curvature: bool) -> Sums:
        """Sum the objective and its derivatives at one point over every partition."""
        progress = self._session.progress
        progress.started(len(self._partitions), sum(one.rows for one in self._partitions))
        settings = self._learner.settings
        function = partial(_block_sums, settings, objective, point, curvature)
        nbytes = _sums_bytes(objective, point, curvature)
        learner = self._session.learner
        parts = [Placed(one, learner.file_of(one)) for one in self._partitions]
        fold = Fold(self._readers(nbytes), function, nbytes)
        try:
            total = folded(parts, fold, self._session.workers, progress.advanced)
        except BadPartition as error:
            raise _as_learnt(error) from error
        if total is None or not total.weight:
            raise JobError("no row with a weight has been learnt, so there is nothing to refine")
        return total

    def _readers(self, sums_bytes: int) -> Readers:
        learner, file = self._session.learner, self._session.model.file
        n_at_once = partitions_at_once(
            self._session.job,
            file.encoder,
            file.batch_rows,
            [one.fingerprint for one in self._partitions],
            is_remote=any(one.remote is not None for one in learner.files.values()),
            result_bytes=sums_bytes,
        )
        return Readers(replace(learner.reading, seed=None), learner.check, n_at_once)


def _as_learnt(error: BadPartition) -> BadPartition:
    """Return an error of a planned file as one of a learnt file, which no option leaves out."""
    return BadPartition(
        error.reason.replace("planned, but", "learnt, but"),
        path=error.path,
        row_group=error.row_group,
        column=error.column,
        advice="Put the file back as it was learnt, or create a new model with another --model.",
    )


def _is_adopted(minimum: Minimum) -> bool:
    return minimum.improved or minimum.settled


def _sums_bytes(objective: BatchObjective, point: FloatArray, curvature: bool) -> int:
    """Return the bytes of the sums of a pass: a slope, and perhaps a curvature with scores."""
    if not curvature:
        return int(point.nbytes)
    n_weights = objective.n_dense_weights
    scores = scores_bytes(objective.keeps.scores, n_weights, is_curved=False)
    return int(2 * point.nbytes + point.itemsize * n_weights**2 + scores)


def _block_sums(
    settings: Settings,
    objective: BatchObjective,
    point: FloatArray,
    curvature: bool,
    streamed: Streamed,
) -> Sums:
    block = settings.scaled(streamed.encoded.block)
    return objective.sums(point, block, width=KINK_WIDTH, curvature=curvature)


def _learnt_partitions(history: History) -> list[Partition]:
    """Return each partition that was learnt, once, sorted by name.

    If a file has changed and was trained again, its newest content is returned.
    """
    newest = {one.name: one for entry in history.trained() for one in entry.partitions}
    return [newest[name] for name in sorted(newest)]
