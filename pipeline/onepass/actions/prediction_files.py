"""Write the prediction file of each file of a lake: by tasks that write whole files, or from here.

A finished file holds the fingerprint of its input and the digest of the model's state in its
metadata, which tell whether it is up to date.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.actions.output_checks import output_name
from onepass.actions.outputs import Output
from onepass.errors import JobError
from onepass.model.predictions import prediction_columns, prediction_fields
from onepass.model.predictor import Predictor, predicted
from onepass.stream.fold import runs
from onepass.stream.lake_groups import CheckedFile
from onepass.stream.readers import Placed, Readers
from onepass.stream.reading import Streamed
from onepass.stream.stop import Stopped
from onepass.stream.stream import stream
from onepass.stream.workers import Workers

_VISIBLE_SECONDS = 60.0
"""Longest time that a file which a worker has written stays unseen here: network file systems
remember for a while that a file was absent."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A prediction file to write for a file of the lake."""

    name: str
    """Name of the prediction file in the output."""
    schema: pa.Schema
    """Columns, and metadata that tell whether the file is up to date."""
    coded: list[str]
    """Columns that the writer dictionary-encodes. Predicted numbers rarely repeat, and building a
    dictionary of them takes longer than writing them."""
    parts: list[Placed]
    """Partitions of the file of the lake, in stored order."""
    n_rows: int


def plan_file(
    file: CheckedFile, parts: list[Placed], predictor: Predictor, keep: tuple[str, ...]
) -> PlannedFile:
    """Plan the prediction file of a file of the lake.

    Parameters
    ----------
    parts
        Partitions of the file, in stored order.
    keep
        Columns to copy beside the predictions.
    """
    fields = prediction_fields(predictor.file)
    metadata = {
        "onepass.model": predictor.file.id,
        "onepass.state": predictor.entry.state.sha256,
        "onepass.input": file.fingerprint.content,
        "onepass.keep": ",".join(keep),
    }
    coded = [*file.kept, *(one for one in fields if one.type != pa.float64())]
    schema = pa.schema([*file.kept, *fields], metadata=metadata)
    columns, n_rows = _parquet_columns(coded), file.fingerprint.rows
    return PlannedFile(output_name(file.key), schema, columns, parts, n_rows)


def _parquet_columns(fields: list[pa.Field]) -> list[str]:
    """Return the paths of the Parquet columns of fields; a nested field has several columns."""
    if not any(pa.types.is_nested(one.type) for one in fields):
        return [one.name for one in fields]
    empty = io.BytesIO()
    pq.write_table(pa.schema(fields).empty_table(), empty)
    schema = pq.ParquetFile(empty).schema
    return [schema.column(i).path for i in range(len(schema))]


def is_current(output: Output, planned: PlannedFile) -> bool:
    """Return whether the file is there, of this version of the model and this input."""
    schema = output.schema(planned.name)
    metadata = (schema.metadata if schema is not None else None) or {}
    return all(metadata.get(key) == value for key, value in planned.schema.metadata.items())


@dataclass(frozen=True, slots=True)
class Scorer:
    """Reads with `readers`, predicts with `predictor`, and writes the files to `output`."""

    output: Output
    predictor: Predictor
    readers: Readers


def write_files(
    due: Sequence[PlannedFile], scorer: Scorer, workers: Workers, advanced: Callable[[int], None]
) -> None:
    """Write prediction files, each of which appears when it is complete.

    Each task writes a run of whole files; on a cluster the worker writes them. In threads of this
    process, tasks predict one block instead, and the files are written here, if runs would leave
    some threads without work. The files are the same.

    Parameters
    ----------
    advanced
        Called with the number of rows of each block or run that has been written.

    Raises
    ------
    DataError
        If a file of the lake is bad.
    JobError
        If a worker wrote a file that is not seen here.
    """
    found = runs(due, lambda one: one.n_rows)
    if not scorer.readers.suits_tasks([_n_rows(run) for run in found], workers):
        _write_here(due, scorer, workers, advanced)
        return
    _write_in_tasks(found, scorer, workers, advanced)
    if workers.is_cluster:
        _check_visible(due, scorer.output)


def _n_rows(run: Iterable[PlannedFile]) -> int:
    return sum(one.n_rows for one in run)


def _write_in_tasks(
    found: list[list[PlannedFile]],
    scorer: Scorer,
    workers: Workers,
    advanced: Callable[[int], None],
) -> None:
    readers = scorer.readers
    shared, n_ahead = replace(scorer, readers=readers.shared(workers)), readers.ahead(workers, 0)
    with closing(workers.each(write_run, shared, found, n_at_once=n_ahead)) as written:
        try:
            for run, _ in zip(found, written, strict=True):
                advanced(_n_rows(run))
        finally:
            shared.readers.stop.set()


def write_run(scorer: Scorer, run: list[PlannedFile]) -> None:
    """Write prediction files, reading and predicting block by block in this thread."""
    predict = _Predict(scorer.predictor)
    with suppress(Stopped):
        for planned in run:
            blocks = chain.from_iterable(map(scorer.readers.blocks_of, planned.parts))
            for _ in _written(planned, scorer.output, map(predict, blocks)):
                pass


def _write_here(
    due: Sequence[PlannedFile], scorer: Scorer, workers: Workers, advanced: Callable[[int], None]
) -> None:
    readers, predict = scorer.readers, _Predict(scorer.predictor)
    groups = [part.group(readers.check) for one in due for part in one.parts]
    with closing(stream(groups, readers.reading, workers, predict)) as parts:
        for one in due:
            tables = chain.from_iterable(islice(parts, len(one.parts)))
            for n_rows in _written(one, scorer.output, tables):
                advanced(n_rows)


def _written(planned: PlannedFile, output: Output, tables: Iterable[pa.Table]) -> Iterator[int]:
    """Write a file from the tables of its blocks; yield the number of rows of each."""
    schema = planned.schema
    with (
        output.replaced(planned.name) as staged,
        pq.ParquetWriter(staged, schema, compression="zstd", use_dictionary=planned.coded) as sink,
    ):
        for table in tables:
            sink.write_table(table.rename_columns(schema.names).cast(schema))
            yield table.num_rows


@dataclass(frozen=True, slots=True)
class _Predict:
    """Predicts a block, as a table of the columns to keep and the predictions."""

    predictor: Predictor

    def __call__(self, streamed: Streamed) -> pa.Table:
        file, unit = self.predictor.file, self.predictor.unit
        columns = prediction_columns(predicted(streamed.encoded, unit), file)
        kept = [] if streamed.kept is None else streamed.kept.columns
        found = [*kept, *columns]
        return pa.table(found, names=[str(i) for i in range(len(found))])


def _check_visible(written: Sequence[PlannedFile], output: Output) -> None:
    """Check that the files that workers wrote are seen here."""
    until = time.monotonic() + _VISIBLE_SECONDS
    for one in written:
        while not is_current(output, one):
            if time.monotonic() > until:
                raise JobError(
                    f"a worker wrote the predictions {one.name!r}, but they are not in "
                    f"{output.place!r} as it is seen here; choose an --out that this machine and "
                    "all workers see under the same path, or a URL"
                )
            time.sleep(0.1)
