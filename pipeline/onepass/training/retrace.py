"""Learn the newest version of a model once more, and compare it with what the log says of it.

Nothing follows the newest entry that would seal it; its numbers can only be worked out again.
"""

from __future__ import annotations

from collections import Counter

from threadpoolctl import threadpool_limits

from onepass.errors import ForeignModel
from onepass.lake.discover import discover
from onepass.learn.metrics import Metrics
from onepass.ledger.entries import LearntEntry, RefineEntry, TrainEntry, digest
from onepass.model.directory import OpenModel
from onepass.stream.workers import Workers
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values
from onepass.training.run import Run


def retrace(model: OpenModel, lake: str | list[str] | None, progress: Progress) -> list[str]:
    """What of the newest version does not come out again; empty if all does.

    Parameters
    ----------
    lake
        Where the lake is now; by default where the model says.

    Raises
    ------
    ForeignModel
        If it is a refinement, or one lies between it and the newest sound state before it.
    DataError
        If a file that it has learnt is bad, gone or has changed.
    """
    learnt = model.ledger.history.learnt()
    if isinstance(learnt[-1], RefineEntry):
        raise ForeignModel("it is a refinement, and batch passes are not repeated by training")
    before = [entry for entry in learnt[:-1] if model.ledger.has_state(entry)]
    sound, trainee = model.newest_usable(before)
    job = model.file.job.model_copy(update={"dask": None})
    files = {file.key: file for file in discover(lake or job.lake)}
    with Workers(None) as workers, threadpool_limits(1, "blas"):
        run = Run(model, job, workers, progress, created=False, warnings=[])
        trainee = trainee or model.file.trainee(learnt[-1].state.size)
        found: tuple[Metrics, Counter[str]] | None = None
        for entry in learnt:
            if sound is None or entry.version > sound.version:
                found = run.retrain(trainee, entry, files)
                data = trainee.dump()
                trainee.restore(data, entry.state.key)
    assert found is not None
    return list(_differences(learnt[-1], digest(data), *found))


def _differences(
    entry: LearntEntry, sha256: str, metrics: Metrics, counts: Counter[str]
) -> list[str]:
    assert isinstance(entry, TrainEntry)
    pairs = {
        "state sha256": (entry.state.sha256, sha256),
        "rows": (entry.rows, metrics.n_rows),
        "loss": (entry.loss, finite(metrics.loss())),
        "metrics": (entry.metrics, finite_values(metrics)),
        "counts": (entry.counts, dict(counts)),
    }
    return [
        f"says {name} {was}, but learning it again gives {now}"
        for name, (was, now) in pairs.items()
        if was != now
    ]
