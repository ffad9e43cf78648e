"""Read the units of a partition; memory is bounded for row groups of any size."""

from __future__ import annotations

from itertools import product

import pyarrow as pa

from onepass.errors import BadPartition
from onepass.lake.decoders import Decoders
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.large_row_groups import LargeRowGroups
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.lake.units import Unit

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError)
"""Exceptions that pyarrow raises at damaged pages."""


class PartitionReader:
    """Decodes the units of one partition; several threads may call it.

    Parameters
    ----------
    file, footer
        The file, and its footer as it was read.
    columns
        Columns to decode, as the file names them.
    texts
        Text columns among `columns`, read as dictionaries where that is cheap.
    batch_rows
        Rows of a slice of a large row group.
    n_open
        Number of large row groups that are read at the same time, by this reader and others.
    whole_bytes
        Memory for all large row groups that are decoded as a whole; a row group that does not fit
        is decoded slice by slice.
    spills
        Whether a large row group of which not even the open pages fit is decoded into a temporary
        file. This pays only if all of it is read.
    limits
        Sizes of pages and buffers.
    """

    def __init__(
        self,
        file: LakeFile,
        footer: Footer,
        columns: list[str],
        texts: list[str],
        batch_rows: int,
        *,
        n_open: int = 1,
        whole_bytes: int = 0,
        spills: bool = False,
        limits: ReadLimits = DEFAULT_LIMITS,
    ) -> None:
        self._columns, self._supplied = columns, footer.columns
        if footer.columns is not None:
            columns = [name for name in columns if name not in footer.columns.supplied]
            texts = [name for name in texts if name in columns]
        self._decoders = Decoders(file, footer, columns, texts, n_open, limits)
        self._batch_rows = batch_rows
        self.large = LargeRowGroups(self._decoders, batch_rows, whole_bytes, spills)
        """Row groups that are read in slices."""

    def read(self, unit: Unit) -> pa.RecordBatch:
        """Return the rows of one unit.

        Raises
        ------
        BadPartition
            If a page cannot be decoded, or the pages hold another number of rows than the footer
            promises.
        """
        rows = self._read(unit) if self._decoders.columns else _without_columns(unit.rows)
        if self._supplied is None or len(self._columns) == len(self._decoders.columns):
            return rows
        return self._supplied.completed(rows, self._columns)

    def _read(self, unit: Unit) -> pa.RecordBatch:
        try:
            rows = self.large.take(unit) if unit.is_slice else self._whole(unit)
        except UNREADABLE as error:
            fault = str(error)
        else:
            return self._counted(unit, rows)
        # Raised outside the handler: the context of an error keeps the frames that it passed
        # through, and with them open decoders and decoded rows.
        raise self._refusal(unit, fault)

    def _counted(self, unit: Unit, rows: pa.RecordBatch) -> pa.RecordBatch:
        if rows.num_rows != unit.rows:
            raise BadPartition(
                f"the footer promises {unit.rows} rows, the pages hold {rows.num_rows}",
                path=self._decoders.file.key,
                row_group=unit.row_groups[0],
            )
        return rows

    def _whole(self, unit: Unit) -> pa.RecordBatch:
        columns = self._decoders.columns
        return self._decoders.read(list(unit.row_groups), columns, use_threads=False)

    def _refusal(self, unit: Unit, fault: str) -> BadPartition:
        """Return the error for a damaged unit, with the row group and column at fault.

        pyarrow's exceptions do not name the place, so decode each column alone to find it.
        """
        group, column = unit.row_groups[0], None
        for place in product(unit.row_groups, self._decoders.columns):
            try:
                self._decoders.probe(*place, self._batch_rows)
            except UNREADABLE as found:
                # Only its text: an error that its own frame holds is a reference cycle.
                (group, column), fault = place, str(found)
                break
        return BadPartition(
            f"cannot decode: {fault}",
            path=self._decoders.file.key,
            row_group=group,
            column=column,
        )


def _without_columns(n_rows: int) -> pa.RecordBatch:
    """Return rows without a column, which pyarrow would read as no rows."""
    rows = pa.StructArray.from_buffers(pa.struct([]), n_rows, [None])
    return pa.RecordBatch.from_struct_array(rows)
