"""What a run of the train flow announces: its events, and the model as an asset."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect.events import Event

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, TrainEntry
from onepass.training.progress import Progress
from prefect_onepass.events import Subject, model_updated, partition_trained
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


def subject_of(outcome: Outcome) -> Subject:
    """Return the model that a run has trained, as events name it."""
    job = outcome.job
    return Subject(outcome.model_id, job.model, job.label, job.lake)


def updated(outcome: Outcome, tags: Sequence[str] = ("current",)) -> Event:
    """Return the event of a run that has trained and published a version.

    Parameters
    ----------
    tags
        Tags that point to the version now.
    """
    trained = outcome.trained
    return model_updated(
        subject_of(outcome),
        version=trained.version,
        state_sha256=trained.state_sha256,
        partitions=trained.partitions,
        rows=trained.rows,
        loss=trained.loss,
        constant_loss=trained.metrics.get("constant_loss"),
        holdout_loss=None if outcome.holdout is None else outcome.holdout.loss,
        seconds=trained.seconds,
        tags=tags,
    )


def asset_metadata(outcome: Outcome) -> Mapping[str, Any]:
    """Return what Prefect shows with a materialization of the model."""
    payload = updated(outcome).payload
    # The snapshot of the lake: the log entry of the version names each partition and its digest.
    return {name: value for name, value in payload.items() if name != "tags"} | {
        "snapshot": f"log/{outcome.trained.version:020d}.json"
    }


def asset_description(outcome: Outcome) -> str:
    """Return the text that Prefect shows for the asset, from before the task of publishing."""
    trained = outcome.trained
    loss = "" if trained.loss is None else f", progressive loss {trained.loss:.6g}"
    return f"Predicts {outcome.job.label}. Version {trained.version}, {trained.rows:,} rows{loss}."
