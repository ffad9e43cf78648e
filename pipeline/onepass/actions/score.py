"""Score a lake: predictions as Parquet, one file per file of the lake, in the order of its rows.

A finished file carries the fingerprint of its input and the state of the model in its metadata, so
that scoring again does only what is missing or outdated. Files appear when they are complete.
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
from threadpoolctl import threadpool_limits

from onepass.actions.outputs import Output, open_output, resolved
from onepass.environment import peak_rss_bytes
from onepass.errors import JobError, advised
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import Footer, partitions, read_footer
from onepass.lake.rotation import Source
from onepass.learn.unit import LabelUnit
from onepass.model.directory import ModelFile
from onepass.model.model import Model
from onepass.model.predictions import prediction_columns, prediction_fields
from onepass.model.predictor import Predictor, predicted
from onepass.partition import Partition
from onepass.stream.check_columns import check_columns
from onepass.stream.stream import Reading, Streamed, Together, streams
from onepass.stream.workers import Workers
from onepass.training.progress import Progress


class ScoreReport(BaseModel):
    """What was scored."""

    model: str
    version: int
    out: str
    """Where the predictions are."""
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
        Output directory; files have the names they have in the lake, those of a list their whole
        paths below it.
    keep
        Columns of the lake to copy beside the predictions, such as an id.
    dask
        Address of a Dask scheduler; threads of this process by default.

    Raises
    ------
    ModelNotFound, JobError
        If there is no trained model or no such lake, the output would fall into the lake, into the
        model or out of its directory, two files would have the same one, or a column to keep has
        the name of a prediction.
    DataError
        If a file is bad.
    """
    began, progress = time.perf_counter(), progress or Progress()
    predictor = Model.load(model).predictor
    files, output = discover(lake), open_output(out)
    _refuse_lake_as_output(lake, files, output)
    _refuse_names_outside_or_shared(files, output)
    _refuse_model_as_output(model, output)
    _refuse_taken_names(predictor.file, keep or [])
    reading = predictor.reading(label=False, keep=tuple(keep or ()))
    footers = [read_footer(file) for file in files]
    for file, footer in zip(files, footers, strict=True):
        check_columns(file, footer, predictor.file.encoder, label=False, keep=reading.keep)
    rows = sum(footer.fingerprint.rows for footer in footers)
    progress.started(len(files), rows)
    planned = [_due(*one, predictor, reading.keep) for one in zip(files, footers, strict=True)]
    due = [one for one in planned if not _is_current(output, one)]
    progress.advanced(rows - sum(one.footer.fingerprint.rows for one in due))
    with Workers(dask) as workers, threadpool_limits(1, "blas"):
        _score_files(due, output, predictor, reading, workers, progress)
    seconds = time.perf_counter() - began
    return ScoreReport(
        model=str(model),
        version=predictor.entry.version,
        out=str(out),
        rows=rows,
        partitions=len(due),
        unchanged=len(files) - len(due),
        seconds=seconds,
        rows_per_second=rows / seconds,
        peak_rss_bytes=peak_rss_bytes(),
    )


@dataclass(frozen=True, slots=True)
class _Due:
    """A file to score."""

    file: LakeFile
    footer: Footer
    name: str
    """Of the output."""
    note: dict[str, str]
    schema: pa.Schema
    coded: list[str]
    """Columns of the output to look for repeated values in. Predicted numbers are mostly different,
    unless all features are categories, and looking took four times as long as writing them."""
    partitions: list[Partition]


def _due(file: LakeFile, footer: Footer, predictor: Predictor, keep: tuple[str, ...]) -> _Due:
    note = _note(predictor, footer, keep)
    kept = [footer.schema.field(name) for name in keep if name in footer.schema.names]
    fields = prediction_fields(predictor.file)
    schema = pa.schema([*kept, *fields], metadata=note)
    coded = _paths([*kept, *(one for one in fields if one.type != pa.float64())])
    return _Due(file, footer, _name(file), note, schema, coded, list(partitions(file, footer)))


def _paths(fields: list[pa.Field]) -> list[str]:
    """How Parquet calls the columns of some fields, of which a nested one has several."""
    if not any(pa.types.is_nested(one.type) for one in fields):
        return [one.name for one in fields]
    empty = io.BytesIO()
    pq.write_table(pa.schema(fields).empty_table(), empty)
    schema = pq.ParquetFile(empty).schema
    return [schema.column(i).path for i in range(len(schema))]


def _name(file: LakeFile) -> str:
    # A listed file is known by its absolute path; below the output it keeps all of it but the root.
    return file.key.replace("://", "/").lstrip("/")


def _refuse_lake_as_output(lake: str | list[str], files: list[LakeFile], out: Output) -> None:
    place, root = resolved(out.place), None if isinstance(lake, list) else resolved(lake)
    below = root is not None and _is_within(place, root)
    if below or any(out.location(_name(file)) == _resolved(file) for file in files):
        raise JobError(
            f"--out {out.place!r} lies in the lake, where predictions would be taken for rows; "
            "choose another directory"
        )


def _resolved(file: LakeFile) -> str:
    return resolved(file.location) if file.remote is None else file.location


def _refuse_names_outside_or_shared(files: list[LakeFile], out: Output) -> None:
    taken: dict[str, LakeFile] = {}
    for file in files:
        name = _name(file)
        if ".." in name.split("/"):
            raise JobError(
                f"the predictions for {file.location!r} would be {name!r}, outside of "
                f"--out {out.place!r}; name the file without '..'"
            )
        other = taken.setdefault(name, file)
        if other is not file:
            raise JobError(
                f"the predictions for {other.location!r} and {file.location!r} would both be "
                f"{name!r} in --out {out.place!r}; score them into two directories"
            )


def _refuse_model_as_output(model: str | Path, out: Output) -> None:
    if _is_within(resolved(out.place), resolved(str(model))):
        raise JobError(
            f"--out {out.place!r} lies in the model directory, which holds nothing but its model; "
            "choose another directory"
        )


def _is_within(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")


def _refuse_taken_names(file: ModelFile, keep: list[str]) -> None:
    taken = sorted({field.name for field in prediction_fields(file)} & set(keep))
    if taken:
        raise JobError(f"--keep names {taken}, which the predictions are called")


def _note(predictor: Predictor, footer: Footer, keep: tuple[str, ...]) -> dict[str, str]:
    return {
        "onepass.model": predictor.file.id,
        "onepass.state": predictor.entry.state.sha256,
        "onepass.input": footer.fingerprint.content,
        "onepass.keep": ",".join(keep),
    }


def _is_current(output: Output, one: _Due) -> bool:
    schema = output.schema(one.name)
    metadata = (schema.metadata if schema is not None else None) or {}
    return all(metadata.get(key.encode()) == value.encode() for key, value in one.note.items())


def _score_files(
    due: list[_Due],
    output: Output,
    predictor: Predictor,
    reading: Reading,
    workers: Workers,
    progress: Progress,
) -> None:
    groups = [
        Together(partial(_source, one, partition)) for one in due for partition in one.partitions
    ]
    predict = partial(_predictions, predictor.file, predictor.unit)
    parts = streams(groups, reading, workers, predict)
    for one in due:
        with (
            output.replaced(one.name) as staged,
            pq.ParquetWriter(
                staged, one.schema, compression="zstd", use_dictionary=one.coded
            ) as sink,
        ):
            for tables in islice(parts, len(one.partitions)):
                for table in tables:
                    sink.write_table(table.rename_columns(one.schema.names).cast(one.schema))
                    progress.advanced(table.num_rows)


def _source(one: _Due, partition: Partition) -> list[Source]:
    return [Source(partition, one.file, one.footer)]


def _predictions(file: ModelFile, unit: LabelUnit, streamed: Streamed) -> pa.Table:
    columns = prediction_columns(predicted(streamed.encoded, unit), file)
    kept = [] if streamed.kept is None else streamed.kept.columns
    found = [*kept, *columns]
    return pa.table(found, names=[str(i) for i in range(len(found))])
