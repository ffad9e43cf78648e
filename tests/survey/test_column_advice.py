"""Advice about columns that may mean something else than they are read as."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.scalar_kinds import Numeric, Time
from onepass.survey.profile import Choice, profile_columns

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(20, 5, 1000)


def profile(values, **choice):
    (found,) = profile_columns(pa.table({"x": values}), {}, Choice(**choice), set())
    return found


@pytest.mark.parametrize("mark", [-999.0, 9999.0, -9999.0, -99999.0])
def test_outermost_number_that_occurs_often_is_named_with_the_option(mark):
    values = np.where(np.arange(1000) % 50 == 0, mark, NUMBERS)
    found = profile(pa.array(values))
    assert f"x: {mark:g} in 2.0% of the rows; --missing {mark:g} if it stands for" in found.warning
    assert not found.use.missing
    told = profile(pa.array(values), missing=(f"{mark:g}",))
    assert told.warning is None
    assert told.use.missing


@pytest.mark.parametrize(
    "values",
    [
        NUMBERS,
        np.where(np.arange(1000) < 3, -999.0, NUMBERS),
        np.where(np.arange(1000) % 50 == 0, -1000.0, NUMBERS),
        np.where(np.arange(1000) % 50 == 0, 999.0, RNG.uniform(0, 998, 1000)),
        np.where(np.arange(1000) % 50 == 0, -1.0, 0.0),
    ],
    ids=["none", "rare", "round", "within reach", "two values"],
)
def test_other_numbers_need_no_advice(values):
    assert profile(pa.array(values)).warning is None


@pytest.mark.parametrize(
    ("known", "what"),
    [([f"{number:.2f}" for number in NUMBERS[:500]], "numbers"),
     ([f"{day % 28 + 1}.{day % 12 + 1}.2025" for day in range(500)], "dates or times"),
     ([f"2025-{day % 12 + 1:02}-{day % 28 + 1:02}" for day in range(500)], "dates or times")],
)  # fmt: skip
def test_word_that_keeps_texts_from_being_read_is_named_with_the_option(known, what):
    values = [text if i % 20 else "unknown" for i, text in enumerate(known)]
    found = profile(pa.array(values))
    assert f"95.0% of the texts are {what}, but not 'unknown'; --missing unknown" in found.warning
    told = profile(pa.array(values), missing=("unknown",))
    assert isinstance(told.use, Numeric if what == "numbers" else Time)
    assert told.warning is None
