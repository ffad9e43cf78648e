"""ISO dates and times in text, compared with Python's `datetime`."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.text_values import times_in_text

UTC = dt.UTC
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)


def seconds(text: str) -> float:
    (found,) = times_in_text(pa.array([text]), []).to_pylist()
    return math.nan if found is None else found


def moments(n: int, seed: int) -> list[dt.datetime]:
    rng = np.random.default_rng(seed)
    low, high = (dt.datetime(year, 1, 1).toordinal() for year in (1, 9999))
    days = [dt.datetime.fromordinal(int(day)) for day in rng.integers(low, high, n)]
    return [day + dt.timedelta(microseconds=int(rng.integers(86_400 * 10**6))) for day in days]


def test_every_form_that_python_writes_is_read_to_the_microsecond():
    rng = np.random.default_rng(2)
    for moment in moments(500, seed=1):
        zone = dt.timezone(dt.timedelta(minutes=int(rng.integers(-14 * 60, 14 * 60))))
        forms = [
            (moment.date().isoformat(), moment.replace(hour=0, minute=0, second=0, microsecond=0)),
            (moment.isoformat(), moment),
            (moment.isoformat(" "), moment),
            (moment.isoformat(timespec="minutes"), moment.replace(second=0, microsecond=0)),
            (moment.isoformat(timespec="seconds") + "Z", moment.replace(microsecond=0)),
            (moment.replace(tzinfo=zone).isoformat(), moment.replace(tzinfo=zone)),
        ]  # fmt: skip
        for text, wanted in forms:
            wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
            exact = (wanted - EPOCH) / dt.timedelta(seconds=1)
            assert seconds(text) == pytest.approx(exact, rel=1e-15, abs=1e-6), text


def test_every_day_of_the_calendar_is_a_day_later_than_the_one_before():
    first = dt.date(1896, 12, 30)
    days = [first + dt.timedelta(days=i) for i in range(4000)]
    found = times_in_text(pa.array([day.isoformat() for day in days]), []).to_numpy()
    np.testing.assert_array_equal(np.diff(found), 86_400)
    assert found[0] == (first - dt.date(1970, 1, 1)).days * 86_400


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("2026-03", "2026-03-01"),
        ("2026-03-01 10:00:00 UTC", "2026-03-01T10:00"),
        ("2026-03-01T10:00:00,5", "2026-03-01T10:00:00.5"),
        ("2026-03-01t10:00z", "2026-03-01T10:00"),
        ("2026-03-01T12:00+0230", "2026-03-01T09:30"),
        ("2026-03-01T12:00 -01:00", "2026-03-01T13:00"),
        ("2026-02-28T24:00", "2026-03-01"),
        ("2026-06-30T23:59:60Z", "2026-07-01"),
        ("  2026-03-01\n", "2026-03-01"),
        ("2026-03-01T00:00:00.123456789123456789", "2026-03-01T00:00:00.123456789"),
        ("2024-02-29", "2024-02-29T00:00"),
    ],
)
def test_other_forms_of_a_time_are_read_as_the_usual_one(text, like):
    np.testing.assert_allclose(seconds(text), seconds(like), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026", "20260301", "2026-3-1", "2026-13-01", "2026-00-01", "2026-02-29"),
        *("2026-04-31", "2026-03-0", "2026-03-01T", "2026-03-01T25:00", "2026-03-01T10:60"),
        *("2026-03-01T10:00:61", "2026-03-01T10:00:00.", "2026-03-01T24:00:01", "03/01/2026"),
        *("2026-03-01T10:00+", "2026-03-01T10:00+25:00", "2026-03-01T10:00+02:0", "2026-03-01x"),
        *("2026-03-01T10:00Zulu", "-2026-03-01", "2026-03-01T10", "1900-02-29", "2026/03/01"),
        *("\uff12026-03-01", "2026-03-01T10:00:00+02:00:00", "10:00", "2026-W10-1"),
    ],
)  # fmt: skip
def test_what_is_no_such_time_is_not_read(text):
    assert math.isnan(seconds(text))


def test_damaged_texts_of_any_bytes_are_read_or_not_but_never_beyond_their_end():
    rng = np.random.default_rng(3)
    good = "2026-03-01T10:11:12.5+01:00"
    texts = []
    for _ in range(3000):
        letters = list(good[: rng.integers(len(good) + 1)])
        for at in rng.integers(0, max(1, len(letters)), rng.integers(3)):
            if letters:
                letters[at] = rng.choice(list("0123456789-:.+TZ "))
        texts.append("".join(letters))
    together = times_in_text(pa.array(texts), []).to_pylist()
    alone = [times_in_text(pa.array([text]), []).to_pylist()[0] for text in texts]
    np.testing.assert_equal(together, alone)
