"""Numbers and times in text: read alike in every block, with what stands for nothing told apart."""

from __future__ import annotations

import math
import re

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode import text_values
from onepass.encode.missing import MISSING_TEXTS, without_missing
from onepass.encode.text_values import numbers_in_text, times_in_text

TYPES = [pa.string(), pa.large_string(), pa.string_view()]

NUMBERS = ["1", "-2.5", "+3", ".5", "7.", "1e3", "-4E-2", "0", " 12 ", "1e400", "007", "\t8\n"]
MISSING = [None, "", "  ", "?", "NA", "n/a", "NULL", "None", "-", "NaN", " null "]
NEITHER = ["x", "1,5", "1 2", "0x10", "1e", "inf", "--1", "1_000", "\u0661", "1d", "Infinity"]


def expected(text: str | None) -> float | None:
    if text is None or text.strip().lower() in {"", *MISSING_TEXTS}:
        return None
    plain = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text.strip(), re.ASCII)
    return float(text) if plain else math.nan


def read(texts, dtype=TYPES[0], reader=numbers_in_text):
    values = pa.array(texts, pa.string()).cast(dtype)
    return reader(values, MISSING_TEXTS).to_pylist()


@pytest.mark.parametrize("text", NUMBERS + MISSING + NEITHER)
def test_a_text_is_a_number_or_missing_or_unreadable_whatever_the_texts_beside_it(text):
    rng = np.random.default_rng(0)
    for _ in range(5):
        others = rng.choice(np.array(NUMBERS + MISSING + NEITHER, object), 4).tolist()
        for beside in ([], ["1", "2"], others):
            found = read([*beside, text, *beside])
            np.testing.assert_equal(found[len(beside)], expected(text))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_texts_of_each_type_plain_coded_or_cut_are_read_alike(dtype):
    texts = NUMBERS + MISSING + NEITHER
    values = pa.array(["x", *texts, "y"]).cast(dtype)
    for form in (values, values.cast(pa.string()).dictionary_encode()):
        found = numbers_in_text(form.slice(1, len(texts)), MISSING_TEXTS).to_pylist()
        np.testing.assert_equal(found, [expected(text) for text in texts])


def test_only_blank_text_is_missing_among_numbers_whose_frozen_markers_are_none():
    found = numbers_in_text(pa.array(["?", "", "1"]), []).to_pylist()
    np.testing.assert_equal(found, [math.nan, None, 1.0])


def test_times_tell_missing_and_unreadable_texts_apart():
    found = read(["1970-01-02", "?", "", None, "tomorrow", "12"], reader=times_in_text)
    np.testing.assert_equal(found, [86_400.0, None, None, None, math.nan, math.nan])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_blank_texts_become_null_and_all_others_stay(dtype):
    rng = np.random.default_rng(1)
    texts = rng.choice(
        np.array(["", " ", "\t\n", "a", " b", "ü", "NA", "\u00a0", None], object), 300
    )
    values = pa.array(texts.tolist(), pa.string()).cast(dtype)
    wanted = [t if t is None or t.strip(" \t\n") else None for t in texts]
    for start, n in [(0, 300), (7, 100), (13, 1), (299, 1), (5, 0)]:
        cut = values.slice(start, n)
        assert without_missing(cut).to_pylist() == wanted[start : start + n]
        coded = values.cast(pa.string()).dictionary_encode().slice(start, n)
        assert without_missing(coded).to_pylist() == wanted[start : start + n]
        without_missing(cut).validate(full=True)


def test_column_without_blanks_is_not_copied():
    for values in (pa.array(["a", None, " b"]), pa.array(["a", "b"]).dictionary_encode()):
        assert without_missing(values) is values


def test_texts_of_a_dictionary_are_read_once_for_all_batches_that_share_it(monkeypatch):
    read_texts = []
    real = text_values._numbers

    def counted(texts, *others):
        read_texts.append(len(texts))
        return real(texts, *others)

    monkeypatch.setattr(text_values, "_numbers", counted)
    coded = pa.array([f"{i % 50}.25" for i in range(1000)]).dictionary_encode()
    for start in range(0, 1000, 100):
        found = numbers_in_text(coded.slice(start, 100), MISSING_TEXTS, "some column")
        assert found.to_pylist() == [i % 50 + 0.25 for i in range(start, start + 100)]
    assert read_texts == [50]
    # The same dictionary with other words for nothing is read anew.
    words = pa.array(["1", "?"]).dictionary_encode()
    assert numbers_in_text(words, ["?"], "some column").to_pylist() == [1.0, None]
    np.testing.assert_equal(numbers_in_text(words, [], "some column").to_pylist(), [1.0, math.nan])
