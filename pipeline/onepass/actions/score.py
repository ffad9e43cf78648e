"""Score a lake: write predictions as Parquet, one file for each file of the lake.

The rows keep their order. A finished file holds the fingerprint of its input and the digest of the
model's state in its metadata, so scoring again writes only what is missing or outdated.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from onepass.actions.output_checks import output_name, refuse_output
from onepass.actions.outputs import Output, open_output
from onepass.environment import peak_rss_bytes
from onepass.errors import JobError, advised
from onepass.lake.discover import discover
from onepass.learn.unit import LabelUnit
from onepass.model.file import ModelFile
from onepass.model.model import Model
from onepass.model.predictions import prediction_columns, prediction_fields
from onepass.model.predictor import Predictor, predicted
from onepass.stream.lake_groups import CheckedFile, CheckedLake, check_files
from onepass.stream.reading import Reading, Streamed
from onepass.stream.stream import stream
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
    predictor = Model.load(model).predictor
    output = open_output(out)
    reading = predictor.reading(label=False, keep=tuple(keep or ()))
    _refuse_taken_names(predictor.file, reading.keep)
    files = discover(lake)
    refuse_output(output, lake, files, model)
    checked = check_files(files, reading)
    progress.started(len(checked.files), checked.n_rows)
    planned = [_plan_output(file, predictor, reading.keep) for file in checked.files]
    due = [one for one in planned if not _is_current(output, one)]
    progress.advanced(checked.n_rows - sum(one.file.fingerprint.rows for one in due))
    with Workers(dask, mixed=True) as workers:
        _score_files(due, checked, output, predictor, reading, workers, progress)
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


@dataclass(frozen=True, slots=True)
class _PlannedOutput:
    """A prediction file to write for a file of the lake."""

    file: CheckedFile
    name: str
    """Name of the prediction file in the output."""
    schema: pa.Schema
    """Columns, and metadata that tell whether the file is up to date."""
    coded: list[str]
    """Columns that the writer dictionary-encodes. Predicted numbers rarely repeat, and building a
    dictionary of them takes longer than writing them."""


def _plan_output(file: CheckedFile, predictor: Predictor, keep: tuple[str, ...]) -> _PlannedOutput:
    fields = prediction_fields(predictor.file)
    metadata = {
        "onepass.model": predictor.file.id,
        "onepass.state": predictor.entry.state.sha256,
        "onepass.input": file.fingerprint.content,
        "onepass.keep": ",".join(keep),
    }
    coded = [*file.kept, *(one for one in fields if one.type != pa.float64())]
    schema = pa.schema([*file.kept, *fields], metadata=metadata)
    return _PlannedOutput(file, output_name(file.key), schema, _parquet_columns(coded))


def _parquet_columns(fields: list[pa.Field]) -> list[str]:
    """Return the paths of the Parquet columns of fields; a nested field has several columns."""
    if not any(pa.types.is_nested(one.type) for one in fields):
        return [one.name for one in fields]
    empty = io.BytesIO()
    pq.write_table(pa.schema(fields).empty_table(), empty)
    schema = pq.ParquetFile(empty).schema
    return [schema.column(i).path for i in range(len(schema))]


def _refuse_taken_names(file: ModelFile, keep: tuple[str, ...]) -> None:
    taken = sorted({field.name for field in prediction_fields(file)} & set(keep))
    if taken:
        raise JobError(f"--keep names {taken}, which the predictions are called")


def _is_current(output: Output, planned: _PlannedOutput) -> bool:
    schema = output.schema(planned.name)
    metadata = (schema.metadata if schema is not None else None) or {}
    return all(metadata.get(key) == value for key, value in planned.schema.metadata.items())


def _score_files(
    due: list[_PlannedOutput],
    checked: CheckedLake,
    output: Output,
    predictor: Predictor,
    reading: Reading,
    workers: Workers,
    progress: Progress,
) -> None:
    groups_of = [checked.groups(one.file) for one in due]
    predict = partial(_predict, predictor.file, predictor.unit)
    parts = stream([one for groups in groups_of for one in groups], reading, workers, predict)
    for one, groups in zip(due, groups_of, strict=True):
        with (
            output.replaced(one.name) as staged,
            pq.ParquetWriter(
                staged, one.schema, compression="zstd", use_dictionary=one.coded
            ) as sink,
        ):
            for tables in islice(parts, len(groups)):
                for table in tables:
                    sink.write_table(table.rename_columns(one.schema.names).cast(one.schema))
                    progress.advanced(table.num_rows)


def _predict(file: ModelFile, unit: LabelUnit, streamed: Streamed) -> pa.Table:
    columns = prediction_columns(predicted(streamed.encoded, unit), file)
    kept = [] if streamed.kept is None else streamed.kept.columns
    found = [*kept, *columns]
    return pa.table(found, names=[str(i) for i in range(len(found))])
