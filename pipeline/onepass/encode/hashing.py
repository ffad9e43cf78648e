"""Hash values to weight slots. The value decides the slot, never its code in a dictionary.

The hash is MurmurHash3 x86 32-bit (A. Appleby, 2011, public domain), which scikit-learn's
`FeatureHasher` and Vowpal Wabbit use, too. It is compiled here because a Python call for each
distinct value costs more than decoding the column.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import SlotArray
from onepass.encode.columns import as_text, plain
from onepass.encode.dictionaries import Kept
from onepass.jit import compiled

_C1 = np.uint32(0xCC9E2D51)
_C2 = np.uint32(0x1B873593)


@compiled
def rotate(x: np.uint32, by: int) -> np.uint32:
    """Rotate the bits of a word to the left."""
    return np.uint32((x << np.uint32(by)) | (x >> np.uint32(32 - by)))


@compiled
def mix(k: np.uint32) -> np.uint32:
    """Mix the bits of one word of data, before it changes the state of the hash."""
    return np.uint32(rotate(np.uint32(k * _C1), 15) * _C2)


@compiled
def settle(h: np.uint32) -> np.uint32:
    """Mix the final state of the hash, already combined with the number of bytes."""
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@compiled
def _murmur3(data: NDArray[np.uint8], start: int, end: int, seed: np.uint32) -> np.uint32:
    # Indices are unsigned: numba would check a signed one for being negative at each byte.
    h, at, stop = np.uint32(seed), np.uint64(start), np.uint64(end)
    while at + np.uint64(4) <= stop:
        k = (
            np.uint32(data[at])
            | np.uint32(data[at + np.uint64(1)]) << np.uint32(8)
            | np.uint32(data[at + np.uint64(2)]) << np.uint32(16)
            | np.uint32(data[at + np.uint64(3)]) << np.uint32(24)
        )
        h ^= mix(np.uint32(k))
        h = np.uint32(rotate(h, 13) * np.uint32(5) + np.uint32(0xE6546B64))
        at += np.uint64(4)
    rest, shift = np.uint32(0), np.uint32(0)
    while at < stop:
        rest |= np.uint32(data[at]) << shift
        shift += np.uint32(8)
        at += np.uint64(1)
    h ^= mix(rest)
    return settle(np.uint32(h ^ np.uint32(end - start)))


@compiled
def _murmur3_all(
    offsets: NDArray[Any], data: NDArray[np.uint8], seed: np.uint32, out: NDArray[np.uint32]
) -> None:
    for i in range(len(out)):
        out[i] = _murmur3(data, offsets[i], offsets[i + 1], seed)


@cache
def murmur3_32(text: str, seed: int = 0) -> int:
    """Return MurmurHash3 x86 32-bit of the UTF-8 bytes of `text`, as an unsigned integer."""
    return int(hash_strings(pa.array([text], pa.large_string()), seed)[0])


def hash_strings(values: pa.Array, seed: int) -> NDArray[np.uint32]:
    """Return MurmurHash3 of each string, shape (len(values),); the hash of null is arbitrary."""
    large = pa.types.is_large_string(values.type)
    texts = values if large or pa.types.is_string(values.type) else values.cast(pa.string())
    out = np.empty(len(texts), np.uint32)
    if len(texts):
        _, offsets_buffer, data_buffer = texts.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int64 if large else np.int32)
        # Without any characters Arrow has no buffer or an empty one, which numpy refuses.
        data = np.frombuffer(data_buffer or b"\0", np.uint8)
        _murmur3_all(offsets[texts.offset :][: len(texts) + 1], data, np.uint32(seed), out)
    return out


def slots_of(values: list[str], name: str, bits: int) -> SlotArray:
    """Return the slot of each text as a value of the column `name`; see `hash_slots`."""
    return hash_slots(pa.array(values, pa.string()), name, bits)


def hash_slots(column: pa.Array, name: str, bits: int) -> SlotArray:
    """Return the slot of each value of a column, shape (len(column),); see `slot_codes`."""
    codes, slot_of = slot_codes(column, name, bits)
    places = pc.fill_null(codes, len(slot_of) - 1).to_numpy() if slot_of is not None else codes
    return np.asarray(places if slot_of is None else slot_of[places], np.int32)


def slot_codes(column: pa.Array, name: str, bits: int) -> tuple[pa.Array, SlotArray | None]:
    """Return codes of a column's values and the slot of each code, or the slots themselves.

    Parameters
    ----------
    column
        Text, integers, or a dictionary of these. The values of a dictionary are hashed once. Plain
        text is hashed row by row, which costs less than finding the distinct values.
    name
        Name of the column. It seeds the hash, so equal values of two columns have different slots.
    bits
        log2 of the number of slots.

    Returns
    -------
    Codes of type int32, null for a null value, and the slot of each code followed by the slot of
    null; or slots of type int32 without nulls, and None.
    """
    column = column if _is_plain_text(column.type) else _dictionary(column)
    if not pa.types.is_dictionary(column.type):
        return pa.array(_slots(column, murmur3_32(name), bits)), None
    return column.indices.cast(pa.int32()), _dictionary_slots(column.dictionary, name, bits)


def hash_codes(column: pa.Array, name: str) -> tuple[NDArray[Any], NDArray[np.uint32] | None]:
    """Return codes of a column's values and the hash of each code, or the hashes themselves.

    Parameters
    ----------
    column, name
        See `slot_codes`, whose slots are the last bits of these hashes.

    Returns
    -------
    Codes, and the hash of each code followed by that of null; or hashes, and None.
    """
    seed = murmur3_32(name)
    column = column if _is_plain_text(column.type) else _dictionary(column)
    if not pa.types.is_dictionary(column.type):
        return _hashes(column, seed), None
    table = _known_hashes.setdefault(name, Kept()).get(
        column.dictionary, lambda values: np.append(_hashes(as_text(values), seed), _of_null(seed))
    )
    codes = pc.fill_null(column.indices.cast(pa.int32()), len(table) - 1)
    return codes.to_numpy(), table


_known: dict[tuple[str, int], Kept[SlotArray]] = {}
_known_hashes: dict[str, Kept[NDArray[np.uint32]]] = {}


def _dictionary_slots(distinct: pa.Array, name: str, bits: int) -> SlotArray:
    """Return the slot of each value of a dictionary, followed by the slot of null."""
    seed = murmur3_32(name)

    def slots(values: pa.Array) -> SlotArray:
        null = pa.nulls(1, pa.string())
        return np.append(_slots(as_text(values), seed, bits), _slots(null, seed, bits))

    return _known.setdefault((name, bits), Kept()).get(distinct, slots)


def _slots(texts: pa.Array, seed: int, bits: int) -> SlotArray:
    return (_hashes(texts, seed) & np.uint32((1 << bits) - 1)).astype(np.int32)


def _hashes(texts: pa.Array, seed: int) -> NDArray[np.uint32]:
    hashed = hash_strings(texts, seed)
    if texts.null_count:
        hashed[texts.is_null().to_numpy(zero_copy_only=False)] = _of_null(seed)
    return hashed


def _of_null(seed: int) -> int:
    return murmur3_32("\0null", seed)


def _is_plain_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def _dictionary(values: pa.Array) -> pa.Array:
    return values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(plain(values))
