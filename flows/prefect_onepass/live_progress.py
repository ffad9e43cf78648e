"""A ring in the run page that shows how far training has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from prefect import runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    ArtifactFilterType,
)
from prefect.client.schemas.objects import Artifact

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry
from onepass.model.directory import OpenModel
from onepass.text import counted
from onepass.training.progress import Progress
from prefect_onepass.artifacts import artifact_key
from prefect_onepass.background import Background
from prefect_onepass.figures import duration
from prefect_onepass.names import model_name
from prefect_onepass.pace import Pace

_UPDATE_SECONDS = 3.0
"""Least time in seconds between two updates of the rings of a run."""

_DONE = 100.0


class LiveProgress(Progress):
    """Shows the percent of the rows that are trained; use it as a context manager.

    The ring appears when there is something to train, so a quiet run has none. It ends at 100. If
    the context ends by an error, the ring is removed: a ring that stands still looks like a run
    that goes on.

    Parameters
    ----------
    background
        Makes the calls.
    model
        The model that is trained.
    clock
        Returns the time in seconds.
    n_beside
        Rings of the run. Each of several moves more rarely, so that they take no more calls.
    """

    def __init__(
        self,
        background: Background,
        model: OpenModel,
        clock: Callable[[], float] = time.monotonic,
        *,
        n_beside: int = 1,
    ) -> None:
        self._background, self._clock = background, clock
        self._seconds = _UPDATE_SECONDS * n_beside
        self._key = artifact_key("progress", model.path, model.file.id)
        self._name = model_name(model.path)
        self._pace = Pace(clock)
        self._artifact: UUID | None = None
        self._is_there = self._is_waiting = False
        self._last_update = float("-inf")

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is not None:
            self.remove()
        elif self._is_there:
            self._background.send("the progress", self._finish)

    def remove(self) -> None:
        """Remove the ring of a model that has stopped."""
        if self._is_there:
            self._is_there = False
            self._background.send("the progress", self._delete)

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Create the ring, if there is anything to train."""
        self._pace.started(n_partitions, n_rows)
        if n_partitions and not self._is_there:
            self._is_there = True
            self._background.send("the progress", self._create)

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Move the ring."""
        self._pace.committed(entry)
        now = self._clock()
        # The call reads the newest numbers, so one that waits for the server is enough.
        if self._is_waiting or now - self._last_update < self._seconds:
            return
        self._is_waiting, self._last_update = True, now
        self._background.send("the progress", self._update)

    def _create(self) -> None:
        remove_progress(key=self._key)
        if self._artifact is None:
            created = create_progress_artifact(0.0, key=self._key, description=self._described())
            # In a flow that is not async, the call is synchronous and returns the id.
            assert isinstance(created, UUID)
            self._artifact = created

    def _update(self) -> None:
        self._is_waiting = False
        self._show(self._pace.percent)

    def _finish(self) -> None:
        self._show(_DONE)

    def _show(self, percent: float) -> None:
        if self._artifact is not None:
            update_progress_artifact(self._artifact, percent, description=self._described())

    def _delete(self) -> None:
        if self._artifact is not None:
            with get_client(sync_client=True) as client:
                client.delete_artifact(self._artifact)

    def _described(self) -> str:
        pace = self._pace
        parts = [f"{pace.n_done:,} of {counted(pace.n_total, 'partition')}"]
        # A page shows the first words only, so what people look for comes first.
        if pace.n_done < pace.n_total and pace.seconds_left is not None:
            parts.append(f"about {duration(pace.seconds_left)} left")
            parts.append(f"{pace.rows_per_second:,.0f} rows/s")
        parts.append(f"{pace.n_rows:,} of {counted(pace.total_rows, 'row')} of {self._name}")
        return ", ".join(parts)


def remove_progress(*, key: str | None = None, flow_run_id: UUID | str | None = None) -> int:
    """Remove the rings that stand still, of one model or of one flow run; return their number.

    A process that is killed cannot remove its ring. The next run of the model does, or a hook that
    runs in another process.

    Parameters
    ----------
    key
        Key of the model's ring.
    flow_run_id
        A flow run that has ended.
    """
    wanted = ArtifactFilter(
        type=ArtifactFilterType(any_=["progress"]),
        key=ArtifactFilterKey(any_=[key] if key else None, like_=None if key else "onepass-%"),
    )
    if flow_run_id:
        wanted.flow_run_id = ArtifactFilterFlowRunId(any_=[UUID(str(flow_run_id))])
    # The next run of a model has a ring of its own, which goes on.
    mine = None if flow_run_id else runtime.flow_run.id
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
        still = [one for one in found if not _is_done(one) and str(one.flow_run_id) != mine]
        for one in still:
            client.delete_artifact(one.id)
    return len(still)


def _is_done(artifact: Artifact) -> bool:
    return isinstance(artifact.data, int | float) and artifact.data >= _DONE
