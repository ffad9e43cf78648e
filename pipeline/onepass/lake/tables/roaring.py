"""Decode sets of row numbers that are stored as Roaring bitmaps.

Delta's deletion vectors hold a 64-bit set: a number of 32-bit bitmaps, each behind the upper half
of its numbers. A 32-bit bitmap holds containers of at most 65,536 numbers with the same upper half.
Every number read from the bytes is checked before memory is taken for it.

References
----------
Roaring bitmaps, format specification (RoaringBitmap/RoaringFormatSpec), with its extension for
64-bit implementations.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from onepass.block import IntArray

_WITH_RUNS, _WITHOUT_RUNS = 12347, 12346
"""Cookies at the start of a 32-bit bitmap."""

_MOST_IN_ARRAY = 4096
"""A container with more numbers is a map of 65,536 bits."""

_LEAST_WITH_OFFSETS = 4
"""A bitmap with runs holds the offsets of its containers if it has at least so many."""


class _Bytes:
    """Bytes that are read from the start; reading behind the end raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def numbers(self, kind: str, count: int) -> IntArray:
        """Return the next numbers, which are stored in little-endian order."""
        size = np.dtype(kind).itemsize * count
        if self._at + size > len(self._data):
            raise ValueError(f"the bitmap goes on behind its {len(self._data):,} bytes")
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += size
        return found.astype(np.int64)

    def number(self, kind: str) -> int:
        return int(self.numbers(kind, 1)[0])

    def check_end(self) -> None:
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at:,} bytes stand behind the bitmap")


def decoded_64(data: bytes, count: int) -> IntArray:
    """Return the numbers of a 64-bit bitmap in the portable format, ascending.

    Parameters
    ----------
    data
        The number of 32-bit bitmaps (8 bytes), and then each behind its key (4 bytes).
    count
        How many numbers the bitmap must hold.

    Returns
    -------
    Shape (count,).

    Raises
    ------
    ValueError
        If the bytes are no such bitmap, or it holds another count of numbers.
    """
    source = _Bytes(data)
    n_bitmaps = source.number("<i8")
    # A key and a bitmap take at least 12 bytes.
    if not 0 <= n_bitmaps <= len(data) // 12:
        raise ValueError(f"the bitmap claims {n_bitmaps:,} parts in {len(data):,} bytes")
    return _joined(source, n_bitmaps, count, keyed=True)


def decoded_native(data: bytes, count: int, order: Literal["<", ">"] = "<") -> IntArray:
    """Return the numbers of a bitmap in Delta's older format, as `decoded_64` does.

    Parameters
    ----------
    data
        The number of 32-bit bitmaps (4 bytes), and then each behind its length (4 bytes); the
        place in this list is the upper half of the numbers.
    order
        Order of the bytes of number and lengths, as numpy writes it.
    """
    source = _Bytes(data)
    n_bitmaps = source.number(f"{order}i4")
    if not 0 <= n_bitmaps <= len(data) // 12:
        raise ValueError(f"the bitmap claims {n_bitmaps:,} parts in {len(data):,} bytes")
    return _joined(source, n_bitmaps, count, keyed=False)


def _joined(source: _Bytes, n_bitmaps: int, count: int, *, keyed: bool) -> IntArray:
    pieces, left, before = [np.empty(0, np.int64)], count, -1
    for at in range(n_bitmaps):
        # Without keys the number is the length of the bitmap, which its header tells as well.
        number = source.number("<u4")
        key = number if keyed else at
        if not before < key < 1 << 31:
            raise ValueError("the parts of the bitmap are not in ascending order")
        piece = _decoded_32(source, left)
        pieces.append(piece + (key << 32))
        left, before = left - len(piece), key
    source.check_end()
    if left:
        raise ValueError(f"expected {count:,} numbers, found {count - left:,}")
    return np.concatenate(pieces)


def _decoded_32(source: _Bytes, most: int) -> IntArray:
    cookie = source.number("<u4")
    if cookie & 0xFFFF == _WITH_RUNS:
        n_containers = (cookie >> 16) + 1
        flags = source.numbers("u1", (n_containers + 7) // 8).astype(np.uint8)
        has_runs = np.unpackbits(flags, bitorder="little")[:n_containers].astype(bool)
    elif cookie == _WITHOUT_RUNS:
        n_containers = source.number("<u4")
        if n_containers > 1 << 16:
            raise ValueError(f"the bitmap claims {n_containers:,} containers")
        has_runs = np.zeros(n_containers, bool)
    else:
        raise ValueError(f"expected a Roaring bitmap, found the cookie {cookie}")
    header = source.numbers("<u2", 2 * n_containers).reshape(-1, 2)
    keys, counts = header[:, 0], header[:, 1] + 1
    if counts.sum() > most:
        raise ValueError(f"the bitmap holds more numbers than the {most:,} that are left")
    if (np.diff(keys) <= 0).any():
        raise ValueError("the containers of the bitmap are not in ascending order")
    if cookie == _WITHOUT_RUNS or n_containers >= _LEAST_WITH_OFFSETS:
        source.numbers("<u4", n_containers)
    pieces = [np.empty(0, np.int64)]
    for key, count, runs in zip(keys, counts, has_runs, strict=True):
        pieces.append(_container(source, int(count), bool(runs)) + (key << 16))
    return np.concatenate(pieces)


def _container(source: _Bytes, count: int, has_runs: bool) -> IntArray:
    if has_runs:
        runs = source.numbers("<u2", 2 * source.number("<u2")).reshape(-1, 2)
        starts, lengths = runs[:, 0], runs[:, 1] + 1
        if lengths.sum() != count:
            raise ValueError(f"a container holds {lengths.sum():,} numbers and claims {count:,}")
        ends = np.cumsum(lengths)
        found = np.arange(count) + np.repeat(starts - (ends - lengths), lengths)
    elif count > _MOST_IN_ARRAY:
        bits = source.numbers("u1", 8192).astype(np.uint8)
        found = np.flatnonzero(np.unpackbits(bits, bitorder="little")).astype(np.int64)
    else:
        found = source.numbers("<u2", count)
    if len(found) != count or (np.diff(found) <= 0).any() or (count and found[-1] > 0xFFFF):
        raise ValueError("the numbers of a container are not in ascending order, or not all there")
    return np.asarray(found, np.int64)
