"""Thrift's compact protocol: take a Parquet footer apart, and put it together with other fields.

A struct is a dict of field numbers to (kind, value). A list is a pair of the kind of its elements
and the elements. Nothing is checked: a footer that no writer would write can be written.

References
----------
Apache Thrift, "Thrift Compact protocol encoding" (doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

import struct
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

INTEGERS = (I16, I32, I64)

Struct = dict[int, tuple[int, Any]]


class Raw(bytes):
    """A struct as bytes that are written as they are."""


def read_struct(data: bytes) -> Struct:
    """Take the struct at the beginning of `data` apart."""
    return _Reader(data).struct()


def write_struct(value: Struct | Raw) -> bytes:
    """Put a struct together."""
    if isinstance(value, Raw):
        return bytes(value)
    out, last = bytearray(), 0
    for number, (kind, content) in value.items():
        if kind in (TRUE, FALSE):
            kind = TRUE if content else FALSE
        if 0 < number - last < 16:
            out.append(number - last << 4 | kind)
        else:
            out += bytes([kind]) + _zigzag(number)
        last = number
        if kind not in (TRUE, FALSE):
            out += _write(kind, content)
    return bytes(out + b"\0")


def _write(kind: int, value: Any) -> bytes:
    if kind in INTEGERS:
        return _zigzag(value)
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind in (LIST, SET):
        return _write_list(*value)
    if kind == STRUCT:
        return write_struct(value)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    return bytes([(TRUE if value else FALSE) if kind in (TRUE, FALSE) else value & 255])


def _write_list(kind: int, values: list[Any]) -> bytes:
    n = len(values)
    head = bytes([n << 4 | kind]) if n < 15 else bytes([0xF0 | kind]) + _varint(n)
    return head + b"".join(_write(kind, value) for value in values)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> bytes:
    return _varint((value << 1 ^ value >> 63) & (1 << 64) - 1)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self) -> Struct:
        found: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            boolean = kind in (TRUE, FALSE)
            found[number] = (kind, kind == TRUE if boolean else self._value(kind))
        return found

    def _value(self, kind: int) -> Any:
        if kind in INTEGERS:
            return self._zigzag()
        if kind == BINARY:
            return self._take(self._varint())
        if kind in (LIST, SET):
            head = self._byte()
            n = head >> 4 if head >> 4 < 15 else self._varint()
            return head & 15, [self._value(head & 15) for _ in range(n)]
        if kind == STRUCT:
            return self.struct()
        if kind == DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == BYTE:
            return self._byte()
        if kind in (TRUE, FALSE):
            return self._byte() == TRUE
        raise ValueError(f"a field of kind {kind}")

    def _take(self, n: int) -> bytes:
        self._at += n
        return self._data[self._at - n : self._at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _varint(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) > 127:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
