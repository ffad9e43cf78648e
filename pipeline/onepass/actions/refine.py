"""Refine: a few batch passes over all that a model has learnt, out of core, to the batch optimum.

One pass ends near the optimum; refining ends at it. Each pass is a sum over the blocks of the lake,
taken as Dask tasks and added in the order of the partitions, so that the result does not depend on
who was faster.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel

from onepass.block import FloatArray
from onepass.environment import environment, peak_rss_bytes
from onepass.errors import JobError, ModelNotFound
from onepass.job import Job
from onepass.lake.discover import discover
from onepass.lake.rotation import Source
from onepass.learn.learner import Learner
from onepass.learn.minimise import KINK_WIDTH, Minimum, Rule, minimise
from onepass.learn.newton.newton import MAX_WIDTH
from onepass.learn.objective import Objective, Sums
from onepass.learn.updater import Updater
from onepass.ledger.entries import Refined
from onepass.partition import Partition
from onepass.stream.stream import Streamed, Together, streams
from onepass.training.progress import Progress
from onepass.training.run import Run
from onepass.training.session import opened
from onepass.training.sources import source_of

LEAST_PASSES = 2


class RefineReport(BaseModel):
    """What refining has done."""

    model: str
    version: int
    rule: str
    losses: list[float]
    """Penalised mean loss per row that each pass found, on scaled labels, head after head."""
    slopes: list[float]
    """Length of its gradient."""
    rows: int
    """Rows of one pass."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    state_sha256: str


def refine(
    job: Job | Mapping[str, Any],
    *,
    n_passes: int = 10,
    rule: str = "auto",
    learning_rate: float | None = None,
    progress: Progress | None = None,
) -> RefineReport:
    """Take batch passes over every partition that a model has learnt, and commit the result.

    Parameters
    ----------
    job
        The job, or ``{"model": directory}``.
    n_passes
        Passes at most, at least 2 for each quantile; fewer are taken where the optimum is reached.
    rule
        newton for up to 512 dense weights and no hashed column; lbfgs for all; gradient_descent, to
        compare with. auto takes the first that fits.
    learning_rate
        Of gradient descent, per mean loss; found from the data by default.

    Raises
    ------
    JobError
        If the rule does not suit the model, or a training is under way.
    DataError
        If a file that was learnt is bad, gone or has changed.
    """
    if n_passes < LEAST_PASSES:
        raise JobError(f"--passes must be at least {LEAST_PASSES}, found {n_passes}")
    with opened(job, progress or Progress(), creates=False) as run:
        return _Refinement(run, rule, n_passes, learning_rate).run()


class _Refinement:
    """Batch passes of one model that is held."""

    def __init__(self, run: Run, rule: str, n_passes: int, learning_rate: float | None) -> None:
        self._run, self._n_passes, self._learning_rate = run, n_passes, learning_rate
        self._partitions = _learnt_partitions(run)
        self._files = {file.key: file for file in discover(run.job.lake)}
        self._trainee = run.restored(self._files)
        self._learner = self._trainee.learner.best()
        self._rule = _chosen_rule(rule, self._learner, run.model.file.job)

    def run(self) -> RefineReport:
        began = time.perf_counter()
        found = []
        for head in self._learner.heads:
            minimum = self._minimum(head)
            head.adopt(minimum.point, minimum.sums, newton_step=self._rule == "newton")
            found.append(minimum)
        seconds = time.perf_counter() - began
        passes = [one for minimum in found for one in minimum.passes]
        entry = self._run.model.ledger.commit_refine(
            self._trainee.dump(),
            Refined(
                rule=self._rule,
                n_passes=self._n_passes,
                learning_rate=self._learning_rate,
                losses=[one.loss for one in passes],
                rows=found[0].sums.n_rows,
                seconds=seconds,
                peak_rss_bytes=peak_rss_bytes(),
                environment=environment(),
            ),
        )
        return RefineReport(
            model=self._run.model.path,
            version=entry.version,
            rule=self._rule,
            losses=entry.losses,
            slopes=[one.slope for one in passes],
            rows=entry.rows,
            seconds=seconds,
            rows_per_second=entry.rows * len(passes) / seconds,
            peak_rss_bytes=peak_rss_bytes(),
            state_sha256=entry.state.sha256,
        )

    def _minimum(self, head: Updater) -> Minimum:
        objective = head.objective()
        evaluate = partial(self._pass, objective)
        return minimise(
            self._rule, objective, head.point(), evaluate, self._n_passes, self._learning_rate
        )

    def _pass(self, objective: Objective, point: FloatArray, curvature: bool) -> Sums:
        """Sums over every partition at one point."""
        self._run.progress.started(len(self._partitions), sum(p.rows for p in self._partitions))
        settings = self._learner.settings
        function = partial(
            _block_sums, settings.center, settings.scale, objective, point, curvature
        )
        total: Sums | None = None
        for part in self._parts(function):
            total = part if total is None else total
            if total is not part:
                total.add(part)
            self._run.progress.advanced(part.n_rows)
        if total is None or not total.weight:
            raise JobError("no row with a weight has been learnt, so there is nothing to refine")
        return total

    def _parts(self, function: Any) -> Iterator[Sums]:
        groups = [Together(partial(self._source, partition)) for partition in self._partitions]
        stored = replace(self._run.reading, seed=None)
        for sums in streams(groups, stored, self._run.workers, function):
            yield from sums

    def _source(self, partition: Partition) -> list[Source]:
        return [source_of(partition, self._files)]


def _block_sums(
    center: float,
    scale: float,
    objective: Objective,
    point: FloatArray,
    curvature: bool,
    streamed: Streamed,
) -> Sums:
    block = streamed.encoded.block
    scaled = replace(block, label=(block.label - center) / scale)
    return objective.sums(point, scaled, width=KINK_WIDTH, curvature=curvature)


def _learnt_partitions(run: Run) -> list[Partition]:
    trained = run.model.ledger.history.trained()
    found = dict.fromkeys(partition for entry in trained for partition in entry.partitions)
    if not found:
        raise ModelNotFound(f"the model in {run.model.path!r} has learnt nothing; train it first")
    # A file that was trained again after a change is there twice; what counts is what it is now.
    newest = {partition.name: partition for partition in found}
    return [newest[name] for name in sorted(newest)]


def _chosen_rule(rule: str, learner: Learner, job: Job) -> Rule:
    if job.l1:
        raise JobError("an l1 penalty has a kink at zero, which no batch rule here can pass")
    settings = learner.settings
    n_weights = learner.losses[0].n_outputs * (settings.n_dense + 1)
    fits = not settings.n_slots and n_weights <= 2 * MAX_WIDTH
    match rule:
        case "auto":
            return "newton" if fits else "lbfgs"
        case "newton" if not fits:
            raise JobError(
                f"newton needs a matrix of all weights, and this model has {n_weights} dense and "
                f"{settings.n_slots} hashed ones; use --rule lbfgs"
            )
        case "newton" | "lbfgs" | "gradient_descent":
            return rule
    raise JobError(f"--rule must be auto or one of {', '.join(get_args(Rule))}, found {rule!r}")
