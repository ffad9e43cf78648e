"""Column chunks: estimate the memory of their decoded values, and check decoded texts."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from onepass.lake.chunks import Chunk

_DICTIONARY_BYTES_PER_ROW = 16
"""Largest dictionary, in bytes per row of a batch, that is cheap to process for every batch."""

_LARGEST_DICTIONARY = 1 << 20
"""Largest dictionary in bytes; most writers change to plain text at this size. The encoder keeps
the slots of the last few dictionaries of each column."""

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a decoded value by physical type."""


def is_coded(chunk: Chunk, rows: int) -> bool:
    """Return whether a text chunk is stored as codes of a dictionary that is small for its batches.

    The footer does not tell whether a writer changed from codes to plain text within the chunk, but
    sizes do: a plain value takes 4 bytes and its text, and a code hardly ever more than 2.

    Parameters
    ----------
    rows
        Rows of a batch that shares the dictionary.
    """
    if not chunk.has_dictionary_page or not chunk.num_values:
        return False
    dictionary = chunk.data_page_offset - (chunk.dictionary_page_offset or 0)
    codes = chunk.total_uncompressed_size - dictionary
    most = min(_DICTIONARY_BYTES_PER_ROW * rows, _LARGEST_DICTIONARY)
    return bool(codes < 4 * chunk.num_values and dictionary < most)


def decoded_bytes(chunk: Chunk, coded: bool) -> int | None:
    """Estimate the memory in bytes of a chunk's decoded values.

    Parameters
    ----------
    coded
        Whether text is read as a dictionary.

    Returns
    -------
    int or None
        None if the footer does not tell: codes may stand for texts of any length.
    """
    n, stored = int(chunk.num_values), int(chunk.total_uncompressed_size)
    if not chunk.is_flat:
        # While lists are decoded, each element has two levels of 2 bytes, and a row an offset.
        elements = decoded_bytes(chunk._replace(is_flat=True), coded)
        return None if elements is None else elements + 8 * n
    if chunk.physical_type != "BYTE_ARRAY":
        # Only decimals are left, and they take 16 bytes.
        return n * _WIDTHS.get(chunk.physical_type, 16) + n // 8
    if coded:
        return stored + 4 * n
    # A growing array of texts reserves half as much again.
    return None if chunk.has_dictionary_page else 3 * stored // 2


def check_texts(rows: pa.Table | pa.RecordBatch) -> None:
    """Refuse text that is not UTF-8 and codes without a value, which pyarrow does not check.

    Raises
    ------
    pa.ArrowInvalid
        If there are any.
    """
    for place, kind in enumerate(rows.schema.types):
        # Every bit pattern is a valid number, so only texts and codes need a check.
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
