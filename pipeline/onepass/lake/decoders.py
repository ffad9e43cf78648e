"""Open Parquet decoders whose buffers are bounded, over a local file or an object.

By default pyarrow keeps every byte that it has read from a file until the reader is closed, which
adds up to the whole file. Without pre-buffering and with small stream buffers, the same read keeps
a small part of it and is as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.arrays import as_batch, has_codes
from onepass.lake.chunks import Chunk
from onepass.lake.column_chunks import check_texts, is_coded
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.limits import ReadLimits
from onepass.lake.remote import RemoteFile

_WHOLE_UNITS = 6
"""Maximum number of units of whole row groups that are decoded at the same time."""

_BUFFER_BYTES = 64 << 10
"""Size of the stream buffer of each column of a local file; the minimum for a remote file."""


@dataclass(frozen=True, slots=True)
class Decoders:
    """Decoders of one file's columns; each call opens its own, so threads may share this.

    Parameters
    ----------
    file, footer
        The file, and its footer as it was read.
    columns
        Columns to decode, as the file names them.
    texts
        Text columns among `columns`, read as dictionaries where that is cheap.
    n_open
        Number of large row groups that are read at the same time, here and by other decoders.
    limits
        Sizes of buffers.
    """

    file: LakeFile
    footer: Footer
    columns: list[str]
    texts: list[str]
    n_open: int
    limits: ReadLimits

    def read(self, groups: list[int], columns: list[str], *, use_threads: bool) -> pa.RecordBatch:
        """Decode columns of whole row groups into one batch."""
        rows = sum(self.rows(group) for group in groups)
        with self._open(groups, columns, rows, whole=True) as source:
            paths = self._paths(columns)
            # pyarrow does not read lists of codes of several dictionaries at once.
            at_once = [[group] for group in groups] if self._has_coded_lists(columns) else [groups]
            tables = [
                source.read_row_groups(some, columns=paths, use_threads=use_threads)
                for some in at_once
            ]
        # Leaving the context frees the buffers of the decoder before the joined copy is made.
        return self._shown(joined(pa.concat_tables(tables)), columns)

    def slices(
        self, group: int, columns: list[str], rows: int, *, use_threads: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Decode columns of one row group slice by slice; the caller checks the texts."""
        source = self._open([group], columns, rows, whole=False)
        found = _batches(source, group, self._paths(columns), rows, use_threads=use_threads)
        return found if self.footer.columns is None else self._all_shown(found, columns)

    def probe(self, group: int, column: str, rows: int) -> None:
        """Decode one column of one row group and drop its values; raise if a page is damaged."""
        with self._open([group], [column], rows, whole=False) as source:
            for batch in _batches(source, group, self._paths([column]), rows):
                check_texts(batch)
                self._shown(batch, [column])

    def _paths(self, columns: list[str]) -> list[str]:
        """Return the paths of columns in the file."""
        shown = self.footer.columns
        return columns if shown is None else shown.paths(columns)

    def _shown(self, rows: pa.RecordBatch, columns: list[str]) -> pa.RecordBatch:
        """Return decoded columns under the names and in the types by which they are known."""
        shown = self.footer.columns
        return rows if shown is None else shown.shown(rows, columns)

    def _all_shown(
        self, found: Iterator[pa.RecordBatch], columns: list[str]
    ) -> Iterator[pa.RecordBatch]:
        for rows in found:
            check_texts(rows)
            yield self._shown(rows, columns)

    def rows(self, group: int) -> int:
        """Return the number of rows that the footer promises for a row group."""
        return int(self.footer.metadata.row_group(group).num_rows)

    def chunks(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> list[Chunk]:
        """Return the chunks of row groups that belong to some columns; by default to all."""
        chunks = self.footer.chunks
        wanted = set(self.columns if columns is None else columns)
        # A whole struct has a column for each of its fields.
        leaves = [
            i
            for i, column in enumerate(chunks.columns)
            if column in wanted or column.split(".")[0] in wanted
        ]
        return [chunk for group in groups for chunk in chunks.of(group, leaves)]

    def dictionaries(self, groups: Sequence[int], rows: int) -> list[str]:
        """Return the text columns to read as dictionaries.

        A column qualifies if all its chunks are stored as codes. Where a writer gave up its
        dictionary for plain text, pyarrow would have to build one, which takes as long as all other
        columns together.

        Parameters
        ----------
        rows
            Rows that share one dictionary.
        """
        chunks, shown = self.footer.chunks, self.footer.columns
        # pyarrow does not read the texts of structs as dictionaries, nor those of lists if there
        # are several dictionaries.
        found = {one for one in self.texts if shown is None or len(shown.stored[one].place) == 1}
        texts = [i for i, column in enumerate(chunks.columns) if column in found]
        for group in groups:
            for chunk in chunks.of(group, texts):
                is_list = not chunk.is_flat
                if chunk.physical_type != "BYTE_ARRAY" and is_list:
                    # The numbers of a map whose keys are texts.
                    continue
                if not is_coded(chunk, rows) or (is_list and len(groups) > 1):
                    found.discard(chunk.column)
        return [name for name in self.texts if name in found]

    def _dictionary_paths(self, groups: Sequence[int], rows: int) -> list[str]:
        """Return the paths in the file of the texts to read as dictionaries."""
        chunks, names = self.footer.chunks, set(self.dictionaries(groups, rows))
        return [
            path
            for path, name, kind in zip(chunks.paths, chunks.columns, chunks.types, strict=True)
            if name in names and kind == "BYTE_ARRAY"
        ]

    def _has_coded_lists(self, columns: list[str]) -> bool:
        """Whether the file says that it has lists of codes, as pandas writes categories."""
        return any(
            pa.types.is_nested(field.type) and has_codes(field.type)
            for field in self.footer.schema
            if field.name in columns
        )

    def pre_buffer_bytes(self, *, whole: bool) -> int:
        """Return the bytes of an object that a decoder may read ahead."""
        # The next partition's decoders are opened while this one's are still in use.
        return self.limits.remote_bytes // (_WHOLE_UNITS if whole else 2 * self.n_open)

    def _open(
        self, groups: Sequence[int], columns: list[str], rows: int, *, whole: bool
    ) -> pq.ParquetFile:
        pre_buffer, buffer_bytes = False, _BUFFER_BYTES
        if self.file.remote is not None:
            total = self.pre_buffer_bytes(whole=whole)
            share = total // max(1, len(columns))
            buffer_bytes = max(_BUFFER_BYTES, min(self.limits.remote_column_bytes, share))
            # Pre-buffering reads neighbouring columns in one request, and keeps all of it until
            # the decoder is closed.
            pre_buffer = self._stored_bytes(groups, columns) <= total
        return pq.ParquetFile(
            self._source(),
            metadata=self.footer.metadata,
            pre_buffer=pre_buffer,
            buffer_size=buffer_bytes,
            page_checksum_verification=True,
            read_dictionary=self._dictionary_paths(groups, rows),
        )

    def _source(self) -> str | RemoteFile:
        if self.file.remote is None:
            return self.file.location
        # The object may have been replaced between the listing and the read of its footer.
        found = self.footer.fingerprint
        described = replace(self.file.remote, size=found.size, etag=found.etag)
        return RemoteFile(self.file.location, described)

    def _stored_bytes(self, groups: Sequence[int], columns: list[str]) -> int:
        return sum(chunk.total_compressed_size for chunk in self.chunks(groups, columns))


def _batches(
    source: pq.ParquetFile,
    group: int,
    columns: list[str],
    rows: int,
    *,
    use_threads: bool = False,
) -> Iterator[pa.RecordBatch]:
    found: Iterator[pa.RecordBatch] = source.iter_batches(
        rows, row_groups=[group], columns=columns, use_threads=use_threads
    )
    return found


def joined(table: pa.Table) -> pa.RecordBatch:
    """Join the chunks of a table into one batch.

    Raises
    ------
    pa.ArrowInvalid
        If text is not UTF-8 or a code has no value.
    """
    # Joining looks up each code, even beyond the end of the dictionary, so check codes first.
    check_texts(table)
    return as_batch(table)
