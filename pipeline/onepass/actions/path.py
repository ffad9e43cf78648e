"""The path of penalties of a model: coefficients at each penalty, and the best of the penalties."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from pydantic import BaseModel

from onepass.actions.path_holdout import holdout_losses, holdout_warnings
from onepass.actions.publish import Publication, publish
from onepass.encode.feature_units import feature_units
from onepass.encode.schema import Schema
from onepass.environment import environment, peak_rss_bytes
from onepass.errors import JobError
from onepass.learn.learner import Learner
from onepass.learn.metrics.paired import PairedLosses
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.path import Mix, PathPoint, choose, path
from onepass.ledger.entries import Refined
from onepass.model.file import ModelFile
from onepass.model.model import Model
from onepass.model.penalties import REFUSED
from onepass.text import shown
from onepass.training.progress import Progress
from onepass.training.report import finite
from onepass.training.session import open_session

MOST_POINTS = 1000

Criterion: TypeAlias = Literal["holdout", "aic", "bic"]


class PathStep(BaseModel):
    """The model at one penalty."""

    penalty: float
    """Penalty per row; its shares of l1 and l2 are those of `PathReport.alpha`."""
    features: int
    """Features with a weight."""
    columns: int
    """Columns with a weight."""
    freedom: float
    """Degrees of freedom, the intercept's among them."""
    aic: float
    """Akaike's criterion, up to a constant that all steps share."""
    bic: float
    """The Bayesian criterion, up to a constant that all steps share."""
    holdout_loss: float | None
    """Mean loss per row of the holdout; None without a holdout."""
    holdout_error: float | None
    """Standard error of the distance of this loss from that at the smallest penalty, for
    independent rows; None without a holdout."""
    coefficients: list[float]
    """In the units of their columns and of the label, in the order of `PathReport.features`."""
    effects: list[float]
    """Coefficients per standard deviation of their features."""


class PathReport(BaseModel):
    """The path of penalties of one version of a model."""

    model: str
    version: int
    """Version of which the path is; or the new one, if a penalty was chosen."""
    loss: str
    alpha: float
    """Share of l1 in each penalty."""
    by_column: bool
    """Whether the features of a column enter and leave together."""
    is_exact: bool
    """Whether the path is that of the rows, as for squared loss, or of the quadratic model of their
    loss at the weights of the version."""
    features: list[str]
    steps: list[PathStep]
    """From the least penalty at which all penalised weights are 0 to the smallest one."""
    best: dict[str, int]
    """Step of the smallest value of each criterion: aic, bic, and holdout if there is one."""
    rows: int
    """Rows of the holdout."""
    warnings: list[str]
    """Why the holdout may choose badly."""
    seconds: float
    chosen: float | None = None
    """Penalty that was committed; None if none was."""
    published: Publication | None = None
    """Version that predictions use now, if a penalty was committed."""

    @property
    def criterion(self) -> Criterion:
        """The criterion that counts: the holdout if there is one."""
        return "holdout" if "holdout" in self.best else "bic"


def penalty_path(
    model: str | Path,
    *,
    lake: str | list[str] | None = None,
    alpha: float = 1.0,
    by_column: bool = False,
    n_penalties: int = 100,
    ratio: float = 1e-4,
    version: int | str | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> PathReport:
    """Return the weights of a model at each of many penalties, without reading its lake again.

    Parameters
    ----------
    model
        Directory of a model that newton has learnt.
    lake
        Rows that the model has not learnt, by which the penalties are compared in one read.
    alpha
        Share of l1: a penalty p adds ``p alpha |w| + p (1 - alpha) / 2 |w|^2`` per row, on
        standardised features (H. Zou, T. Hastie, JRSS-B 67, 2005). Each is what ``--l1`` and
        ``--l2`` of a job are.
    by_column
        Whether the features of a column, such as its levels, have weights together or not at all.
    n_penalties, ratio
        Number of penalties, and the smallest as a share of the largest.
    version
        See `Model.load`.

    Raises
    ------
    JobError
        If the model has no such path: another solver, hashed columns, several margins.
    DataError
        If a file of the lake is bad, or has no row with a label.
    """
    began = time.perf_counter()
    mix = _mix(alpha, by_column, n_penalties, ratio)
    loaded = Model.load(model, version)
    learner = loaded.learner.best()
    head = _head(loaded.file, learner, by_column=by_column)
    points = path(head.solution, mix, n_penalties, ratio, loaded.repeats)
    losses = [PairedLosses() for _ in points]
    if lake is not None:
        weights = np.array([point.weights for point in points])
        losses = holdout_losses(loaded, weights, lake, dask, progress or Progress())
    schema = loaded.file.encoder
    steps = [_step(schema, head, learner, *pair) for pair in zip(points, losses, strict=True)]
    warnings: list[str] = []
    best = {
        "aic": int(np.argmin([one.aic for one in steps])),
        "bic": int(np.argmin([one.bic for one in steps])),
    }
    if lake is not None:
        at = best["holdout"] = int(np.nanargmin([one.losses[0] for one in losses]))
        warnings = holdout_warnings(schema.label, losses[at], steps[at].penalty)
    return PathReport(
        model=str(model),
        version=loaded.version,
        loss=loaded.file.job.loss,
        alpha=alpha,
        by_column=by_column,
        is_exact=loaded.file.job.loss == "squared",
        features=schema.feature_names(),
        steps=steps,
        best=best,
        rows=losses[0].n_rows,
        warnings=warnings,
        seconds=time.perf_counter() - began,
    )


def choose_penalty(report: PathReport, given: float | Criterion) -> PathReport:
    """Commit the weights at one penalty of a path as a new version of its model.

    The penalty holds the weights from then on, in place of ``--l1`` and ``--l2`` of the job: rows
    that land later are learnt with it.

    Parameters
    ----------
    given
        A penalty, of the path or any other; or a criterion of `PathReport.best`.

    Raises
    ------
    JobError
        If the criterion is not in the report, or the version is not the newest.
    ModelConflict
        If another process trains the model.
    """
    penalty = _penalty(report, given)
    mix = Mix(report.alpha, report.by_column)
    with open_session({"model": report.model}, creates=False) as session:
        model, began = session.model, time.perf_counter()
        newest = model.ledger.history.newest_states(1)[-1]
        if newest.version != report.version:
            raise JobError(
                f"the path is that of version {report.version}, and the newest is "
                f"{newest.version}; a choice is made from the newest (--version newest)"
            )
        state = session.restorer.newest()
        if model.file.job.folds:
            raise JobError(
                "a penalty cannot be chosen for a model with --folds, whose cross-validated losses "
                "are those of its own l2; train a new one without --folds"
            )
        head = _head(model.file, state.learner.best(), by_column=report.by_column)
        rise = choose(head.solution, mix, penalty)
        l1, l2 = penalty * report.alpha, penalty * (1 - report.alpha)
        refined = Refined(
            rule=f"path (l1 {l1:.6g}, l2 {l2:.6g}{', by column' if report.by_column else ''})",
            n_passes=0,
            learning_rate=None,
            losses=[0.0, rise],
            rows=0,
            seconds=time.perf_counter() - began,
            peak_rss_bytes=peak_rss_bytes(),
            environment=environment(),
        )
        entry = model.ledger.commit_refine(state.dump(), refined)
        job = session.job
    published = publish(model, job)
    return report.model_copy(
        update={"version": entry.version, "chosen": penalty, "published": published}
    )


def _mix(alpha: float, by_column: bool, n_penalties: int, ratio: float) -> Mix:
    if not 0 <= alpha <= 1:
        raise JobError(f"--alpha must be from 0 (l2 alone) to 1 (l1 alone), found {alpha:g}")
    if not 1 <= n_penalties <= MOST_POINTS:
        raise JobError(f"--penalties must be from 1 to {MOST_POINTS}, found {n_penalties}")
    if not 0 < ratio < 1:
        raise JobError(f"--ratio must be above 0 and below 1, found {ratio:g}")
    return Mix(alpha, by_column)


def _head(file: ModelFile, learner: Learner, *, by_column: bool) -> Newton:
    job, schema = file.job, file.encoder
    head = learner.heads[0]
    if job.solver != "newton":
        raise JobError(f"a path needs the curvature that newton keeps; this is {job.solver}")
    if job.loss in REFUSED:
        raise JobError(f"there is no path of {job.loss} loss, only of losses of one smooth margin")
    if not isinstance(head, Newton):
        raise JobError(
            f"a path needs the curvature of all weights, and newton keeps none of hashed columns "
            f"({', '.join(schema.counted_names()[:8])}); train a model without them"
        )
    if by_column and job.constraint:
        raise JobError("--by-column cannot be used with a model that has a --constraint")
    return head


def _penalty(report: PathReport, given: float | Criterion) -> float:
    if isinstance(given, str):
        if given not in report.best:
            needs = " (holdout needs --lake)" if given == "holdout" else ""
            raise JobError(
                f"--choose expects a penalty or one of {', '.join(report.best)}{needs}, "
                f"found {shown(given)}"
            )
        return report.steps[report.best[given]].penalty
    if not 0 <= given < float("inf"):
        raise JobError(f"--choose expects a penalty of at least 0, found {given:g}")
    return given


def _step(
    schema: Schema, head: Newton, learner: Learner, point: PathPoint, losses: PairedLosses
) -> PathStep:
    units = np.array([unit for column in schema.columns for unit, _ in feature_units(column)])
    in_label = point.weights[:-1] * learner.settings.scale
    groups = np.array(learner.settings.penalties.groups)
    return PathStep(
        penalty=point.penalty,
        features=int(point.active.sum()),
        columns=len(np.unique(groups[point.active])),
        freedom=point.freedom,
        aic=point.aic,
        bic=point.bic,
        holdout_loss=finite(losses.losses[0]),
        holdout_error=finite(losses.std_error),
        coefficients=(in_label / units).tolist(),
        effects=(in_label * head.solution.scaling.deviation()).tolist(),
    )
