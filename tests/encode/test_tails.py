"""Curbed columns: clipped and logged as their schema says, in blocks, margins and folders alike."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from encoders import linear
from onepass.arrays import as_batch
from onepass.encode.encoder import Encoder, Part
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema

LOW, HIGH = -2.0, 5.0
FORMS = {
    "both": {"low": LOW, "high": HIGH},
    "high": {"high": HIGH},
    "log": {"log_unit": 0.5},
    "log and high": {"log_unit": 0.5, "high": HIGH},
}
VALUES = [1, None, 7, 0, 100, -3, 5, -2, None, -90]
TYPES = [pa.int8(), pa.int64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(21, 2)]
TYPES += [pa.dictionary(pa.int32(), pa.float64())]


def encoder(form, missing=True, hive=None):
    columns = [
        Numeric(name="x", center=0.5, scale=2.0, missing=missing, **FORMS[form]),
        Numeric(name="z", center=0.0, scale=1.0, missing=False),
    ]
    return Encoder(
        Schema(columns=columns, label=Label(name="y"), weight=None, hash_bits=4, hive=hive or {})
    )


def encode(form, x, missing=True):
    table = pa.table({"x": x, "z": np.zeros(len(x))})
    return encoder(form, missing).encode(table, {}, label=False)


def expected(form, value):
    if value is None:
        return [0.0, 1.0, 0.0]
    options = FORMS[form]
    value = min(max(value, options.get("low", -np.inf)), options.get("high", np.inf))
    if "log_unit" in options:
        value = np.sign(value) * np.log1p(abs(value) / options["log_unit"])
    return [np.float32((value - 0.5) / 2.0), 0.0, 0.0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_curbed_numbers_of_every_type_are_those_of_the_formula(form, dtype):
    if pa.types.is_dictionary(dtype):
        values = pa.array(VALUES, dtype.value_type).dictionary_encode()
    else:
        values = pa.array(VALUES, pa.int64()).cast(dtype)
    found = encode(form, values)
    want = np.array([expected(form, v) for v in VALUES], np.float32)
    np.testing.assert_allclose(found.block.dense, want, rtol=1e-6)
    low, high = FORMS[form].get("low", -np.inf), FORMS[form].get("high", np.inf)
    outside = sum(not low <= v <= high for v in VALUES if v is not None)
    assert found.counts == ({"clipped": outside} if outside else {})


def test_values_beyond_a_bound_are_read_as_the_bound():
    rng = np.random.default_rng(0)
    values = np.append(rng.standard_cauchy(3000), [1e300, -1.7e308])
    clipped = np.clip(values, LOW, HIGH)
    one, two = encode("both", values), encode("both", clipped)
    np.testing.assert_array_equal(one.block.dense, two.block.dense)
    assert one.counts == {"clipped": int((values != clipped).sum())}
    assert not two.counts


@pytest.mark.parametrize("form", FORMS)
def test_numbers_that_are_not_finite_stay_missing_and_are_counted(form):
    found = encode(form, pa.array([np.nan, np.inf, -np.inf, 1.0], from_pandas=False))
    assert found.block.dense[:, 1].tolist() == [1, 1, 1, 0]
    assert not found.block.dense[:3, 0].any()
    assert found.counts == {"non_finite": 3}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("offset", [0, 1, 8, 13])
def test_slices_blocks_and_margins_agree(form, offset):
    rng = np.random.default_rng(1)
    n = 700
    x = pa.array(9 * rng.standard_t(2, n), mask=rng.random(n) < 0.2)
    table, one = pa.table({"x": x, "z": rng.normal(size=n)}), encoder(form)
    whole = one.encode(table, {}, label=False).block.dense
    part = table.slice(offset, 601)
    found = one.encode(part, {}, label=False)
    np.testing.assert_array_equal(found.block.dense, whole[offset : offset + 601])
    weights = linear(one.schema, 2)
    margins = one.encode(part, {}, label=False, linear=weights)
    product = found.block.dense @ weights.dense.T + weights.intercept
    np.testing.assert_allclose(margins.margins.T, product, rtol=1e-12, atol=1e-10)
    assert margins.counts == found.counts
    draft = one.draft(601, label=False, linear=weights)
    for at in range(0, 601, 7):
        draft.write(Part(as_batch(part.slice(at, min(7, 601 - at))), {}))
    np.testing.assert_array_equal(draft.finish().margins, margins.margins)


def test_folder_is_curbed_as_a_column_is():
    one = encoder("both", hive={"x": "integer"})
    found = one.encode(pa.table({"z": np.zeros(3)}), {"x": "70"}, label=False)
    np.testing.assert_array_equal(found.block.dense[:, 0], [np.float32((HIGH - 0.5) / 2)] * 3)
    assert found.counts == {"clipped": 3}
