"""Hash combinations of categories to weight slots, from the codes of their dictionaries.

The hash of a combination is MurmurHash3 of the 32-bit hashes of its levels, each seeded by the name
of its column, as the hash of a hashed column is. So neither the order of a dictionary nor the type
in which a file stores a level matters, and no text is put together for a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import Float32Array, FloatArray, IntArray, SlotArray
from onepass.encode.columns import as_text, plain
from onepass.encode.frequent import commonest, looked_at
from onepass.encode.hashing import hash_codes, hash_strings, mix, murmur3_32, rotate, settle
from onepass.encode.level_values import level_values
from onepass.encode.numbers import read_number
from onepass.encode.scalar_kinds import Hashed, Numeric
from onepass.encode.shapes import Bins, Cross
from onepass.jit import compiled

NULL = "\0null"
"""The level of a null; its hash is that of null in a hashed column."""

_BETWEEN = "\x1f"
"""Stands between the levels of a combination in the texts that are counted."""

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True, slots=True)
class Levels:
    """The level of one part of a cross in each row, or in all rows if there is only one."""

    values: pa.Array
    """The levels as text or integers, or a dictionary of these."""
    codes: NDArray[Any]
    """Codes of the levels, or their hashes: shape (n_rows,) or (1,)."""
    hashes: NDArray[np.uint32] | None
    """Hash of each code; None if the codes are hashes."""

    def own_hashes(self) -> NDArray[np.uint32]:
        """Return the hash of each level, shape (n_rows,) or (1,)."""
        found = self.codes if self.hashes is None else self.hashes[self.codes]
        return found.astype(np.uint32, copy=False)


def read_levels(part: Hashed | Bins, values: pa.Array) -> Levels:
    """Return the levels of values of a column."""
    if isinstance(part, Bins):
        codes = bin_codes(part, read_number(part.number, values).numbers)
        names = pa.array([*part.levels, None], pa.string())
        coded = pa.DictionaryArray.from_arrays(pa.array(codes), names)
    else:
        coded = level_values(part, values)
    return Levels(coded, *hash_codes(coded, part.name))


def bin_codes(column: Bins, numbers: FloatArray) -> NDArray[np.int32]:
    """Return the bin of each number, and the number of bins for NaN."""
    edges = np.array(column.edges)
    codes = np.searchsorted(edges, numbers, side="right").astype(np.int32)
    codes[np.isnan(numbers)] = len(edges) + 1
    return codes


def cross_slots(name: str, levels: Sequence[Levels], n_rows: int, bits: int) -> SlotArray:
    """Return the slot of the combination of levels in each row, shape (n_rows,)."""
    found = empty((n_rows,), np.uint32)
    found[:] = murmur3_32(name)
    for one in levels:
        if len(one.codes) != n_rows:
            _absorb(found, np.repeat(one.own_hashes(), n_rows))
        elif one.hashes is None:
            _absorb(found, one.codes)
        else:
            _absorb_coded(found, one.codes, one.hashes)
    slots = empty((n_rows,), np.int32)
    _finish(found, np.uint32(4 * len(levels)), np.uint32((1 << bits) - 1), slots)
    return slots


def slots_of_texts(cross: Cross, texts: Sequence[str], bits: int) -> SlotArray:
    """Return the slot of each combination that `combinations` has counted."""
    split = [text.split(_BETWEEN) for text in texts]
    levels = []
    for place, part in enumerate(cross.parts):
        values = pa.array([one[place] for one in split], pa.string())
        hashes = hash_strings(values, murmur3_32(part.name))
        levels.append(Levels(values, hashes, None))
    return cross_slots(cross.name, levels, len(texts), bits)


def spoken_combination(text: str) -> str:
    """Return the levels of a counted combination, joined by ``*``."""
    return "*".join("null" if one == NULL else one for one in text.split(_BETWEEN))


def combinations(levels: Sequence[Levels], n_rows: int, times: int) -> dict[str, int]:
    """Return the commonest combinations, with their numbers of rows; see `commonest`.

    They are texts for `slots_of_texts`.
    """
    rows = looked_at(n_rows)
    texts = [_texts(one, rows) for one in levels]
    whole = pc.binary_join_element_wise(*texts, _BETWEEN)
    step = n_rows // len(rows) if len(rows) else 1
    apart = {text: n for text, n in commonest(whole, times, step=step).items()}
    return {text: n for text, n in apart.items() if text.count(_BETWEEN) == len(levels) - 1}


def factors(numbers: Sequence[tuple[Numeric, pa.Array]], n_rows: int) -> Float32Array:
    """Return the product of numbers in each row, centred and scaled; 0 if one is missing."""
    product = np.ones(n_rows)
    for column, values in numbers:
        product *= standardised(column, values)
    return np.where(np.abs(product) <= _LARGEST, product, 0.0).astype(np.float32)


def standardised(column: Numeric, values: pa.Array) -> FloatArray:
    """Return centred and scaled numbers, NaN where there is none."""
    return (read_number(column, values).numbers - column.center) / column.scale


def _texts(levels: Levels, rows: IntArray) -> pa.Array:
    values = levels.values
    if not pa.types.is_dictionary(values.type):
        # Arrow does not take from views.
        values = plain(values)
    if len(levels.codes) == 1 and len(rows) != 1:
        rows = np.zeros(len(rows), np.int64)
    return pc.fill_null(as_text(plain(values.take(pa.array(rows)))).cast(pa.string()), NULL)


@compiled
def _absorb(found: NDArray[np.uint32], hashes: NDArray[np.uint32]) -> None:
    for i in range(len(found)):
        found[i] = _with(found[i], hashes[i])


@compiled
def _absorb_coded(
    found: NDArray[np.uint32], codes: NDArray[np.int32], hashes: NDArray[np.uint32]
) -> None:
    for i in range(len(found)):
        found[i] = _with(found[i], hashes[np.uint32(codes[i])])


@compiled
def _with(h: np.uint32, k: np.uint32) -> np.uint32:
    return np.uint32(rotate(np.uint32(h ^ mix(k)), 13) * np.uint32(5) + np.uint32(0xE6546B64))


@compiled
def _finish(
    found: NDArray[np.uint32], n_bytes: np.uint32, mask: np.uint32, slots: SlotArray
) -> None:
    for i in range(len(found)):
        slots[i] = np.int32(settle(np.uint32(found[i] ^ n_bytes)) & mask)
