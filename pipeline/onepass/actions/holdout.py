"""Evaluate the version that a run has trained on the holdout of its job."""

from __future__ import annotations

from onepass.actions.evaluate import EvaluateReport, evaluate_version
from onepass.errors import BadPartition, first_line
from onepass.job import Job
from onepass.lake.discover import Lake, LakeFile
from onepass.lake.tables.table import TableChoice
from onepass.ledger.store import Store
from onepass.model.predictor import Predictor
from onepass.training.progress import Progress


def evaluate_holdout(
    predictor: Predictor,
    lake: Lake,
    job: Job,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> EvaluateReport | None:
    """Evaluate a version on the holdout of a job.

    A bad file of a rolling holdout is left out with a note, unless ``on_bad`` is ``error``: it is
    skipped or put in quarantine when its turn comes to be trained.

    Parameters
    ----------
    lake
        What `Session.holdout` has returned.
    store
        As for `evaluate_version`.

    Returns
    -------
    The report; None if every file is bad.

    Raises
    ------
    DataError
        If a file is bad, or there is no row with a label.
    """
    progress = progress or Progress()
    while True:
        try:
            return evaluate_version(
                predictor, lake, job.model,
                choice=TableChoice(as_files=job.as_files),
                store=store, dask=job.dask, progress=progress,
            )  # fmt: skip
        except BadPartition as error:
            files = [one for one in lake if isinstance(one, LakeFile)]
            if not files or job.on_bad == "error":
                raise
            progress.noted(f"not evaluated: {first_line(error)}")
            lake = [one for one in files if one.key != error.path]
            if not lake:
                return None
