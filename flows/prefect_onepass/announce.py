"""Announce a run of the train flow: send its events, and name the model as an asset."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

from prefect.assets.core import MAX_ASSET_DESCRIPTION_LENGTH
from prefect.cache_policies import NO_CACHE
from prefect.events import Event
from prefect.tasks import Task

from onepass.actions.publish import Publication
from onepass.cloud.url import is_url
from onepass.errors import VersionRefused, first_line
from onepass.job import Job
from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, TrainEntry
from onepass.ledger.tag_entry import CURRENT
from onepass.model.directory import OpenModel
from onepass.training.progress import Progress
from prefect_onepass.assets import materializing
from prefect_onepass.events import (
    Subject,
    model_quarantined,
    model_refused,
    model_updated,
    partition_trained,
)
from prefect_onepass.outcome import Outcome
from prefect_onepass.sending import Sends, emit


class TrainedRounds(Progress):
    """Sends an event for each committed round; use it as a context manager.

    Rounds that follow each other quickly share an event. The end of the context sends what waits.

    Parameters
    ----------
    subject
        The model that is trained.
    background
        Sends the events.
    seconds
        Least time between two events.
    clock
        Returns the time in seconds.
    n_beside
        Models of the run. The events of each of several are rarer, so that they take no more calls.
    """

    def __init__(
        self,
        subject: Subject,
        background: Sends,
        *,
        seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        n_beside: int = 1,
    ) -> None:
        self._subject, self._background = subject, background
        self._seconds, self._clock = seconds * n_beside, clock
        self._waiting: list[TrainEntry] = []
        self._sent = -math.inf

    def __enter__(self) -> TrainedRounds:
        return self

    def __exit__(self, *exc: object) -> None:
        self._flush()

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Send the event of a round, unless another one was sent just before."""
        if isinstance(entry, TrainEntry):
            self._waiting.append(entry)
            if self._clock() - self._sent >= self._seconds:
                self._flush()

    def _flush(self) -> None:
        if self._waiting:
            entries, self._waiting = self._waiting, []
            self._sent = self._clock()
            emit(partition_trained(self._subject, entries), self._background)


def subject(model: OpenModel, job: Job) -> Subject:
    """Return the model of a run, as events name it."""
    path = model.path if is_url(model.path) else os.path.abspath(model.path)
    return Subject(model.file.id, path, job.label, job.lake)


def updated(outcome: Outcome) -> Event:
    """Return the event of a run that has published a version."""
    trained, version = outcome.trained, _version(outcome)
    tags = outcome.model.ledger.tags.named()
    own = {name for name, tag in tags.items() if tag.version == version}
    return model_updated(
        subject(outcome.model, outcome.job),
        version=version,
        state_sha256=trained.state_sha256,
        partitions=trained.partitions,
        rows=trained.rows,
        loss=trained.loss,
        constant_loss=trained.metrics.get("constant_loss"),
        holdout_loss=None if outcome.holdout is None else outcome.holdout.loss,
        seconds=trained.seconds,
        tags=sorted({CURRENT, *own}),
    )


def refused(outcome: Outcome, error: VersionRefused) -> Event:
    """Return the event of a version that the guard has refused."""
    judgement = error.outcome.judgement if isinstance(error.outcome, Publication) else None
    return model_refused(
        subject(outcome.model, outcome.job),
        version=error.version,
        current=error.current,
        by="nothing" if judgement is None else judgement.by,
        loss=None if judgement is None else judgement.loss,
        limit=None if judgement is None else judgement.limit,
        current_loss=None if judgement is None else judgement.current_loss,
        reason=first_line(error),
    )


def quarantined(outcome: Outcome) -> Event:
    """Return the event of the files that a run has put in quarantine."""
    return model_quarantined(
        subject(outcome.model, outcome.job),
        version=outcome.trained.version,
        files=[(one.path, one.reason) for one in outcome.trained.quarantined],
    )


def publishing(outcome: Outcome, publish: Callable[[], str]) -> Callable[[], str]:
    """Return the task that publishes a run; Prefect sees in it that the model was made.

    A run that has only skipped partitions has made nothing.
    """
    options: dict[str, Any] = {"name": "publish", "cache_policy": NO_CACHE}
    if not outcome.trained.partitions:
        return Task(publish, **options)
    return materializing(
        publish,
        model=outcome.model.path,
        lake=outcome.job.lake,
        describe=lambda _: _metadata(outcome),
        description=_description(outcome),
        **options,
    )


def _metadata(outcome: Outcome) -> dict[str, Any]:
    payload = {name: value for name, value in updated(outcome).payload.items() if name != "tags"}
    # The snapshot of the lake: the log names each partition with its size and digest.
    return payload | {"snapshot": f"log/{_version(outcome):020d}.json"}


def _version(outcome: Outcome) -> int:
    """Return the newest version that has learnt; a plan or a skip may follow it in the log."""
    learnt = outcome.model.ledger.history.newest_states(1)
    return learnt[-1].version if learnt else outcome.trained.version


def _description(outcome: Outcome) -> str:
    trained = outcome.trained
    loss = "" if trained.loss is None else f", progressive loss {trained.loss:.4g}"
    text = (
        f"Predicts {outcome.job.label}: version {_version(outcome)}, {trained.rows:,} rows{loss}."
    )
    return text[:MAX_ASSET_DESCRIPTION_LENGTH]
