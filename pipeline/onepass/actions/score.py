"""Score a lake: write predictions as Parquet, one file for each file of the lake.

The rows keep their order. A finished file holds the fingerprint of its input and the digest of the
model's state in its metadata, so scoring again writes only what is missing or outdated.
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel

from onepass.actions.output_checks import refuse_output
from onepass.actions.outputs import open_output
from onepass.actions.prediction_files import Scorer, is_current, plan_file, write_files
from onepass.environment import peak_rss_bytes
from onepass.errors import JobError, advised
from onepass.lake.discover import discover
from onepass.model.file import ModelFile
from onepass.model.model import Model
from onepass.model.predictions import prediction_fields
from onepass.stream.lake_groups import check_files
from onepass.stream.workers import Workers
from onepass.training.progress import Progress


class ScoreReport(BaseModel):
    """Outcome of scoring a lake."""

    model: str
    """Model directory."""
    version: int
    """Version of the model that predicts."""
    out: str
    """Directory or URL of the predictions."""
    rows: int
    """Rows of all prediction files."""
    partitions: int
    """Prediction files that were written."""
    unchanged: int
    """Prediction files that were there already, of this version and this input."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int


@advised("Repair the file or take it out of the lake, and score again: finished files are kept.")
def score(
    lake: str | list[str],
    model: str | Path,
    out: str | Path,
    *,
    keep: list[str] | None = None,
    version: int | str | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Write a prediction for every row of a lake, in the columns of `prediction_fields`.

    Parameters
    ----------
    lake
        Directory, glob, file or list of files; labels are not needed.
    model
        Model directory.
    out
        Output directory. Files have the names that they have in the lake; files of a list have
        their whole paths below `out`.
    keep
        Columns of the lake to copy beside the predictions, such as an id.
    version
        See `Model.load`.
    dask
        Address of a Dask scheduler; threads of this process by default.

    Raises
    ------
    ModelNotFound, JobError
        If there is no trained model or no such lake; if an output would lie in the lake, in the
        model directory or outside of `out`; if two files would have the same output; if a column to
        keep has the name of a prediction.
    DataError
        If a file is bad.
    """
    began, progress = time.perf_counter(), progress or Progress()
    predictor = Model.load(model, version).predictor
    output = open_output(out)
    reading = predictor.reading(label=False, keep=tuple(keep or ()))
    _refuse_taken_names(predictor.file, reading.keep)
    files = discover(lake)
    refuse_output(output, lake, files, model)
    with Workers(dask, mixed=True) as workers:
        checked = check_files(files, reading, workers)
        progress.started(len(checked.files), checked.n_rows)
        planned = [
            plan_file(file, checked.placed(file), predictor, reading.keep) for file in checked.files
        ]
        due = [one for one in planned if not is_current(output, one)]
        progress.advanced(checked.n_rows - sum(one.n_rows for one in due))
        scorer = Scorer(output, predictor, predictor.readers(checked, reading))
        write_files(due, scorer, workers, progress.advanced)
    seconds = time.perf_counter() - began
    return ScoreReport(
        model=str(model),
        version=predictor.entry.version,
        out=str(out),
        rows=checked.n_rows,
        partitions=len(due),
        unchanged=len(planned) - len(due),
        seconds=seconds,
        rows_per_second=checked.n_rows / seconds,
        peak_rss_bytes=peak_rss_bytes(),
    )


def _refuse_taken_names(file: ModelFile, keep: tuple[str, ...]) -> None:
    taken = sorted({field.name for field in prediction_fields(file)} & set(keep))
    if taken:
        raise JobError(f"--keep names {taken}, which the predictions are called")
