"""Estimate the memory that a value of each column takes, from footers and a few rows.

Footers tell the width of numbers and of plain texts. Codes of a dictionary may stand for texts of
any length, so the first rows of a few row groups are read to see how long these are.
"""

from __future__ import annotations

from contextlib import suppress

from onepass.encode.columns import plain
from onepass.errors import BadPartition
from onepass.lake.chunks import Chunk
from onepass.lake.column_chunks import decoded_bytes
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.lake.read import PartitionReader
from onepass.lake.units import Unit

_PROBED_ROWS = 64
"""Rows whose texts are measured; even texts of a megabyte can be read then."""

_PROBED_GROUPS = 4
"""Maximum number of row groups whose first rows are read."""

_PAGE_ROWS = 1024
"""Rows that pyarrow writes before it looks whether a page is full."""

_BUFFER_BYTES = 64 << 10
"""Bytes of an open file for each column."""


class Widths:
    """Largest width that has been seen of each column, in bytes of a decoded value.

    Parameters
    ----------
    names
        Columns that will be read.
    """

    def __init__(self, names: list[str]) -> None:
        self.bytes = dict.fromkeys(names, 1.0)
        """Estimated bytes of a value by column."""
        self._stored = dict.fromkeys(names, 0)
        self._n_probed = 0

    def note(self, file: LakeFile, footer: Footer, row_group: int) -> None:
        """Take the widths of one row group into account."""
        columns = footer.chunks.columns
        wanted = [place for place, column in enumerate(columns) if column in self.bytes]
        chunks = list(footer.chunks.of(row_group, wanted))
        n_rows = footer.row_group_rows()[row_group]
        coded = [chunk.column for chunk in chunks if self._note_chunk(chunk, n_rows)]
        if coded and self._n_probed < _PROBED_GROUPS:
            self._n_probed += 1
            for name in coded:
                # A damaged page is reported where the row group is read.
                with suppress(BadPartition):
                    self._probe(file, footer, row_group, name)

    @property
    def row_bytes(self) -> float:
        """Estimated bytes of a decoded row."""
        return sum(self.bytes.values())

    def slice_rows(self, nbytes: int, most: int) -> int:
        """Return the rows, at most `most`, of which the widest column takes `nbytes`."""
        return max(1, min(most, int(nbytes / max(self.bytes.values(), default=1.0))))

    def shares(self, nbytes: int, slice_rows: int) -> list[list[str]]:
        """Divide the columns in their order, so that decoding a share takes about `nbytes`."""
        found: list[list[str]] = [[]]
        taken = 0.0
        for name in self.bytes:
            needed = self._decoder_bytes(name) + 2 * slice_rows * self.bytes[name]
            if found[-1] and taken + needed > nbytes:
                found.append([])
                taken = 0.0
            found[-1].append(name)
            taken += needed
        return found

    def _decoder_bytes(self, name: str) -> float:
        """Return the bytes of a page, both compressed and not, and of buffers."""
        page = max(DEFAULT_LIMITS.page_bytes, _PAGE_ROWS * self.bytes[name])
        return _BUFFER_BYTES + 2 * min(page, self._stored[name])

    def _note_chunk(self, chunk: Chunk, n_rows: int) -> bool:
        """Note what the footer tells of a chunk; return whether its texts must be looked at."""
        name = chunk.column
        # A list has any number of values in a row.
        n_values = chunk.num_values if chunk.is_flat else n_rows
        self._stored[name] = max(self._stored[name], chunk.total_uncompressed_size)
        size = decoded_bytes(chunk, coded=False)
        if size is not None and n_values:
            self.bytes[name] = max(self.bytes[name], size / n_values)
        return size is None

    def _probe(self, file: LakeFile, footer: Footer, row_group: int, name: str) -> None:
        n_rows = footer.row_group_rows()[row_group]
        rows = min(_PROBED_ROWS, n_rows)
        reader = PartitionReader(file, footer, [name], [], batch_rows=rows)
        found = reader.read(Unit((row_group,), rows, 0, is_slice=True)).column(0)
        self.bytes[name] = max(self.bytes[name], plain(found).nbytes / rows)
