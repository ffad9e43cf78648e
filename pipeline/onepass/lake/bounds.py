"""Bounds of the values of a column chunk, decoded from the statistics of a footer.

Bounds are used to prove that rows cannot meet a condition, so only those are decoded whose order is
beyond doubt. The deprecated fields ``min`` and ``max`` are not read at all: their order was never
agreed on. Decimals in byte arrays are left out because some writers ordered their bytes without the
sign, and so are INT96 and 16-bit floats. Floats bound the values apart from NaN, and NaN meets no
comparison (`onepass.selection`). Texts may be cut short; they are bounds all the same.
"""

from __future__ import annotations

import json
import math
import struct
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from onepass.lake.footer import Footer
from onepass.lake.parquet_schema import parquet_schema
from onepass.selection.bounds import Bounds
from onepass.selection.types import Bare, kind_of, per_second

_Stored: TypeAlias = Literal["number", "moment", "float", "text", "bool"]

_ALIKE: dict[str, _Stored] = {
    "integer": "number",
    "decimal": "number",
    "moment": "moment",
    "float": "float",
    "text": "text",
    "bool": "bool",
}
"""Kinds of stored values that are bounds of a column, by the kind of its Arrow type."""

_PER_SECOND = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_DAY = 86_400


def bounds_of(footer: Footer, column: str, groups: list[int]) -> list[Bounds | None]:
    """Return the bounds of a column in some row groups; None where nothing is known."""
    chunks = footer.chunks
    leaves = [i for i, name in enumerate(chunks.columns) if name == column]
    place = footer.schema.get_field_index(column)
    if place < 0 or len(leaves) != 1 or not chunks.is_flat[leaves[0]]:
        return [None] * len(groups)
    leaf, dtype = leaves[0], footer.schema.field(place).type
    described = parquet_schema(footer.metadata).column(leaf)
    decode = _Decode(described.physical_type, json.loads(described.logical_type.to_json()), dtype)
    nulls, n_values = chunks.null_counts(), chunks.num_values
    found: list[Bounds | None] = []
    for group in groups:
        least, greatest = map(decode, chunks.bounds(group, leaf))
        if least is not None and greatest is not None and least > greatest:  # type: ignore[operator]
            least = greatest = None
        n_null = int(nulls[group, leaf])
        found.append(
            Bounds(
                dtype,
                least,
                greatest,
                may_be_null=n_null != 0 or kind_of(dtype) == "float",
                may_be_valid=n_null != int(n_values[group, leaf]),
            )
        )
    return found


class _Decode:
    """Decodes the bounds of one column; the result is None for a bound that cannot be relied on."""

    def __init__(self, physical: str, logical: dict[str, Any], dtype: pa.DataType) -> None:
        self._physical, self._logical, self._type = physical, logical, dtype

    def __call__(self, bound: bytes | None) -> Bare | None:
        if bound is None:
            return None
        stored, value = self._decoded(bound)
        if value is None or stored != _ALIKE.get(kind_of(self._type)):
            return None
        if stored == "moment":
            # The column may have a coarser unit than the file.
            unit = per_second(self._type)
            return Fraction(math.trunc(value * unit)) / unit
        found: Bare = value
        return found

    def _decoded(self, bound: bytes) -> tuple[_Stored | None, Any]:
        logical = self._logical.get("Type")
        match self._physical:
            case "BOOLEAN" if len(bound) == 1 and bound[0] < 2:
                return "bool", bound[0] == 1
            case "INT32" | "INT64" if len(bound) == (4 if self._physical == "INT32" else 8):
                return self._whole(logical, bound)
            case "FLOAT" | "DOUBLE" if len(bound) == (4 if self._physical == "FLOAT" else 8):
                value = struct.unpack("<f" if self._physical == "FLOAT" else "<d", bound)[0]
                return "float", None if math.isnan(value) else value
            case "BYTE_ARRAY" if logical in {"String", "Enum", "JSON"}:
                return "text", bound
        return None, None

    def _whole(self, logical: str | None, bound: bytes) -> tuple[_Stored | None, Any]:
        is_signed = logical != "Int" or bool(self._logical.get("isSigned"))
        number = int.from_bytes(bound, "little", signed=is_signed)
        match logical:
            case "None" | "Int":
                return "number", Fraction(number)
            case "Decimal":
                return "number", Fraction(number) / Fraction(10) ** int(self._logical["scale"])
            case "Date":
                return "moment", Fraction(number * _DAY)
            case "Timestamp":
                return "moment", Fraction(number, _PER_SECOND[self._logical["timeUnit"]])
        return None, None
