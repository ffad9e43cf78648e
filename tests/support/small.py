"""Train in blocks of 128 rows, so that a file of a few hundred rows has several blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass.job import Job
from onepass.training.limits import Limits
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport
from onepass.training.session import open_session

SMALL = Limits(max_batch_rows=128)


def train(
    job: Job | Mapping[str, Any], *, progress: Progress | None = None, limits: Limits = SMALL
) -> TrainReport:
    """Train as `onepass.train` does."""
    with open_session(job, progress, limits=limits) as session:
        return session.train()


def plan(
    job: Job | Mapping[str, Any], *, progress: Progress | None = None, limits: Limits = SMALL
) -> PlanReport:
    """Plan as `onepass.plan` does."""
    with open_session(job, progress, limits=limits) as session:
        return session.plan_report(session.plan())


def train_pending(
    job: Job | Mapping[str, Any],
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a part of a plan as `onepass.train_pending` does."""
    with open_session(job, progress, limits=SMALL) as session:
        session.train_pending(max_seconds=max_seconds)
        return session.report()
