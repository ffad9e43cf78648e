"""Numbers as people write them, compared with Python's own formatting."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.encode.written_numbers import written_numbers

NUMBERS = np.round(np.random.default_rng(0).normal(0, 10 ** np.linspace(0, 8, 500)), 2)


def swapped(text: str) -> str:
    return text.translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    "form", ["{:,.2f}", "{:.2f}", "{:,.2f}%", "{:.2f} %", "${:,.2f}", "{:,.2f} €", "  {:+,.2f}"]
)
def test_numbers_are_read_as_they_were_written_with_either_mark(form):
    texts = [form.format(number) for number in NUMBERS]
    for mark, written in ((".", texts), (",", [swapped(text) for text in texts])):
        values = pa.array(written)
        for one in (values, values.cast(pa.large_string())):
            np.testing.assert_array_equal(written_numbers(one, mark), NUMBERS)


@pytest.mark.parametrize("group", [" ", "\u00a0", "\u202f", "'"])
def test_thousands_may_be_parted_by_blanks_and_apostrophes(group):
    texts = [f"{number:,.2f}".replace(",", group) for number in NUMBERS]
    np.testing.assert_array_equal(written_numbers(pa.array(texts), "."), NUMBERS)


@pytest.mark.parametrize(
    "text",
    *[["1,23", "1,2345", "12,34,567", "0,123", "1.2.3", "1.234,5", "", "$", "%", "1e5", "x1",
       "1-2", "1,234.", "٣", "--1", "nan"]],
)  # fmt: skip
def test_text_that_is_no_such_number_is_nan(text):
    assert np.isnan(written_numbers(pa.array([text, "5"]), ".")).tolist() == [True, False]


def test_column_is_encoded_by_its_mark_plain_or_coded_and_what_is_no_number_counts():
    values = pa.array(["1.234,5", "?", None, "7 %", "1,234.5"])
    column = Numeric(
        name="x", center=0, scale=1, missing=True, text=True, missing_texts=["?"], decimal_mark=","
    )
    schema = Schema(columns=[column], label=Label(name="y"), weight=None, hash_bits=8, hive={})
    for one in (values, values.dictionary_encode()):
        found = Encoder(schema).encode(pa.table({"x": one}), {}, label=False)
        assert found.block.dense.tolist() == [[1234.5, 0], [0, 1], [0, 1], [7, 0], [0, 1]]
        assert found.counts == {"unreadable_text": 1}
