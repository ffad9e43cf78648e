"""Margins computed from columns equal the weights times the block of the same rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.arrays import as_batch
from onepass.block import Linear
from onepass.encode.encoder import Encoder, Part
from onepass.encode.schema import Bool, Hashed, Label, Numeric, OneHot, Schema, Time

COLUMNS = {
    "numbers": [
        Numeric(name="plain", center=1.5, scale=3.0, missing=False),
        Numeric(name="whole", center=-2.0, scale=0.5, missing=True),
        Numeric(name="small", center=0.0, scale=1.0, missing=False),
    ],
    "truths": [Bool(name="truth", missing=True)],
    "times": [
        Time(
            name="time",
            center=1.7e9,
            scale=1e6,
            parts=["trend", "hour", "weekday", "year"],
            missing=True,
        )
    ],
    "levels": [
        OneHot(name="level", family="text", levels=["b", "a"], missing=True),
        OneHot(name="digit", family="integer", levels=["1"], missing=False),
        OneHot(name="code", family="text", levels=["z", "b", "c"], missing=True),
    ],
    "hashed": [
        Hashed(name="coded", family="text"),
        Hashed(name="text", family="text"),
        Hashed(name="number", family="integer"),
    ],
    "folders": [
        Numeric(name="day", center=3.0, scale=2.0, missing=True),
        OneHot(name="place", family="text", levels=["x", "y"], missing=True),
        Hashed(name="shard", family="integer"),
    ],
}
HIVE = {"day": "integer", "place": "text", "shard": "integer"}
FOLDERS = {"day": "7", "place": "y", "shard": "12"}
N_ROWS = 3000


def rows(n=N_ROWS, seed=1):
    rng = np.random.default_rng(seed)

    def some(values, kind=None):
        return pa.array(values, kind, mask=rng.random(n) < 0.1)

    texts = [f"value {i}" for i in rng.integers(0, 50, n)]
    plain = rng.normal(size=n).astype(np.float32)
    plain[:3] = [np.nan, np.inf, -np.inf][:n]
    return pa.table(
        {
            "plain": pa.array(plain),
            "whole": some(rng.integers(-9, 9, n)),
            "small": some(rng.integers(0, 9, n), pa.int8()),
            "truth": some(rng.random(n) < 0.3),
            "time": some(rng.integers(0, 2**31, n), pa.timestamp("s")),
            "level": some(rng.choice(["a", "b", "c"], n)),
            "digit": some(rng.integers(0, 3, n)),
            "code": some(rng.choice(["z", "a", "b", "c"], n)).dictionary_encode(),
            "coded": some(texts).dictionary_encode(),
            "text": some(texts),
            "number": some(rng.integers(0, 9, n)),
            "y": some(rng.normal(size=n)),
            "w": pa.array(rng.random(n)),
        }
    )


def encoder(kinds, **options):
    columns = [column for kind in kinds for column in COLUMNS[kind]]
    named = {column.name for column in columns}
    hive = {name: kind for name, kind in HIVE.items() if name in named}
    schema = Schema(columns=columns, label=Label(name="y"), weight="w", hash_bits=8, hive=hive)
    return Encoder(schema, **options)


def linear(schema, n_outputs, seed=2):
    rng = np.random.default_rng(seed)
    n_slots = 2**schema.hash_bits if schema.n_hashed else 0
    return Linear(
        rng.normal(size=n_outputs),
        rng.normal(size=(n_outputs, schema.n_dense)),
        rng.normal(size=(n_slots, n_outputs)),
    )


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("kinds", [*([kind] for kind in COLUMNS), [*COLUMNS]], ids=", ".join)
def test_margins_are_the_weights_times_the_features(kinds, n_outputs):
    encode = encoder(kinds)
    weights, table = linear(encode.schema, n_outputs), rows()
    features = encode.encode(table, FOLDERS, label=False)
    expected = features.block.dense @ weights.dense.T + weights.intercept
    if encode.schema.n_hashed:
        expected += weights.hashed[features.block.slots].sum(axis=1)
    found = encode.encode(table, FOLDERS, label=False, linear=weights)
    np.testing.assert_allclose(found.margins.T, expected, rtol=1e-12, atol=1e-10)
    assert found.counts == features.counts
    assert found.block.dense.shape == (N_ROWS, 0)
    assert found.block.slots.shape == (N_ROWS, 0)


@pytest.mark.parametrize("cut", [1, 7, 256, 1000])
def test_margins_are_bitwise_equal_however_the_rows_are_cut(cut):
    encode = encoder([*COLUMNS])
    weights, table = linear(encode.schema, 2), rows()
    whole = encode.encode(table, FOLDERS, label=False, linear=weights).margins
    n = min(N_ROWS, 20 * cut)
    draft = encode.draft(n, label=False, linear=weights)
    for at in range(0, n, cut):
        draft.write(Part(as_batch(table.slice(at, min(cut, n - at))), FOLDERS))
    np.testing.assert_array_equal(draft.finish().margins, whole[:, :n])


def test_rows_without_label_are_dropped_from_margins_labels_and_weights():
    encode = encoder(["numbers"], drop_null_label=True)
    weights, table = linear(encode.schema, 2), rows()
    features, found = (encode.encode(table, {}, linear=one) for one in (None, weights))
    np.testing.assert_array_equal(found.block.label, features.block.label)
    np.testing.assert_array_equal(found.block.weight, features.block.weight)
    expected = features.block.dense @ weights.dense.T + weights.intercept
    np.testing.assert_allclose(found.margins.T, expected, rtol=1e-12, atol=1e-10)
    assert found.counts["null_label"] == table["y"].null_count > 0


def test_no_rows_have_no_margins():
    encode = encoder([*COLUMNS])
    found = encode.encode(rows(0), FOLDERS, label=False, linear=linear(encode.schema, 2))
    assert found.margins.shape == (2, 0)


@pytest.mark.parametrize("kinds", [["folders", "hashed"], ["numbers"]], ids=", ".join)
@pytest.mark.parametrize("n_outputs", [None, 2])
def test_rows_beyond_those_announced_are_refused_and_parts_without_rows_write_nothing(
    kinds, n_outputs
):
    encode = encoder(kinds)
    weights = linear(encode.schema, n_outputs) if n_outputs else None
    table = rows(20)
    parts = [Part(as_batch(table.slice(at, n)), FOLDERS) for at, n in ((0, 9), (9, 0), (9, 11))]
    draft, whole = (encode.draft(20, label=False, linear=weights) for _ in range(2))
    whole.write(Part(as_batch(table), FOLDERS))
    for part in parts:
        draft.write(part)
    found, expected = draft.finish(), whole.finish()
    for field in ("dense", "slots"):
        np.testing.assert_array_equal(getattr(found.block, field), getattr(expected.block, field))
    if n_outputs:
        np.testing.assert_array_equal(found.margins, expected.margins)
    draft.write(parts[1])
    with pytest.raises(ValueError, match="expected 20 rows in all, found 29"):
        draft.write(parts[0])


@pytest.mark.parametrize("offset", [1, 3, 8, 13])
def test_slices_that_begin_within_a_byte_of_the_null_bitmap_give_the_same_margins(offset):
    encode = encoder([*COLUMNS])
    weights, table = linear(encode.schema, 2), rows(700)
    whole = encode.encode(table, FOLDERS, label=False, linear=weights).margins
    part = encode.encode(table.slice(offset, 601), FOLDERS, label=False, linear=weights).margins
    np.testing.assert_array_equal(part, whole[:, offset : offset + 601])


def test_margins_in_another_order_of_rows_are_refused():
    encode = encoder(["numbers"])
    with pytest.raises(ValueError, match="in the order of the rows"):
        encode.draft(3, np.arange(3), linear=linear(encode.schema, 1))
