"""Convert the columns that say how a row counts: offset, exposure and cluster."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray, IntArray
from onepass.encode.columns import as_text, column_of, floats, plain
from onepass.encode.hashing import hash_strings
from onepass.encode.reads import READS, is_readable
from onepass.errors import BadColumn

LARGEST_OFFSET = 1e15
"""Largest absolute offset; beyond it the features could not change the margin."""

_SEEDS = (0x5BD1E995, 0x27D4EB2F)
"""Seeds of the two halves of the hash of a cluster."""


_WITHOUT_OFFSET = "Predictions include the offset of their rows; a column of 0 leaves it out."
_WITHOUT_EXPOSURE = "Predictions are for the exposure of their rows; a column of 1 gives rates."


def known_margins(batch: pa.RecordBatch, offset: str | None, exposure: str | None) -> FloatArray:
    """Return the known part of the margins of rows: offset + log(exposure), shape (n_rows,).

    Parameters
    ----------
    offset, exposure
        Names of the columns; None for one that there is not.

    Raises
    ------
    BadColumn
        If a column is missing, or `row_offsets` or `log_exposures` raises it.
    """
    total = np.zeros(batch.num_rows)
    if offset is not None:
        total += row_offsets(column_of(batch, offset, _WITHOUT_OFFSET), offset)
    if exposure is not None:
        total += log_exposures(column_of(batch, exposure, _WITHOUT_EXPOSURE), exposure)
    return total


def row_offsets(values: pa.Array, name: str) -> FloatArray:
    """Return the offsets of rows, shape (len(values),).

    Raises
    ------
    BadColumn
        If the column is not one of numbers, or an offset is null, not finite, or beyond
        `LARGEST_OFFSET`.
    """
    _check("offset", values, name)
    offset = floats(values)
    usable = np.abs(offset) <= LARGEST_OFFSET
    if not usable.all():
        row = int(np.flatnonzero(~usable)[0])
        raise BadColumn(f"expected finite offsets, found {offset[row]:g} in row {row:,}", name)
    return offset


def log_exposures(values: pa.Array, name: str) -> FloatArray:
    """Return the logarithms of the exposures of rows, shape (len(values),).

    Raises
    ------
    BadColumn
        If the column is not one of numbers, or an exposure is null, not above 0, or not finite.
    """
    _check("exposure", values, name)
    exposure = floats(values)
    usable = (exposure > 0) & np.isfinite(exposure)
    if not usable.all():
        row = int(np.flatnonzero(~usable)[0])
        raise BadColumn(f"expected exposures above 0, found {exposure[row]:g} in row {row:,}", name)
    return np.asarray(np.log(exposure))


def row_clusters(values: pa.Array, name: str) -> IntArray:
    """Return a hash of 64 bits of the cluster of each row, shape (len(values),).

    Equal values have equal hashes, whether they are stored as text, integers or a dictionary.

    Raises
    ------
    BadColumn
        If the column is of another type, or a value is null.
    """
    _check("cluster", values, name)
    if values.null_count:
        advice = f"leave them out with --where '{name} IS NOT NULL'"
        nulls = f"{values.null_count} of {len(values)} rows have no cluster"
        raise BadColumn(f"{nulls}; {advice}, or give each a cluster of its own", name)
    codes, distinct = None, values
    if pa.types.is_dictionary(values.type):
        codes, distinct = values.indices.to_numpy(zero_copy_only=False), values.dictionary
    texts = as_text(plain(distinct))
    low, high = (hash_strings(texts, seed).astype(np.int64) for seed in _SEEDS)
    found = low | high << np.int64(32)
    return np.asarray(found if codes is None else found[codes], np.int64)


def _check(use: str, values: pa.Array, name: str) -> None:
    if pa.types.is_null(values.type) or not is_readable(use, values.type):
        raise BadColumn(f"expected {READS[use].text}, found type {values.type}", name)
