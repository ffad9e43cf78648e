"""Hash strings to weight slots: the value decides, never the code of a dictionary.

MurmurHash3 x86 32-bit (A. Appleby, 2011, public domain), the function behind scikit-learn's
`FeatureHasher` and Vowpal Wabbit; compiled here because a Python call per distinct value costs
more than decoding the column.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.block import SlotArray
from pipeline.compiled import compiled

_C1 = np.uint32(0xCC9E2D51)
_C2 = np.uint32(0x1B873593)


@compiled
def _rotate(x: np.uint32, by: int) -> np.uint32:
    return np.uint32((x << np.uint32(by)) | (x >> np.uint32(32 - by)))


@compiled
def _mix(k: np.uint32) -> np.uint32:
    return np.uint32(_rotate(np.uint32(k * _C1), 15) * _C2)


@compiled
def _murmur3(data: NDArray[np.uint8], start: int, end: int, seed: np.uint32) -> np.uint32:
    h = np.uint32(seed)
    n_words = (end - start) // 4
    for i in range(n_words):
        at = start + 4 * i
        k = (
            np.uint32(data[at])
            | np.uint32(data[at + 1]) << np.uint32(8)
            | np.uint32(data[at + 2]) << np.uint32(16)
            | np.uint32(data[at + 3]) << np.uint32(24)
        )
        h ^= _mix(np.uint32(k))
        h = np.uint32(_rotate(h, 13) * np.uint32(5) + np.uint32(0xE6546B64))
    rest = np.uint32(0)
    for at in range(end - 1, start + 4 * n_words - 1, -1):
        rest = np.uint32((rest << np.uint32(8)) | np.uint32(data[at]))
    h ^= _mix(rest)
    h ^= np.uint32(end - start)
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@compiled
def _murmur3_all(
    offsets: NDArray[np.int64], data: NDArray[np.uint8], seed: np.uint32, out: NDArray[np.uint32]
) -> None:
    for i in range(len(out)):
        out[i] = _murmur3(data, offsets[i], offsets[i + 1], seed)


def murmur3_32(text: str, seed: int = 0) -> int:
    """MurmurHash3 x86 32-bit of the UTF-8 bytes of `text`, as an unsigned integer."""
    return int(hash_strings(pa.array([text], pa.large_string()), seed)[0])


def hash_strings(values: pa.Array, seed: int) -> NDArray[np.uint32]:
    """MurmurHash3 of each string of an array without nulls, shape (len(values),)."""
    plain = values.cast(pa.large_string())
    out = np.empty(len(plain), np.uint32)
    if len(plain):
        _, offsets_buffer, data_buffer = plain.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int64)[plain.offset :][: len(plain) + 1]
        data = np.frombuffer(data_buffer or b"\0", np.uint8)
        _murmur3_all(offsets, data, np.uint32(seed), out)
    return out


def slots_of(values: list[str], name: str, bits: int) -> SlotArray:
    """Slot of each text as a value of the column `name`; see `hash_slots`."""
    return hash_slots(pa.array(values, pa.string()), name, bits)


def hash_slots(column: pa.Array, name: str, bits: int) -> SlotArray:
    """Slot of each value of a text column, shape (len(column),); a null has a slot of its own.

    Parameters
    ----------
    column
        Text, plain or dictionary encoded. Each distinct value is hashed once.
    name
        The column's name; it seeds the hash, so equal values of two columns differ.
    bits
        log2 of the number of slots.
    """
    seed = murmur3_32(name)
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    # Codes index the distinct values; the last slot stands for null, as do null values in between.
    values = encoded.dictionary
    hashed = np.full(len(values) + 1, murmur3_32("\0null", seed), np.uint32)
    hashed[:-1][values.is_valid().to_numpy(zero_copy_only=False)] = hash_strings(
        values.drop_null(), seed
    )
    valid = pc.fill_null(encoded.indices.cast(pa.int64()), len(values)).to_numpy(
        zero_copy_only=False
    )
    slots: SlotArray = (hashed & np.uint32((1 << bits) - 1)).astype(np.int32)[valid]
    return slots
