"""Dates and times in a given format, compared with Python's `strptime`."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.text_values import times_in_text
from onepass.time_words import check_format, has_zone, is_clock

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FORMATS = [
    *("%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%Y/%m/%d", "%d %b %Y", "%B %d, %Y", "%d-%b-%y"),
    *("%a, %d %b %Y %H:%M:%S %z", "%A %d %B %Y", "%Y-%m-%dT%H:%M:%S.%f", "%Y%m%dT%H%M%SZ"),
    *("%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M", "%Y%m%d%H%M%S", "%H:%M", "100%% %d/%m/%Y"),
]


def read(texts, form, missing=()):
    return times_in_text(pa.array(texts, pa.string()), list(missing), "", form).to_pylist()


def expected(text: str, form: str) -> float:
    try:
        found = dt.datetime.strptime(text.strip(), form)
    except ValueError:
        return math.nan
    if is_clock(form):
        found = found.replace(year=1970)
    found = found if found.tzinfo else found.replace(tzinfo=dt.UTC)
    return (found - EPOCH).total_seconds()


def moments(n: int, seed: int) -> list[dt.datetime]:
    rng = np.random.default_rng(seed)
    start = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)
    seconds = rng.integers(0, 8500 * 365 * 86_400, n)
    return [start + dt.timedelta(seconds=int(s), microseconds=int(s) % 10**6) for s in seconds]


@pytest.mark.parametrize("form", FORMATS)
def test_every_date_that_python_writes_is_read_as_python_reads_it(form):
    texts = [moment.strftime(form) for moment in moments(200, seed=1)]
    found = read([f" {text}" for text in texts], form)
    wanted = [expected(text, form) for text in texts]
    assert not any(map(math.isnan, wanted))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_dates_are_read_or_refused_as_by_python(form):
    rng = np.random.default_rng(2)
    texts = []
    for moment in moments(300, seed=3):
        text = list(moment.strftime(form))
        for _ in range(int(rng.integers(1, 3))):
            place = int(rng.integers(len(text)))
            text[place : place + int(rng.integers(0, 2))] = rng.choice(list("0139 /.:-xXAP"))
        texts.append("".join(text))
    wanted = np.array([expected(text, form) for text in texts])
    found = np.array(read(texts, form))
    agree = np.isclose(found, wanted, atol=1e-5) | (np.isnan(found) & np.isnan(wanted))
    odd = [text for text, same in zip(texts, agree, strict=True) if not same]
    # Numbers without a mark between them may be cut elsewhere than by Python, if one is too short.
    # Names of weekdays are not looked up, and fractions may go on to nanoseconds.
    is_loose = any(part in form for part in ("%m%d", "%H%M", "%a", "%A", "%f"))
    assert len(odd) <= (len(texts) // 4 if is_loose else 3), odd[:5]
    assert np.isnan(wanted).sum() > 50


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(("31.02.2025", "%d.%m.%Y"), ("00.01.2025", "%d.%m.%Y"), ("1.13.2025", "%d.%m.%Y")),
        *(("1.1.25", "%d.%m.%Y"), ("", "%d.%m.%Y"), ("x", "%d.%m.%Y"), ("1.1.2025x", "%d.%m.%Y")),
        *(("24:00", "%H:%M"), ("13:00 PM", "%I:%M %p"), ("1 Jax 2025", "%d %b %Y")),
        *(("2025", "%Y%m%d"), ("20251", "%Y%m%d"), ("12:00 ZM", "%I:%M %p")),
    ],
)
def test_text_that_is_no_such_date_is_nan(text, form):
    missing = [] if text else ["?"]
    (found,) = read([text or "é"], form, missing)
    assert math.isnan(found)


def test_words_for_nothing_and_blanks_are_null_and_dictionaries_are_read_once_each():
    texts = pa.array(["31.12.2025", "?", None, " ", "soon", "31.12.9999"] * 3)
    for form in (texts, texts.dictionary_encode(), texts.cast(pa.large_string())):
        found = times_in_text(form, ["?", "31.12.9999"], "", "%d.%m.%Y").to_pylist()[:6]
        assert found[0] == 1767139200
        assert found[1:4] == [None] * 3
        assert math.isnan(found[4])
        assert found[5] is None


@pytest.mark.parametrize("form", ["%d.%m", "%Y", "soon", "%d.%m.%Q", "%", "%M:%S", "%m/%Y"])
def test_format_without_a_whole_date_or_time_is_refused(form):
    with pytest.raises(ValueError, match=r"expected"):
        check_format(form)


def test_formats_say_whether_they_have_a_date_and_a_zone():
    for form in FORMATS:
        check_format(form)
    assert [form for form in FORMATS if is_clock(form)] == ["%H:%M"]
    assert [form for form in FORMATS if has_zone(form)] == ["%a, %d %b %Y %H:%M:%S %z"]
