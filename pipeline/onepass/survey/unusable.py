"""Say in plain words why the values of some Arrow types are left out, and what to do about it."""

from __future__ import annotations

import pyarrow as pa

from onepass.text import clipped


def why_unusable(dtype: pa.DataType) -> str:
    """Return the reason for which a column of a type is left out, in a few words."""
    if isinstance(dtype, pa.BaseExtensionType):
        if dtype.extension_name == "arrow.uuid":
            return "an identifier (uuid), which tells nothing about further rows"
        return f"type {clipped(str(dtype))} cannot be used"
    if pa.types.is_dictionary(dtype):
        return why_unusable(dtype.value_type)
    if pa.types.is_fixed_size_binary(dtype):
        what = "perhaps a uuid" if dtype.byte_width == 16 else "perhaps an identifier or a hash"
        return f"{dtype.byte_width} bytes, {what}; write it as text to read it as a category"
    if pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or _is_binary_view(dtype):
        return "bytes without a meaning; write them as text if they are words"
    if pa.types.is_interval(dtype):
        return "an interval of months and days has no fixed length; write it as a duration"
    return f"type {clipped(str(dtype))} cannot be used"


def _is_binary_view(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary_view(dtype))
