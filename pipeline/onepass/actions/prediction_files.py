"""Write the prediction file of each file of a lake: by tasks of whole files, or from here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.actions.manifest import ScoredFile, check_claim
from onepass.actions.outputs import Output, Stamp
from onepass.actions.planned_files import PlannedFile, Wanted, told
from onepass.errors import JobError
from onepass.model.predictions import interval_columns, prediction_columns
from onepass.model.predictor import predicted
from onepass.stream.fold import runs
from onepass.stream.readers import Readers
from onepass.stream.reading import Streamed
from onepass.stream.stop import Stopped
from onepass.stream.stream import stream
from onepass.stream.workers import Workers

_VISIBLE_SECONDS = 60.0
"""Longest time that a file which a worker has written stays unseen here: network file systems
remember for a while that a file was absent."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Reads with `readers`, predicts as `wanted`, and writes the files to `output`."""

    output: Output
    claim: Stamp
    """Identity of the manifest by which this run has claimed the output."""
    wanted: Wanted
    readers: Readers


def write_files(
    due: Sequence[PlannedFile], scorer: Scorer, workers: Workers, advanced: Callable[[int], None]
) -> dict[str, ScoredFile]:
    """Write prediction files, each of which appears when it is complete; return their entries.

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
    OutputTaken
        If another run has begun to write to the output.
    """
    found = runs(due, lambda one: one.n_rows)
    if not scorer.readers.suits_tasks([_n_rows(run) for run in found], workers):
        return _write_here(due, scorer, workers, advanced)
    written = _write_in_tasks(found, scorer, workers, advanced)
    if workers.is_cluster:
        _check_visible(written, scorer.output)
    return written


def _n_rows(run: Iterable[PlannedFile]) -> int:
    return sum(one.n_rows for one in run)


def _write_in_tasks(
    found: list[list[PlannedFile]],
    scorer: Scorer,
    workers: Workers,
    advanced: Callable[[int], None],
) -> dict[str, ScoredFile]:
    readers, entries = scorer.readers, dict[str, ScoredFile]()
    shared, n_ahead = replace(scorer, readers=readers.shared(workers)), readers.ahead(workers, 0)
    with closing(workers.each(write_run, shared, found, n_at_once=n_ahead)) as written:
        try:
            for run, stamps in zip(found, written, strict=True):
                entries |= {
                    one.name: _entry(one, stamp) for one, stamp in zip(run, stamps, strict=True)
                }
                advanced(_n_rows(run))
        finally:
            shared.readers.stop.set()
    return entries


def write_run(scorer: Scorer, run: list[PlannedFile]) -> list[Stamp]:
    """Write prediction files, reading and predicting block by block in this thread."""
    predict, stamps = _Predict(scorer.wanted), list[Stamp]()
    with suppress(Stopped):
        for planned in run:
            blocks = chain.from_iterable(map(scorer.readers.blocks_of, planned.parts))
            stamps.append(_write(planned, scorer, map(predict, blocks)))
    return stamps


def _write_here(
    due: Sequence[PlannedFile], scorer: Scorer, workers: Workers, advanced: Callable[[int], None]
) -> dict[str, ScoredFile]:
    readers, predict, entries = scorer.readers, _Predict(scorer.wanted), dict[str, ScoredFile]()
    groups = [part.group(readers.check) for one in due for part in one.parts]
    with closing(stream(groups, readers.reading, workers, predict)) as parts:
        for one in due:
            tables = chain.from_iterable(islice(parts, len(one.parts)))
            entries[one.name] = _entry(one, _write(one, scorer, tables, advanced))
    return entries


def _entry(planned: PlannedFile, stamp: Stamp) -> ScoredFile:
    return planned.entry.model_copy(update=stamp._asdict())


def _write(
    planned: PlannedFile,
    scorer: Scorer,
    tables: Iterable[pa.Table],
    advanced: Callable[[int], None] = lambda _: None,
) -> Stamp:
    """Write a file from the tables of its blocks; return its identity."""
    schema, output = planned.schema, scorer.output
    with output.replaced(planned.name) as staged:
        with pq.ParquetWriter(
            staged.path, schema, compression="zstd", use_dictionary=planned.coded
        ) as sink:
            for table in tables:
                sink.write_table(table.rename_columns(schema.names).cast(schema))
                advanced(table.num_rows)
        # Another run may have claimed the output since; it must not meet this file later.
        check_claim(output, scorer.claim)
    assert staged.stamp is not None
    return staged.stamp


@dataclass(frozen=True, slots=True)
class _Predict:
    """Predicts a block, as a table of the columns to keep, the predictions and the version."""

    wanted: Wanted

    def __call__(self, streamed: Streamed) -> pa.Table:
        predictor, columns = self.wanted.predictor, self._columns(streamed)
        kept = [] if streamed.kept is None else streamed.kept.columns
        found = [*kept, *columns]
        if self.wanted.version_column is not None:
            version = pa.scalar(predictor.entry.version, pa.int64())
            found.append(pa.repeat(version, len(columns[0])))
        return pa.table(found, names=[str(i) for i in range(len(found))])

    def _columns(self, streamed: Streamed) -> list[pa.Array]:
        predictor, intervals = self.wanted.predictor, self.wanted.intervals
        file, unit = predictor.file, predictor.unit
        if intervals is None:
            return prediction_columns(predicted(streamed.encoded, unit), file)
        found = intervals.predicted(streamed.encoded, unit)
        ends = interval_columns(found.low, found.high, file)
        return [*prediction_columns(found.predictions, file), *ends]


def _check_visible(written: dict[str, ScoredFile], output: Output) -> None:
    """Check that the files that workers wrote are seen here."""
    until = time.monotonic() + _VISIBLE_SECONDS
    for name, entry in written.items():
        while not is_there(output, name, entry):
            if time.monotonic() > until:
                raise JobError(
                    f"a worker wrote the predictions {name!r}, but they are not in "
                    f"{output.place!r} as it is seen here; choose an --out that this machine and "
                    "all workers see under the same path, or a URL"
                )
            time.sleep(0.1)


def is_there(output: Output, name: str, entry: ScoredFile) -> bool:
    """Return whether a prediction file that was written is in its place."""
    if entry.is_of(output.stamp(name)):
        return True
    # The clock of a network file system may be coarser than that of the worker.
    found = told(output, name, Stamp(entry.size, entry.changed))
    return found is not None and found.serves(entry, any_version=False)
