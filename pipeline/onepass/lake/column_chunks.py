"""Columns of a row group as they are stored: what they take, and that texts are what they claim."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_DICTIONARY_BYTES_PER_ROW = 16

_LARGEST_DICTIONARY = 1 << 20
"""Bytes; what most writers hold to. The slots of the last few are kept for each column."""

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}


def is_coded(chunk: pq.ColumnChunkMetaData, rows: int) -> bool:
    """Whether text is stored as codes, and its dictionary small enough to be looked up per batch.

    The footer does not say where a writer changed to plain text in the middle, but a plain value
    takes 4 bytes and its text, and a code hardly ever more than 2.
    """
    if not chunk.has_dictionary_page or not chunk.num_values:
        return False
    dictionary = chunk.data_page_offset - (chunk.dictionary_page_offset or 0)
    codes = chunk.total_uncompressed_size - dictionary
    most = min(_DICTIONARY_BYTES_PER_ROW * rows, _LARGEST_DICTIONARY)
    return bool(codes < 4 * chunk.num_values and dictionary < most)


def decoded_bytes(chunk: pq.ColumnChunkMetaData, coded: bool) -> int | None:
    """About the memory that a column of a row group takes when it is decoded.

    Parameters
    ----------
    coded
        Whether text is read as a dictionary.

    Returns
    -------
    None where the footer does not tell: codes of a part of the rows stand for texts of any length.
    """
    n, stored = int(chunk.num_values), int(chunk.total_uncompressed_size)
    if chunk.physical_type != "BYTE_ARRAY":
        # Whatever else there is has 16 bytes: decimals.
        return n * _WIDTHS.get(chunk.physical_type, 16) + n // 8
    if coded:
        return stored + 4 * n
    # While it grows, an array of texts has room for half as many again.
    return None if chunk.has_dictionary_page else 3 * stored // 2


def check_texts(rows: pa.Table | pa.RecordBatch) -> None:
    """Refuse text that is not UTF-8 and codes without a value, which pyarrow hands on."""
    for place, kind in enumerate(rows.schema.types):
        # Numbers are sound whatever their bits.
        if pa.types.is_primitive(kind):
            continue
        column = rows.column(place)
        for values in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            if pa.types.is_dictionary(kind):
                _check_codes(rows.schema.names[place], values)
                _check_text(values.dictionary)
            else:
                _check_text(values)


def _check_text(values: pa.Array) -> None:
    if not pa.types.is_primitive(values.type):
        values.validate(full=True)


def _check_codes(name: str, values: pa.DictionaryArray) -> None:
    low, high = pc.min_max(values.indices).as_py().values()
    n_values = len(values.dictionary)
    if low is not None and not 0 <= low <= high < n_values:
        raise pa.ArrowInvalid(
            f"codes {low} to {high} in column {name!r} of {n_values} distinct values"
        )
