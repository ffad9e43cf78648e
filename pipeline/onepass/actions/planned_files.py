"""Plan the prediction file of each file of a lake, and tell whether it is there already.

A finished file holds the fingerprint of its input and the digest of the model's state in its
metadata. The manifest of the output holds the same, so that most files need not be opened.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.actions.manifest import ScoredFile, column_key
from onepass.actions.output_checks import output_name
from onepass.actions.outputs import Output, Stamp
from onepass.lake.discover import LakeFile
from onepass.model.intervals import AskedInterval, Intervals
from onepass.model.predictions import prediction_fields
from onepass.model.predictor import Predictor
from onepass.stream.lake_groups import CheckedFile
from onepass.stream.readers import Placed
from onepass.stream.reading import Reading

_INPUT, _MODEL, _STATE, _KEEP = "onepass.input", "onepass.model", "onepass.state", "onepass.keep"
_VERSION, _ASKED, _COLUMN = "onepass.version", "onepass.asked", "onepass.version_column"
_INTERVAL = "onepass.interval"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The predictions that a run writes."""

    predictor: Predictor
    keep: tuple[str, ...]
    """Columns to copy beside the predictions."""
    version_column: str | None
    """Column for the model's version, if there is to be one."""
    asked: str
    """Name by which the version was asked for: `current`, `newest`, a tag or a number."""
    interval: AskedInterval | None = None
    """Intervals to write beside the predictions, if there are to be any."""
    intervals: Intervals | None = None
    """Predicts rows with intervals; None if none are written."""

    def reading(self) -> Reading:
        """Return the settings that read the rows."""
        has_intervals = self.intervals is not None
        return self.predictor.reading(label=False, keep=self.keep, features=has_intervals)

    def interval_text(self) -> str | None:
        """Return the intervals in the words of a file's metadata."""
        return None if self.interval is None else str(self.interval)

    def file(self, content: str, n_rows: int) -> ScoredFile:
        """Return the entry of the prediction file of an input, before the file is there."""
        entry = self.predictor.entry
        return ScoredFile(
            version=entry.version,
            rows=n_rows,
            size=0,
            changed="",
            input=content,
            model=self.predictor.file.id,
            state=entry.state.sha256,
            columns=column_key(",".join(self.keep), self.version_column, self.interval_text()),
        )


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A prediction file to write for a file of the lake."""

    name: str
    """Name of the prediction file in the output."""
    entry: ScoredFile
    """Entry for the manifest, without the identity of the finished file."""
    schema: pa.Schema
    """Columns, and metadata that tell whether the file is up to date."""
    coded: list[str]
    """Columns that the writer dictionary-encodes. Predicted numbers rarely repeat, and building a
    dictionary of them takes longer than writing them."""
    parts: list[Placed]
    """Partitions of the file of the lake, in stored order."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.entry.rows


def plan_file(file: CheckedFile, parts: list[Placed], wanted: Wanted) -> PlannedFile:
    """Plan the prediction file of a file of the lake.

    Parameters
    ----------
    parts
        Partitions of the file, in stored order.
    """
    model, version = wanted.predictor.file, wanted.predictor.entry.version
    interval = wanted.interval_text()
    fields = prediction_fields(model, intervals=interval is not None)
    if wanted.version_column is not None:
        fields.append(pa.field(wanted.version_column, pa.int64()))
    entry = wanted.file(file.fingerprint.content, file.n_rows)
    metadata = {
        _MODEL: entry.model,
        _VERSION: str(version),
        _STATE: entry.state,
        _INPUT: entry.input,
        _KEEP: ",".join(wanted.keep),
        _ASKED: wanted.asked,
    }
    metadata |= {_COLUMN: wanted.version_column} if wanted.version_column is not None else {}
    metadata |= {_INTERVAL: interval} if interval is not None else {}
    coded = [*file.kept, *(one for one in fields if one.type != pa.float64())]
    schema = pa.schema([*file.kept, *fields], metadata=metadata)
    return PlannedFile(output_name(file.key), entry, schema, _parquet_columns(coded), parts)


def _parquet_columns(fields: list[pa.Field]) -> list[str]:
    """Return the paths of the Parquet columns of fields; a nested field has several columns."""
    if not any(pa.types.is_nested(one.type) for one in fields):
        return [one.name for one in fields]
    empty = io.BytesIO()
    pq.write_table(pa.schema(fields).empty_table(), empty)
    schema = pq.ParquetFile(empty).schema
    return [schema.column(i).path for i in range(len(schema))]


def told(output: Output, name: str, stamp: Stamp) -> ScoredFile | None:
    """Return the entry of a prediction file by its own metadata; None if it is no such file."""
    footer = output.footer(name)
    found = (footer.metadata if footer is not None else None) or {}
    values = {key.decode(): value.decode(errors="replace") for key, value in found.items()}
    if footer is None or not all(key in values for key in (_INPUT, _MODEL, _STATE, _KEEP)):
        return None
    version = values.get(_VERSION, "")
    return ScoredFile(
        version=int(version) if version.isascii() and version.isdigit() else None,
        rows=footer.num_rows,
        size=stamp.size,
        changed=stamp.changed,
        input=values[_INPUT],
        model=values[_MODEL],
        state=values[_STATE],
        columns=column_key(values[_KEEP], values.get(_COLUMN), values.get(_INTERVAL)),
    )


def is_settled(file: LakeFile, known: ScoredFile, wanted: Wanted, *, any_version: bool) -> bool:
    """Return whether a listing of the lake and the manifest tell that a file is up to date.

    The etag of an object names its content, so its footer need not be read again.
    """
    remote = file.remote
    if remote is None or remote.etag is None:
        return False
    size, _, etag = known.input.split("-", 2) if known.input.count("-") > 1 else ("", "", "")
    same = (size, etag) == (str(remote.size), remote.etag)
    return same and known.serves(wanted.file(known.input, known.rows), any_version=any_version)
