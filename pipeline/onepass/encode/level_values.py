"""Bring the values of a category into the one form by which its levels are named.

The same id has the same name whether a file stores it as an integer or as a float, which pandas
does to integers that meet a null.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.encode.columns import floats, plain
from onepass.encode.missing import missing_numbers, without_missing, without_numbers
from onepass.encode.scalar_kinds import Hashed, OneHot
from onepass.encode.schema import family
from onepass.encode.texts import is_text


def is_real(values: pa.Array) -> bool:
    """Whether a column holds floats or decimals."""
    return family(values.type) == "real"


def level_values(column: OneHot | Hashed, values: pa.Array) -> pa.Array:
    """Return values of a category as text, integers or truth values, or a dictionary of these."""
    if not is_text(values):
        values = without_numbers(values, missing_numbers(tuple(column.missing_texts)))
    if is_real(values):
        return whole_texts(values)
    if is_text(values) and column.blank_is_null:
        # A category that is not hashed looks up distinct values, so fewer texts are looked at.
        if isinstance(column, OneHot) and not pa.types.is_dictionary(values.type):
            values = pc.dictionary_encode(plain(values))
        return without_missing(values, column.missing_texts)
    return values


def whole_texts(values: pa.Array) -> pa.Array:
    """Return numbers as a dictionary of texts: a whole number as that of the integer, NaN as null.

    Fractions keep a text of their own, such as "2.5". So do floats so large that their type does
    not hold every integer, such as "1e+17.0": the writer may have rounded another integer to it.
    """
    coded = values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(plain(values))
    distinct = plain(coded.dictionary)
    if pa.types.is_float16(distinct.type):
        # Arrow does not spell float16. Its integers are exact below 2 ** 11, as noted below.
        distinct = distinct.cast(pa.float32())
    numbers = floats(distinct)
    exact = _is_exact(numbers, values.type)
    integers = pa.array(np.where(exact, numbers, 0).astype(np.int64)).cast(pa.string())
    own = distinct.cast(pa.string())
    if pa.types.is_floating(distinct.type):
        rounded = np.isfinite(numbers) & (numbers == np.floor(numbers)) & ~exact
        marked = pc.binary_join_element_wise(own, ".0", "")
        own = pc.if_else(pa.array(rounded), marked, own)
    texts = pc.if_else(pa.array(exact), integers, own)
    texts = pc.if_else(pa.array(np.isnan(numbers)), None, texts)
    return pa.DictionaryArray.from_arrays(coded.indices, texts)


def not_whole(values: pa.Array) -> int:
    """Return the number of values that are present and have no text of an integer."""
    numbers = floats(values)
    return int((~np.isnan(numbers) & ~_is_exact(numbers, values.type)).sum())


def _is_exact(numbers: FloatArray, dtype: pa.DataType) -> NDArray[np.bool_]:
    """Whether numbers are whole, and so small that their type holds every integer about them."""
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    digits = 11 if pa.types.is_float16(dtype) else 24 if pa.types.is_float32(dtype) else 53
    return np.asarray((numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**digits))
