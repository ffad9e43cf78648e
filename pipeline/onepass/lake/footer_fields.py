"""Collect the numbers that a Parquet footer holds of each column chunk from its bytes.

A footer is a struct in Thrift's compact protocol. It is walked by one compiled loop, because a
footer of 1,000 columns and 100 row groups has millions of fields. Every step consumes a byte or
closes a struct or list, and no read goes beyond the end. So any bytes give numbers or an error, in
bounded time and memory.

References
----------
Apache Thrift, "Thrift Compact protocol encoding" (doc/specs/thrift-compact-protocol.md).
Apache Parquet, ``parquet.thrift`` (apache/parquet-format).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onepass.block import IntArray
from onepass.jit import compiled, pasted

TYPE, N_VALUES, UNCOMPRESSED, COMPRESSED, DATA_PAGE, DICTIONARY_PAGE = range(6)
NULLS, MAX_BYTES, MIN_BYTES, PRESENT = range(6, 10)
"""Places of a chunk's numbers; MAX_BYTES and MIN_BYTES tell where in the footer its greatest and
least value are, see `span`. Bit i of PRESENT tells whether the footer has the number i."""

_LENGTH_BITS = 31
"""Bits of the length of a value; footers are shorter than 2^31 bytes."""

_FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(2, 13)
"""Kinds of values in the protocol."""

_OPEN = 16
"""Kind of a struct in the stack; lists and maps have the kinds of their elements there."""

_KEY, _VALUE, _ROLE, _LEFT = range(4)
"""Numbers of an open struct, list or map in the stack: the kinds of its elements (keys and values
of a map take turns), its role, and its elements left (the last field number of a struct)."""

_MOST_DEPTH = 64
"""Maximum nesting of structs and lists, Thrift's own limit."""

_OTHER, _FILE, _GROUP, _CHUNK, _METADATA, _STATISTICS, _ENCRYPTION, _ORDER = range(8)
"""Roles of structs: all others, FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, Statistics,
EncryptionAlgorithm and ColumnOrder."""

_BEYOND = 1 << 62
"""A position behind the end of any footer, after bytes that are wrong."""

_MOST_FIELDS = 16
"""Field numbers from here on are skipped."""


def _table(entries: dict[tuple[int, int, int], int], default: int) -> IntArray:
    found = np.full((8, _MOST_FIELDS, 16), default, np.int64)
    for place, value in entries.items():
        found[place] = value
    return found


# By role, field number and kind. As in code that Thrift generates, a field of another kind is
# skipped.
_ROLES = _table(
    {
        (_FILE, 4, _LIST): _GROUP,
        (_FILE, 7, _LIST): _ORDER,
        (_FILE, 8, _STRUCT): _ENCRYPTION,
        (_GROUP, 1, _LIST): _CHUNK,
        (_CHUNK, 3, _STRUCT): _METADATA,
        (_METADATA, 12, _STRUCT): _STATISTICS,
    },
    _OTHER,
)

_PLACES = _table(
    {
        (_METADATA, 1, _I32): TYPE,
        (_METADATA, 5, _I64): N_VALUES,
        (_METADATA, 6, _I64): UNCOMPRESSED,
        (_METADATA, 7, _I64): COMPRESSED,
        (_METADATA, 9, _I64): DATA_PAGE,
        (_METADATA, 11, _I64): DICTIONARY_PAGE,
        (_STATISTICS, 3, _I64): NULLS,
        (_STATISTICS, 5, _BINARY): MAX_BYTES,
        (_STATISTICS, 6, _BINARY): MIN_BYTES,
    },
    -1,
)


class Fields(NamedTuple):
    """The numbers of all column chunks, and what the footer says of the whole file."""

    numbers: IntArray
    """Shape (n_groups, n_columns, 10)."""
    is_encrypted: bool
    """Whether the footer names an algorithm of encryption."""
    is_ordered: bool
    """Whether the footer names the order of each column, without which bounds mean nothing."""


def span(number: IntArray | int) -> tuple[Any, Any]:
    """Return first byte and length of a value in the footer, from the number of MAX_BYTES."""
    return number >> _LENGTH_BITS, number & ((1 << _LENGTH_BITS) - 1)


def chunk_fields(footer: bytes, n_groups: int, n_columns: int) -> Fields:
    """Return the numbers of all column chunks.

    Parameters
    ----------
    footer
        The serialized FileMetaData; bytes behind it are ignored.
    n_groups, n_columns
        Numbers of row groups and columns, by pyarrow.

    Raises
    ------
    ValueError
        If the bytes are not such a struct, or hold other numbers of row groups or columns.
    """
    fields = np.zeros((n_groups, n_columns, PRESENT + 1), np.int64)
    # The last two counts are those of algorithms and of orders.
    counts = np.zeros(n_groups + 2, np.int64)
    stack = np.zeros((_MOST_DEPTH, 4), np.int64)
    data = np.frombuffer(footer, np.uint8)
    found = _walk(data, _ROLES, _PLACES, stack, fields, counts)
    if found < 0:
        raise ValueError("a field of the footer goes beyond its end, or has an unknown kind")
    if found != n_groups:
        raise ValueError(f"the footer has {n_groups} row groups for pyarrow, but holds {found}")
    wrong = np.flatnonzero(counts[:-2] != n_columns)
    if len(wrong):
        group = int(wrong[0])
        raise ValueError(
            f"row group {group} has {counts[group]} columns, but the schema has {n_columns}"
        )
    return Fields(fields, bool(counts[-2]), bool(counts[-1] == n_columns))


@compiled
def _walk(
    data: NDArray[np.uint8],
    roles: IntArray,
    places: IntArray,
    stack: IntArray,
    fields: IntArray,
    counts: IntArray,
) -> int:
    """Fill `fields` and `counts`; return the number of row groups, or -1 for bytes that are wrong.

    The position is a number, not an array of one, and there are no exceptions: calls with arrays
    that can be written, and exceptions, made the loop 20 times slower.
    """
    n_groups, n_columns = fields.shape[0], fields.shape[1]
    at, depth, group, column = 0, 0, -1, -1
    stack[0, _KEY], stack[0, _ROLE], stack[0, _LEFT] = _OPEN, _FILE, 0
    while 0 <= depth < _MOST_DEPTH - 1 and at < len(data):
        role, left, place = stack[depth, _ROLE], stack[depth, _LEFT], -1
        if stack[depth, _KEY] == _OPEN:
            kind, number, at = _field(data, at, left)
            stack[depth, _LEFT] = number
            known = 0 <= number < _MOST_FIELDS
            place = places[role, number, kind] if known else -1
            role = roles[role, number, kind] if known else _OTHER
        else:
            kind = stack[depth, _VALUE] if left % 2 else stack[depth, _KEY]
            kind = kind if left else 0
            stack[depth, _LEFT] = left - 1
        if kind == 0:
            depth -= 1
        elif kind == _STRUCT:
            depth += 1
            stack[depth, _KEY], stack[depth, _ROLE], stack[depth, _LEFT] = _OPEN, role, 0
            group, column = group + (role == _GROUP), column + (role == _CHUNK)
            counts[n_groups] += role == _ENCRYPTION
            counts[n_groups + 1] += role == _ORDER
            if group < n_groups and role == _CHUNK:
                counts[group] = column + 1
                if column < n_columns:
                    fields[group, column] = 0
        elif kind in (_LIST, _SET, _MAP):
            depth += 1
            stack[depth, _ROLE] = role
            at, stack[depth, _KEY], stack[depth, _VALUE], stack[depth, _LEFT] = _elements(
                data, at, kind
            )
            # The last of several lists counts.
            counts[n_groups + 1] *= role != _ORDER
            group = -1 if role == _GROUP else group
            column = -1 if role == _CHUNK else column
            if role == _CHUNK and group < n_groups:
                counts[group] = 0
        elif place >= 0 and group < n_groups and column < n_columns:
            if kind == _BINARY:
                value, at = _length(data, at)
                at += value
                value |= (at - value) << _LENGTH_BITS
            else:
                value, at = _varint(data, at)
                value = _signed(value)
            fields[group, column, place] = value
            fields[group, column, PRESENT] |= 1 << place
        else:
            at = _behind(data, at, kind, in_struct=stack[depth, _KEY] == _OPEN)
    return group + 1 if depth < 0 else -1


@pasted
def _byte(data: NDArray[np.uint8], at: int) -> int:
    # A mix of numbers with and without a sign would be computed in floating point.
    return np.int64(data[at])  # type: ignore[return-value]


@pasted
def _field(data: NDArray[np.uint8], at: int, last: int) -> tuple[int, int, int]:
    """Return kind and number of the next field of a struct, and the position behind them."""
    head = _byte(data, at)
    at += 1
    if head >> 4:
        number = last + (head >> 4)
    elif head:
        number, at = _varint(data, at)
        number = _signed(number)
    else:
        number = last
    # Numbers have 16 bits.
    return head & 15, ((number + 0x8000) & 0xFFFF) - 0x8000, at


@pasted
def _elements(data: NDArray[np.uint8], at: int, kind: int) -> tuple[int, int, int, int]:
    """Return the position behind the head of a list or map, kinds of elements, and their number."""
    if kind == _MAP:
        n, at = _length(data, at)
        if n == 0 or at >= len(data):
            return at, 0, 0, 0
        kinds = _byte(data, at)
        return at + 1, kinds >> 4, kinds & 15, 2 * n
    if at >= len(data):
        return at, 0, 0, 0
    head = _byte(data, at)
    n, at = head >> 4, at + 1
    if n == 15:
        n, at = _length(data, at)
    return at, head & 15, head & 15, n


@pasted
def _behind(data: NDArray[np.uint8], at: int, kind: int, in_struct: bool) -> int:
    """Return the position behind a value that has no values of its own."""
    if kind <= _FALSE and in_struct:
        return at  # The kind of such a field is its value.
    if kind <= _BYTE:
        return at + 1
    if kind <= _I64:
        _, at = _varint(data, at)
        return at
    if kind == _DOUBLE:
        return at + 8
    if kind == _BINARY:
        n, at = _length(data, at)
        return at + n
    return _BEYOND


@pasted
def _length(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return the number of bytes or elements that follow; each element takes a byte at least."""
    n, at = _varint(data, at)
    if n < 0 or n > len(data) - at:
        return 0, _BEYOND
    return n, at


@pasted
def _varint(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return the next number, modulo 2^64, and the position behind it."""
    value, shift = 0, 0
    while at < len(data) and shift < 64:
        found = _byte(data, at)
        at += 1
        value |= (found & 127) << shift
        if found < 128:
            return value, at
        shift += 7
    return 0, _BEYOND


@pasted
def _signed(value: int) -> int:
    return ((value >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(value & 1)
