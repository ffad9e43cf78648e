"""The claims of a footer about each column chunk, read from the bytes of the footer.

pyarrow's accessors of a chunk's metadata, such as `statistics`, end the process if a footer
contradicts itself: their C++ exceptions are not caught. The fields that onepass needs are few, so
`onepass.lake.footer_fields` reads them, and no accessor of a chunk is called anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from onepass.block import IntArray
from onepass.lake.footer_fields import (
    COMPRESSED,
    DATA_PAGE,
    DICTIONARY_PAGE,
    MAX_BYTES,
    MIN_BYTES,
    N_VALUES,
    NULLS,
    PRESENT,
    TYPE,
    UNCOMPRESSED,
    chunk_fields,
    span,
)
from onepass.lake.parquet_schema import parquet_schema

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY")
TYPES = (*_TYPES, "FIXED_LEN_BYTE_ARRAY")
"""Physical types by their numbers in the format."""


class Chunk(NamedTuple):
    """The metadata of one column chunk; the fields are named as pyarrow names them."""

    path_in_schema: str
    column: str
    """The column that the chunk belongs to, by the name under which it is read."""
    physical_type: str
    """By the schema."""
    num_values: int
    total_uncompressed_size: int
    total_compressed_size: int
    data_page_offset: int
    dictionary_page_offset: int | None
    null_count: int | None
    """None if the statistics do not tell, or tell the impossible."""

    @property
    def has_dictionary_page(self) -> bool:
        """Whether the footer names the place of a dictionary."""
        return self.dictionary_page_offset is not None


@dataclass(frozen=True, slots=True, eq=False)
class ColumnChunks:
    """The column chunks of a file."""

    paths: list[str]
    """Path of each leaf column in the Parquet schema."""
    columns: list[str]
    """Column that each leaf belongs to, by the name under which it is read."""
    types: list[str]
    """Physical type of each leaf column by the schema."""
    is_flat: list[bool]
    """Whether each leaf column has one value in each row."""
    fields: IntArray
    """Fields of the chunks, shape (n_row_groups, n_columns, 10)."""
    is_encrypted: bool
    """Whether columns of the file are encrypted; others can be read."""
    footer: bytes | None = field(default=None, repr=False)
    """The bytes that hold the bounds of the chunks; None if these mean nothing, and on a worker
    that got the chunks from elsewhere."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Who has read the footer knows which row groups to read; others need no bounds.
        parts = [getattr(self, one.name) for one in fields(self) if one.name != "footer"]
        return ColumnChunks, tuple(parts)

    def one(self, row_group: int, column: int) -> Chunk:
        """Return one chunk."""
        found = self.fields[row_group, column].tolist()
        n_values, nulls, present = found[N_VALUES], found[NULLS], found[PRESENT]
        return Chunk(
            self.paths[column],
            self.columns[column],
            self.types[column],
            n_values,
            found[UNCOMPRESSED],
            found[COMPRESSED],
            found[DATA_PAGE],
            found[DICTIONARY_PAGE] if present >> DICTIONARY_PAGE & 1 else None,
            nulls if present >> NULLS & 1 and 0 <= nulls <= n_values else None,
        )

    def of(self, row_group: int, columns: Iterable[int]) -> Iterator[Chunk]:
        """Iterate over the chunks of some columns in a row group."""
        return (self.one(row_group, column) for column in columns)

    @property
    def num_values(self) -> IntArray:
        """Number of values of each chunk, shape (n_row_groups, n_columns)."""
        return self.fields[:, :, N_VALUES]

    @property
    def type_numbers(self) -> IntArray:
        """Physical type of each chunk, an index of `TYPES` in a sound file; -1 if none is told."""
        has = self.fields[:, :, PRESENT] >> TYPE & 1
        return np.where(has, self.fields[:, :, TYPE], -1)

    def null_counts(self) -> IntArray:
        """Return the nulls of each chunk; -1 where the statistics do not tell."""
        nulls, has = self.fields[:, :, NULLS], self.fields[:, :, PRESENT] >> NULLS & 1
        return np.where((has == 1) & (nulls >= 0) & (nulls <= self.num_values), nulls, -1)

    def bounds_bytes(self) -> IntArray:
        """Return the length of the shorter one of least and greatest value; -1 if one is missing.

        They are statistics, in the encoding of the column's type.
        """
        has = self.fields[:, :, PRESENT] >> MIN_BYTES & self.fields[:, :, PRESENT] >> MAX_BYTES & 1
        (_, shortest), (_, longest) = (span(self.fields[:, :, i]) for i in (MIN_BYTES, MAX_BYTES))
        return np.where(has == 1, np.minimum(shortest, longest), -1)

    def bounds(self, row_group: int, column: int) -> tuple[bytes | None, bytes | None]:
        """Return least and greatest value of a chunk as the footer encodes them; None if unknown.

        No value of the chunk is beyond them, but they may be no values themselves.
        """
        found = self.fields[row_group, column].tolist()
        least, greatest = (self._bytes(found, place) for place in (MIN_BYTES, MAX_BYTES))
        return least, greatest

    def _bytes(self, found: list[int], place: int) -> bytes | None:
        if self.footer is None or not found[PRESENT] >> place & 1:
            return None
        first, length = span(found[place])
        return self.footer[first : first + length]

    def places(self) -> tuple[IntArray, IntArray]:
        """Return the offset of the first page of each chunk, and the bytes of its pages."""
        first, dictionary = self.fields[:, :, DATA_PAGE], self.fields[:, :, DICTIONARY_PAGE]
        # Some writers name the place 0, where no page can be, if there is no dictionary.
        first = np.where(dictionary != 0, np.minimum(first, dictionary), first)
        return first, self.fields[:, :, COMPRESSED]


def read_chunks(footer: bytes, metadata: pq.FileMetaData) -> ColumnChunks:
    """Read the fields of all column chunks.

    Parameters
    ----------
    footer
        The serialized footer.
    metadata
        The same footer as pyarrow parsed it, for its schema.

    Raises
    ------
    ValueError
        If the footer is not Thrift, or a row group has another number of columns than the schema.
    """
    schema = parquet_schema(metadata)
    columns = [schema.column(i) for i in range(metadata.num_columns)]
    paths = [column.path for column in columns]
    found = chunk_fields(footer, metadata.num_row_groups, metadata.num_columns)
    return ColumnChunks(
        paths,
        paths,
        [column.physical_type for column in columns],
        [not column.max_repetition_level for column in columns],
        found.numbers,
        found.is_encrypted,
        footer if found.is_ordered else None,
    )
