"""Values that stand for nothing, in columns of every type."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.missing import MISSING_TEXTS, as_words, without_missing
from onepass.encode.scalar_kinds import Hashed, Numeric, OneHot, Time
from onepass.encode.schema import Label, Schema

TYPES = [pa.string(), pa.large_string(), pa.string_view()]
POOL = ["", " ", "\t", "a", " b ", "NA", " na ", "N/A", "?", "-", "--", "unknown", "UNKNOWN ",
        "unknowns", "nan", "none", "ü", "\u00a0", "nä", "x" * 50, " " * 50, "\\N",
        None]  # fmt: skip


def encode(column, values, label=None):
    schema = Schema(
        columns=[column] if column else [],
        label=label or Label(name="y"),
        weight=None,
        hash_bits=10,
        hive={},
    )
    table = pa.table({"x": values, "y": np.zeros(len(values))} if label is None else {"y": values})
    return Encoder(schema, drop_null_label=True).encode(table, {})


@pytest.mark.parametrize("words", [(), MISSING_TEXTS, (*MISSING_TEXTS, "unknown")])
def test_texts_that_python_finds_among_the_words_are_null_and_all_others_are_kept(words):
    texts = np.random.default_rng(0).choice(np.array(POOL, object), 500).tolist()
    wanted = [
        None if t is None or t.strip(" \t\n\r\v\f").lower() in {"", *words} else t for t in texts
    ]
    for kind in TYPES:
        for start, n in ((0, 500), (3, 17), (499, 1), (500, 0)):
            values = pa.array(texts, kind).slice(start, n)
            found = without_missing(values, words)
            assert found.to_pylist() == wanted[start : start + n]
            found.validate(full=True)
            coded = without_missing(values.dictionary_encode(), words)
            assert coded.to_pylist() == wanted[start : start + n]


def test_words_are_compared_without_blanks_and_in_lower_case():
    assert as_words([" Unknown", "N/A", "n/a", "-999"]) == ("unknown", "n/a", "-999")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.0, -999.0, None, 3.0]),
        pa.array([1, -999, None, 3], pa.int16()),
        pa.array([1.0, -999.0, None, 3.0]).dictionary_encode(),
        pa.array([1, -999, None, 3], pa.float32()),
        pa.array([1, -999, None, 3], pa.float32()).cast(pa.float16()),
        pa.array([Decimal(1), Decimal(-999), None, Decimal(3)], pa.decimal128(9, 2)),
        pa.array(["1", "-999.0", "?", "3"]),
    ],
    ids=lambda values: str(values.type),
)
def test_number_that_the_job_names_is_missing_in_every_type_of_number(values):
    frozen = {"name": "x", "center": 2.0, "scale": 1.0, "missing": True}
    column = Numeric(**frozen, text=values.type == pa.string(), missing_texts=["?", "-999"])
    found = encode(column, values)
    assert found.block.dense.tolist() == [[-1, 0], [0, 1], [0, 1], [1, 0]]
    assert found.counts == {}
    low = Numeric(**frozen, text=column.text, missing_texts=["?", "-999"], low=-5.0)
    np.testing.assert_array_equal(encode(low, values).block.dense, found.block.dense)


def test_number_that_no_model_names_is_a_number():
    column = Numeric(name="x", center=0.0, scale=1.0, missing=False)
    assert encode(column, pa.array([1.0, -999.0])).block.dense[:, 0].tolist() == [1, -999]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.int8()])
def test_number_that_the_job_names_is_no_level(kind):
    values = pa.array([5, -99, None, 5], kind)
    listed = OneHot(
        name="x", family="integer", levels=["5"], missing=True, whole=True, missing_texts=["-99"]
    )
    found = encode(listed, values)
    assert found.block.dense.tolist() == [[0, 0], [1, 0], [1, 0], [0, 0]]
    hashed = Hashed(name="x", family="integer", whole=True, missing_texts=["-99"])
    slots = encode(hashed, values).block.slots[:, 0].tolist()
    assert slots[0] == slots[3] != slots[1] == slots[2]


@pytest.mark.parametrize("form", ["plain", "coded"])
def test_words_are_null_in_categories_of_text_unless_the_model_is_older(form):
    values = pa.array(["a", " NA ", "?", None, "", "b"])
    values = values.dictionary_encode() if form == "coded" else values
    frozen = {"name": "x", "family": "text", "blank_is_null": True}
    new = OneHot(**frozen, levels=["b", "a"], missing=True, missing_texts=[*MISSING_TEXTS])
    old = OneHot(**frozen, levels=["b", "a"], missing=True)
    assert encode(new, values).counts == {}
    assert encode(old, values).counts == {"unknown_level": 2}
    slots = encode(Hashed(**frozen, missing_texts=["na", "?"]), values).block.slots[:, 0]
    assert len({*slots[1:5].tolist()}) == 1
    assert len({*slots.tolist()}) == 3
    older = encode(Hashed(**frozen), values).block.slots[:, 0]
    assert len({*older.tolist()}) == 5


def test_date_that_the_job_names_is_missing_in_dates_timestamps_and_texts():
    never, day = dt.date(9999, 12, 31), dt.date(2026, 1, 2)
    dates = pa.array([day, never, None])
    column = Time(
        name="x", center=0, scale=86_400, parts=["trend"], missing=True, text=True,
        missing_texts=["?", "9999-12-31"],
    )  # fmt: skip
    texts = pa.array([str(day), f"{never} 00:00", "?"])
    for values in (dates, dates.cast(pa.date64()), dates.cast(pa.timestamp("us", "UTC")), texts):
        found = encode(column, values)
        assert found.block.dense.tolist() == [[20_455, 0], [0, 1], [0, 1]]


def test_words_are_missing_labels_of_text_and_numbers_of_numbers():
    classes = Label(name="y", family="text", classes=["a", "b"], missing_texts=["?", "unknown"])
    found = encode(None, pa.array(["a", "Unknown", " ? ", "b", None]), classes)
    assert found.block.label.tolist() == [0, 1]
    assert found.counts == {"null_label": 3}
    number = Label(name="y", missing_texts=["-999"])
    found = encode(None, pa.array([1.5, -999.0, 2.0]), number)
    assert found.block.label.tolist() == [1.5, 2.0]
    zeros = Label(name="y", classes=["0", "1"], missing_texts=["-1"])
    for values in (pa.array([0, -1, 1]), pa.array([0.0, -1.0, 1.0])):
        assert encode(None, values, zeros).block.label.tolist() == [0, 1]
