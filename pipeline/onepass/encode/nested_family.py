"""Tell which columns of lists and maps are read in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import pyarrow as pa

NestedFamily: TypeAlias = Literal["integers", "reals", "texts", "nulls", "weights", "entries"]
"""Lists of integers, of other numbers, of texts, and of no value; maps to numbers, and to texts."""


def is_list(dtype: pa.DataType) -> bool:
    """Whether a type is one of Arrow's types of lists; a map is none."""
    return bool(
        pa.types.is_list(dtype)
        or pa.types.is_large_list(dtype)
        or pa.types.is_fixed_size_list(dtype)
        or pa.types.is_list_view(dtype)
        or pa.types.is_large_list_view(dtype)
    )


def nested_family(
    dtype: pa.DataType, family: Callable[[pa.DataType], str]
) -> NestedFamily | Literal["other"]:
    """Return the family of a type of lists or maps; "other" for all that cannot be used.

    Parameters
    ----------
    family
        Returns the family of the type of elements, keys and values.
    """
    found: dict[Any, NestedFamily]
    if is_list(dtype):
        found = {"integer": "integers", "real": "reals", "text": "texts", "null": "nulls"}
        return found.get(family(dtype.value_type), "other")
    if pa.types.is_map(dtype) and family(dtype.key_type) in {"text", "integer"}:
        found = {"integer": "weights", "real": "weights", "text": "entries"}
        return found.get(family(dtype.item_type), "other")
    return "other"
