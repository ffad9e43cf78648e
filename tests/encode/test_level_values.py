"""Levels of a category: named by their value, however a file stores it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.level_values import whole_texts
from onepass.encode.scalar_kinds import Hashed, OneHot
from onepass.encode.schema import Label, Schema
from onepass.errors import BadColumn

IDS = np.array([0, 7, 12, 2047, -3, 7, 12])

FORMS = [
    pa.array(IDS, pa.int64()), pa.array(IDS, pa.int16()), pa.array(IDS).dictionary_encode(),
    pa.array(IDS.astype(np.float64)), pa.array(IDS.astype(np.float32)),
    pa.array(IDS.astype(np.float16)), pa.array(IDS.astype(np.float64)).dictionary_encode(),
    pa.array([Decimal(int(i)) for i in IDS], pa.decimal128(9, 2)),
    pa.array([Decimal(int(i)) for i in IDS], pa.decimal256(50, 3)),
]  # fmt: skip


def encoder(column):
    return Encoder(
        Schema(columns=[column], label=Label(name="y"), weight=None, hash_bits=12, hive={})
    )


def encode(column, values):
    return encoder(column).encode(pa.table({"x": values}), {}, label=False)


LISTED = OneHot(
    name="x", family="integer", levels=["7", "12", "0", "2047", "-3"], missing=True, whole=True
)
HASHED = Hashed(name="x", family="integer", whole=True)


@pytest.mark.parametrize("values", FORMS[1:], ids=lambda values: str(values.type))
def test_ids_have_one_level_and_one_slot_whatever_type_a_file_stores_them_in(values):
    for column in (LISTED, HASHED):
        wanted, found = encode(column, FORMS[0]), encode(column, values)
        np.testing.assert_array_equal(found.block.dense, wanted.block.dense)
        np.testing.assert_array_equal(found.block.slots, wanted.block.slots)
        assert found.counts == wanted.counts == {}


@pytest.mark.parametrize("column", [LISTED, HASHED])
def test_ids_of_older_models_are_refused_as_floats_as_they_were_then(column):
    older = column.model_copy(update={"whole": False})
    with pytest.raises(BadColumn, match="expected an integer of any width, found type double"):
        encode(older, FORMS[3])


def test_whole_numbers_of_text_are_the_levels_of_the_integers():
    texts = whole_texts(pa.array([1.0, -0.0, 2.5, 1e15, 1e17, np.inf, None, np.nan])).to_pylist()
    assert texts == ["1", "0", "2.5", "1000000000000000", "1e+17.0", "inf", None, None]
    # A float32 beyond 2 ** 24 may be a rounded integer.
    texts = whole_texts(pa.array([16_777_215, 16_777_216], pa.float32())).to_pylist()
    assert texts == ["16777215", "16777216.0"]
    long = whole_texts(pa.array([Decimal(12345678901234567890)], pa.decimal128(20, 0))).to_pylist()
    assert long == ["12345678901234567890"]


def test_fractions_are_unknown_levels_or_hashed_by_their_own_text_and_counted():
    values = pa.array([7.0, 7.5, np.inf, np.nan, None, 7.5])
    listed = encode(LISTED, values)
    assert listed.counts == {"unknown_level": 3}
    np.testing.assert_array_equal(listed.block.dense[:, -1], [0, 1, 1, 0, 0, 1])
    np.testing.assert_array_equal(listed.block.dense[:, -2], [0, 0, 0, 1, 1, 0])
    hashed = encode(HASHED, values)
    assert hashed.counts == {"not_whole": 3}
    slots = hashed.block.slots[:, 0]
    assert slots[1] == slots[5] != slots[0]
    assert slots[3] == slots[4]


@pytest.mark.parametrize("blank_is_null", [False, True])
def test_blank_text_is_null_if_the_schema_says_so_and_a_level_in_older_models(blank_is_null):
    texts = pa.array(["a", "", " ", None, "b"] * 5)
    frozen = {"name": "x", "family": "text", "blank_is_null": blank_is_null}
    listed = OneHot(levels=["a", "b"], missing=True, **frozen)
    hashed = Hashed(**frozen)
    for values in (texts, texts.dictionary_encode(), texts.cast(pa.large_string()),
                   texts.cast(pa.string_view())):  # fmt: skip
        found = encode(listed, values)
        null, unknown = found.block.dense[:5, -2], found.block.dense[:5, -1]
        assert null.tolist() == ([0, 1, 1, 1, 0] if blank_is_null else [0, 0, 0, 1, 0])
        assert unknown.tolist() == ([0] * 5 if blank_is_null else [0, 1, 1, 0, 0])
        slots = encode(hashed, values).block.slots[:5, 0]
        assert (slots[1] == slots[3]) == (slots[2] == slots[3]) == blank_is_null


def test_frequent_values_of_hashed_ids_are_named_by_integers_and_leave_blanks_out():
    def named(column, values):
        table = pa.table({"x": values, "y": np.zeros(len(values))})
        return encoder(column).encode(table, {}).frequent["x"]

    ids = named(HASHED, pa.array([3.0, 3.0, None, 4.0]))
    assert ids == {"3": 2, "4": 1}
    texts = pa.array(["a", "", "a", " ", "b"])
    for values in (texts, texts.dictionary_encode()):
        column = Hashed(name="x", family="text", blank_is_null=True)
        assert named(column, values) == {"a": 2, "b": 1}
