"""Footers that contradict themselves: a real one, with one field changed, added or removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from thrift import (
    BINARY,
    I32,
    I64,
    INTEGERS,
    LIST,
    SET,
    STRUCT,
    Raw,
    Struct,
    read_struct,
    write_struct,
)

SCHEMA, ROW_GROUPS = 2, 4
"""Fields of FileMetaData."""

COLUMNS, META_DATA, STATISTICS = 1, 3, 12
"""Fields of RowGroup, ColumnChunk and ColumnMetaData."""

Path = tuple[Any, ...]
"""Field numbers, and indices of lists as text, from the root to a field."""

Edit = tuple[Path, str, Any]
"""The path of a field, ``"set"``, ``"drop"``, ``"cut"`` or ``"flip"``, and an argument."""

_LENGTHS = (0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 16, 17, 100)
"""Lengths of statistics: right and wrong ones of every physical type."""

_NUMBERS = (0, 1, 2, 3, 5, 6, 7, 8, 99, -1, 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63))

_EMPTY = (STRUCT, {})

_MORE_OF_CHUNK: list[tuple[int, tuple[int, Any]]] = [
    (1, (BINARY, b"elsewhere.parquet")),
    *((field, (I64, 2**62)) for field in (4, 6)),
    *((field, (I32, -7)) for field in (5, 7)),
    (8, _EMPTY),
    (8, (STRUCT, {1: _EMPTY})),
    (8, (STRUCT, {2: (STRUCT, {1: (LIST, (BINARY, [b"a"])), 2: (BINARY, b"key")})})),
    (9, (BINARY, b"secret")),
]

_MORE_OF_META_DATA: list[tuple[int, tuple[int, Any]]] = [
    *((10, (I64, number)) for number in (-1, 0, 2**62)),
    *((11, (I64, number)) for number in (-1, 0, 4, 2**62)),
    *((14, (I64, number)) for number in (-1, 2**62)),
    *((15, (I32, number)) for number in (-1, 2**31 - 1)),
    (13, (LIST, (STRUCT, [{1: (I32, 99), 2: (I32, 99), 3: (I32, -1)}]))),
    (16, _EMPTY),
    (16, (STRUCT, {1: (I64, -1), 2: (LIST, (I64, [5] * 9)), 3: (LIST, (I64, [-1]))})),
    (16, (STRUCT, {1: (I64, 2**62), 3: (LIST, (I64, []))})),
    (17, _EMPTY),
    (17, (STRUCT, {2: (LIST, (I32, [-1, 99]))})),
    (8, (LIST, (STRUCT, [{1: (BINARY, b"\xff"), 2: (BINARY, b"\xff")}]))),
    *(
        (STATISTICS, (STRUCT, {field: (BINARY, b"\xfe" * n) for field in fields}))
        for fields in ((1,), (2,), (1, 2), (5,), (6,), (5, 6))
        for n in _LENGTHS
    ),
    *(
        (STATISTICS, (STRUCT, {field: (I64, number)}))
        for field in (3, 4)
        for number in (-1, 0, 7, 2**62)
    ),
]

_MORE_OF_SCHEMA: list[tuple[int, tuple[int, Any]]] = [
    *((1, (I32, kind)) for kind in range(9)),
    *((2, (I32, length)) for length in (-1, 0, 1, 3, 12, 2**31 - 1)),
    *((3, (I32, repetition)) for repetition in range(4)),
    *((5, (I32, children)) for children in (-1, 0, 1, 2, 100, 2**31 - 1)),
    *((6, (I32, converted)) for converted in range(23)),
    *((10, (STRUCT, {logical: _EMPTY})) for logical in range(1, 19)),
    *((10, (STRUCT, {5: (STRUCT, {1: (I32, s), 2: (I32, p)})})) for s, p in ((2, 9), (-1, 99))),
    *((10, (STRUCT, {10: (STRUCT, {1: (I32, n), 2: (1, True)})})) for n in (0, 7, 8, 64)),
]

_MORE_OF_FILE: list[tuple[int, tuple[int, Any]]] = [
    (6, (BINARY, b"parquet-mr version 1.2.0 (build abc)")),
    (6, (BINARY, b"parquet-cpp version 1.0.0")),
    (6, (BINARY, b"\xff")),
    (7, (LIST, (STRUCT, []))),
    (7, (LIST, (STRUCT, [{1: _EMPTY}]))),
    (8, (STRUCT, {1: _EMPTY})),
    (8, (STRUCT, {2: _EMPTY})),
    (9, (BINARY, b"key")),
]

_MORE_OF_GROUP: list[tuple[int, tuple[int, Any]]] = [
    (4, (LIST, (STRUCT, [{1: (I32, 999), 2: (1, True), 3: (2, False)}]))),
    (4, (LIST, (STRUCT, [{}]))),
    *((7, (I32, number)) for number in (-1, 5, 2**15)),
]


def footer_start(whole: bytes) -> int:
    """Where the footer of a Parquet file begins."""
    return len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")


def with_footer(whole: bytes, footer: bytes) -> bytes:
    """A Parquet file with another footer behind its pages."""
    return whole[: footer_start(whole)] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def with_edit(whole: bytes, edit: Edit) -> bytes:
    """A Parquet file with an edit of its footer."""
    footer = read_struct(whole[footer_start(whole) : -8])
    return with_footer(whole, write_struct(edited(footer, edit)))


def edits(footer: Struct) -> list[Edit]:
    """Return all edits of a footer, some thousand of each row group."""
    found = [*_added((), _MORE_OF_FILE), *_changed((), footer)]
    for i in range(len(footer[SCHEMA][1][1])):
        found += _added((SCHEMA, str(i)), _MORE_OF_SCHEMA)
    for g, group in enumerate(footer[ROW_GROUPS][1][1]):
        found += _added((ROW_GROUPS, str(g)), _MORE_OF_GROUP)
        for c, chunk in enumerate(group[COLUMNS][1][1]):
            path = (ROW_GROUPS, str(g), COLUMNS, str(c))
            found += _added(path, _MORE_OF_CHUNK)
            found += _added((*path, META_DATA), _MORE_OF_META_DATA)
            length = len(write_struct(chunk[META_DATA][1]))
            found += [
                ((*path, META_DATA), how, at) for how in ("cut", "flip") for at in range(length)
            ]
    return found


def edited(fields: Struct, edit: Edit) -> Struct:
    """Return a footer with an edit; what the edit does not touch is shared."""
    (field, *rest), how, what = edit
    if not rest:
        return _with_field(fields, field, how, what)
    kind, content = fields[field]
    if isinstance(rest[0], str):
        of, items = content
        at = int(rest[0])
        item = edited(items[at], (tuple(rest[1:]), how, what))
        content = of, [*items[:at], item, *items[at + 1 :]]
    else:
        content = edited(content, (tuple(rest), how, what))
    return fields | {field: (kind, content)}


def _with_field(fields: Struct, field: int, how: str, what: Any) -> Struct:
    if how == "drop":
        return {number: value for number, value in fields.items() if number != field}
    if how == "set":
        return dict(sorted((fields | {field: what}).items()))
    data = write_struct(fields[field][1])
    flip = int(np.random.default_rng(what).integers(1, 256))
    raw = data[:what] if how == "cut" else _flipped(data, what, flip)
    return fields | {field: (STRUCT, Raw(raw))}


def _flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def _added(path: Path, more: list[tuple[int, tuple[int, Any]]]) -> Iterator[Edit]:
    for field, value in more:
        yield (*path, field), "set", value


def _changed(path: Path, fields: Struct) -> Iterator[Edit]:
    """Yield each field dropped, of another kind, and with other values; the same of those in it."""
    for field, (kind, value) in fields.items():
        here = (*path, field)
        yield here, "drop", None
        yield here, "set", (BINARY, b"xy") if kind != BINARY else (I64, 5)
        yield from ((here, "set", (kind, other)) for other in _others(kind, value))
        if kind == STRUCT:
            yield from _changed(here, value)
        elif kind in (LIST, SET) and value[0] == STRUCT:
            for i, one in enumerate(value[1]):
                yield from _changed((*here, str(i)), one)


def _others(kind: int, value: Any) -> list[Any]:
    if kind in INTEGERS:
        least = {I32: -(2**31), I64: -(2**63)}.get(kind, -(2**15))
        return [n for n in (value + 1, value - 1, *_NUMBERS) if least <= n < -least]
    if kind == BINARY:
        return [b"", value[:-1], value + b"\0", b"\xff" * len(value), bytes(12), bytes(1000)]
    if kind in (LIST, SET):
        of, values = value
        more = [[99], [-1, 0]] if of in INTEGERS else []
        kinds = [I64 if of != I64 else BINARY]
        same = [[], values[:-1], values + values[:1], values[::-1], *more]
        return [*((of, v) for v in same), *((k, []) for k in kinds)]
    return [{}] if kind == STRUCT else [not value]
