"""Score a lake: write predictions as Parquet, one file for each file of the lake.

The rows keep their order. A manifest tells of which input and which version of the model each file
is, so scoring again writes only what is missing or outdated.
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel

from onepass.actions.cautions import interval_cautions
from onepass.actions.output_checks import refuse_output
from onepass.actions.outputs import open_output
from onepass.actions.planned_files import Wanted
from onepass.actions.score_run import ScoreRun
from onepass.environment import peak_rss_bytes
from onepass.errors import JobError
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.lake.tables.open import list_lake
from onepass.model.covariance import Errors
from onepass.model.directory import open_model
from onepass.model.intervals import AskedInterval, IntervalOf
from onepass.model.model import Model
from onepass.model.predictions import prediction_fields
from onepass.model.table_choice import table_choice
from onepass.model.versions import read_predictor
from onepass.stream.advised import advised
from onepass.survey.globs import expanded, is_pattern
from onepass.training.progress import Progress


class ScoreReport(BaseModel):
    """Outcome of scoring a lake."""

    model: str
    """Model directory."""
    model_id: str
    """Id of the model."""
    version: int
    """Version of the model that predicts."""
    asked: str
    """Name by which the version was asked for: `current`, `newest`, a tag or a number."""
    state_sha256: str
    """Digest of the state of the version."""
    out: str
    """Directory or URL of the predictions."""
    rows: int
    """Rows of all prediction files of the lake."""
    partitions: int
    """Prediction files that were written."""
    new_rows: int
    """Rows of the files that were written."""
    unchanged: int
    """Prediction files that were there already, and stay."""
    versions: dict[str, int]
    """Number of prediction files of the lake by the version that has written them."""
    left: list[str]
    """Prediction files in the output whose inputs are not in the lake."""
    pruned: list[str]
    """Such files that were removed."""
    seconds: float
    rows_per_second: float
    """Rows of all prediction files per second."""
    peak_rss_bytes: int


@advised("Repair the file or take it out of the lake, and score again: finished files are kept.")
def score(
    lake: str | list[str] | None,
    model: str | Path,
    out: str | Path,
    *,
    keep: list[str] | None = None,
    version: int | str | None = None,
    new_only: bool = False,
    prune: bool = False,
    version_column: str | None = None,
    interval: float | None = None,
    interval_of: IntervalOf = "mean",
    interval_errors: Errors | None = None,
    lake_version: int | None = None,
    lake_timestamp: str | None = None,
    as_files: bool | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Write a prediction for every row of a lake, in the columns of `prediction_fields`.

    Parameters
    ----------
    lake
        Directory, glob, file or list of files; labels are not needed. None for the lake that the
        model was trained on.
    model
        Model directory.
    out
        Output directory. Files have the names that they have in the lake; files of a list have
        their whole paths below `out`.
    keep
        Columns of the lake to copy beside the predictions, such as an id, or patterns such as
        ``id_*``, which are looked up in the first file.
    version
        See `Model.load`.
    new_only
        Keep files of unchanged inputs that an earlier version has written. By default a version
        that has moved rewrites all files.
    prune
        Remove prediction files of this model whose inputs are not in the lake.
    version_column
        Name of a column to write that holds the version of the model.
    interval
        Coverage, such as 0.95, of intervals to write as further columns, ``prediction_low`` and
        ``prediction_high``. They are null where a row has a value that no row learnt had. Those of
        a model with class weights are not those of the lake, and `progress` is warned.
    interval_of, interval_errors
        See `Model.predict_interval`.
    lake_version, lake_timestamp, as_files
        As in a job; the newest version of a table, and files or table as in training, by default.
    dask
        Address of a Dask scheduler; threads of this process by default.

    Raises
    ------
    ModelNotFound, JobError
        If there is no trained model, version or lake; if the model has no such intervals; if an
        output would lie in the lake, in the
        model directory or outside of `out`; if two files would have the same output; if two columns
        would have the same name.
    DataError
        If a file is bad.
    OutputTaken
        If another run begins to score to the same output in an object store.
    """
    began, progress = time.perf_counter(), progress or Progress()
    output = open_output(out)
    asked = None if interval is None else AskedInterval(interval, interval_of, interval_errors)
    job = open_model(model).file.job
    source = job.lake if lake is None else lake
    choice = table_choice(job, version=lake_version, timestamp=lake_timestamp, as_files=as_files)
    files = list_lake(source, choice)
    refuse_output(output, source, files, model)
    with output.exclusive(progress.noted) as waited:
        # A wait may take hours, in which files land and versions are trained.
        files = list_lake(source, choice) if waited else files
        wanted = _wanted(model, _kept(keep, files), version, version_column, asked)
        if asked is not None:
            for caution in interval_cautions(wanted.predictor.file):
                progress.noted(caution)
        run = ScoreRun(output, wanted, any_version=new_only, progress=progress)
        written = run.write(files, dask)
        pruned = run.prune() if prune else []
        manifest = run.finish()
    seconds = time.perf_counter() - began
    return ScoreReport(
        model=str(model),
        model_id=wanted.predictor.file.id,
        version=wanted.predictor.entry.version,
        asked=wanted.asked,
        state_sha256=wanted.predictor.entry.state.sha256,
        out=str(out),
        rows=manifest.rows,
        partitions=len(written),
        new_rows=sum(one.rows for one in written),
        unchanged=len(manifest.files) - len(written),
        versions=manifest.versions,
        left=sorted(manifest.others),
        pruned=pruned,
        seconds=seconds,
        rows_per_second=manifest.rows / seconds,
        peak_rss_bytes=peak_rss_bytes(),
    )


def _kept(keep: list[str] | None, files: list[LakeFile]) -> list[str]:
    """Return the columns to copy; the first file tells which ones a pattern matches."""
    if not keep or not any(map(is_pattern, keep)):
        return list(keep or ())
    return expanded(keep, read_footer(files[0]).schema.names, "keep")


def _wanted(
    model: str | Path,
    keep: list[str] | None,
    version: int | str | None,
    column: str | None,
    interval: AskedInterval | None,
) -> Wanted:
    """Load a version of the model, and check the columns to write."""
    asked = "current" if version is None else str(version)
    if interval is None:
        predictor, intervals = read_predictor(open_model(model), version), None
    else:
        loaded = Model.load(model, version)
        predictor, intervals = loaded.predictor, loaded.intervals(interval)
    fields = prediction_fields(predictor.file, intervals=interval is not None)
    taken = [field.name for field in fields]
    if again := sorted(set(keep or ()) & set(taken)):
        raise JobError(f"--keep names {again}, which the predictions are called")
    if column is not None and column in {*taken, *(keep or ())}:
        raise JobError(f"--version-column={column} names a column that is written already")
    return Wanted(predictor, tuple(keep or ()), column, asked, interval, intervals)
