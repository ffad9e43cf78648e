"""What a run of the train flow announces: its events, and the model as an asset."""

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

from onepass.cloud.url import is_url
from onepass.errors import VersionRefused
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
    """

    def __init__(
        self,
        subject: Subject,
        background: Sends,
        *,
        seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subject, self._background = subject, background
        self._seconds, self._clock = seconds, clock
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


def announce(outcome: Outcome, background: Sends) -> None:
    """Send the events of the end of a run: the version it has published, the files set aside."""
    if files := outcome.trained.quarantined:
        about = subject(outcome.model, outcome.job)
        pairs = [(one.path, one.reason) for one in files]
        emit(model_quarantined(about, version=outcome.trained.version, files=pairs), background)
    publication = outcome.publication
    if publication is None or publication.version is None:
        return
    # Where no tag has ever been set, predictions use what is trained at once.
    is_used = publication.outcome == "unchanged" and outcome.trained.partitions
    if publication.outcome == "published" or is_used:
        emit(updated(outcome, publication.version), background)


def announce_refusal(outcome: Outcome, refused: VersionRefused, background: Sends) -> None:
    """Send the event of a version that the guard has refused."""
    judgement = getattr(refused.outcome, "judgement", None)
    emit(
        model_refused(
            subject(outcome.model, outcome.job),
            version=refused.version,
            current=refused.current,
            by=judgement.by if judgement else "nothing",
            loss=judgement.loss if judgement else None,
            limit=judgement.limit if judgement else None,
            current_loss=judgement.current_loss if judgement else None,
            reason=judgement.reason if judgement else str(refused).splitlines()[0],
        ),
        background,
    )


def updated(outcome: Outcome, version: int) -> Event:
    """Return the event of a run that has published a version."""
    trained = outcome.trained
    tags = outcome.model.ledger.tags.named()
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
        tags=sorted({CURRENT, *(name for name, tag in tags.items() if tag.version == version)}),
    )


def publishing(outcome: Outcome, publish: Callable[[], None]) -> Callable[[], None]:
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
    event = updated(outcome, outcome.trained.version)
    payload = {name: value for name, value in event.payload.items() if name != "tags"}
    # The snapshot of the lake: the log names each partition with its size and digest.
    return payload | {"snapshot": f"log/{outcome.trained.version:020d}.json"}


def _description(outcome: Outcome) -> str:
    trained = outcome.trained
    loss = "" if trained.loss is None else f", progressive loss {trained.loss:.4g}"
    text = f"Predicts {outcome.job.label}: version {trained.version}, {trained.rows:,} rows{loss}."
    return text[:MAX_ASSET_DESCRIPTION_LENGTH]
