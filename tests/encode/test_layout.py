"""Layout: files give the same rows whatever files the encoder has seen before."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.layout import lay_out
from onepass.encode.scalar_kinds import Bool, Numeric, OneHot
from onepass.encode.schema import Label, Schema

SCHEMA = Schema(
    columns=[
        Numeric(name="a", center=1.0, scale=2.0, missing=True),
        OneHot(name="level", family="text", levels=["x", "y"], missing=False),
        Numeric(name="b", center=0.0, scale=1.0, missing=False),
        Bool(name="on", missing=False),
    ],
    label=Label(name="y", center=0.0, scale=1.0, base=0.0),
    weight=None,
    hash_bits=4,
    hive={},
)

A = pa.array([1.0, None, 3.0, np.nan])
B = pa.array([0, 5, -7, 2])
LEVEL, ON, Y = pa.array(["x", "y", None, "z"]), pa.array([True, False, True, True]), pa.array(B)

KINDS = {
    "as written": {"a": A, "level": LEVEL, "b": B, "on": ON, "y": Y},
    "another order": {"y": Y, "on": ON, "b": B, "level": LEVEL, "a": A},
    "more columns": {"c": B, "a": A, "d": LEVEL, "level": LEVEL, "b": B, "on": ON, "y": Y},
    "narrow": {"a": A.cast(pa.float32()), "b": B.cast(pa.int8()), "level": LEVEL, "on": ON, "y": Y},
    "one type": {"a": A, "b": B.cast(pa.float64()), "level": LEVEL, "on": ON, "y": Y},
    "dictionaries": {n: v.dictionary_encode() for n, v in {"a": A, "b": B, "level": LEVEL}.items()}
    | {"on": ON, "y": Y},
    "decimals": {"a": A, "b": B.cast(pa.decimal128(21, 2)), "level": LEVEL, "on": ON, "y": Y},
}


def test_files_of_different_schemas_give_the_same_rows_in_any_order():
    expected = Encoder(SCHEMA).encode(pa.table(KINDS["as written"]), {})
    assert expected.counts["unexpected_null"] + expected.counts["non_finite"] > 0
    everything = Encoder(SCHEMA)
    for pair in permutations(KINDS, 2):
        encoder = Encoder(SCHEMA)
        for name in pair:
            for one in (encoder, everything):
                found = one.encode(pa.table(KINDS[name]), {})
                np.testing.assert_array_equal(found.block.dense, expected.block.dense, str(pair))
                assert found.counts == expected.counts, pair


@pytest.mark.parametrize("name", KINDS)
def test_each_column_is_laid_out_once_with_its_own_features(name):
    found = lay_out(SCHEMA, pa.table(KINDS[name]).schema)
    features = [f for g in found.groups for f in g.scaled.feature] + [
        first for _, first, _ in found.others
    ]
    names = [c.name for g in found.groups for c in g.columns] + [c.name for c, *_ in found.others]
    assert dict(zip(names, features, strict=True)) == {"a": 0, "level": 2, "b": 4, "on": 5}
