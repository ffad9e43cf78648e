"""Labels as targets: by the frozen label, whatever type a file stores them in."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.target import label_target
from onepass.errors import BadColumn
from onepass.survey.label import profile_label

NAN = float("nan")


def frozen_label(values, loss="auto"):
    """The label of a model that was created on these values."""
    return profile_label("y", pa.array(values), loss).label


SAME = [
    # frozen on, later found, expected
    ([0, 1], [1.0, 0.0, None], [1, 0, NAN]),
    ([0, 1], [True, False, None], [1, 0, NAN]),
    ([True, False], [1, 0], [1, 0]),
    ([True, False], [1.0, 0.0, NAN], [1, 0, NAN]),
    ([3, 1, 2], [1.0, 3.0, 2.0], [0, 2, 1]),
    ([3, 1, 2], pa.array([1, 3], pa.uint8()), [0, 2]),
    ([3, 1, 2], pa.array([3, 2, 1], pa.float16()), [2, 1, 0]),
    ([3, 1, 2], pa.array([Decimal("2.00"), None]), [1, NAN]),
    ([3, 1, 2], pa.array([3, 3, 1]).dictionary_encode(), [2, 2, 0]),
    ([0.5, 1, -0.0], pa.array([0.5, -0.0, 0.0], pa.float32()), [1, 0, 0]),
    ([*"abc"], pa.array(["c", None, "a"], pa.large_string()), [2, NAN, 0]),
    ([*"abc"], pa.array(["c", "a"], pa.string_view()), [2, 0]),
    ([*"abc"], ["c", "", "a", "  "], [2, NAN, 0, NAN]),
    ([*"abc"], pa.array(["c", "a", None, "c"]).dictionary_encode(), [2, 0, NAN, 2]),
    (["nano", "b"], ["b", "nano"], [0, 1]),
    *((frozen, pa.nulls(2), [NAN, NAN]) for frozen in ([0, 1], [True, False], [*"ab"])),
    ([0, 1], pa.array([], pa.int8()), []),
]


@pytest.mark.parametrize(("frozen", "found", "expected"), SAME)
def test_class_is_the_same_however_a_file_stores_it(frozen, found, expected):
    loss = "softmax" if len(frozen) > 2 else "auto"
    label = frozen_label(frozen, loss)
    found = found if isinstance(found, pa.Array) else pa.array(found)
    np.testing.assert_array_equal(label_target(found, label), expected)
    if len(found):
        np.testing.assert_array_equal(label_target(found[1:], label), expected[1:])


STRANGE = [
    # frozen on, loss, later found, what the error says
    ([0, 1], "logistic", [0.0, -1.0], "expected a label of 0 or 1, found -1"),
    ([-1, 1], "hinge", [1.0, 0.0], "expected a label of -1 or 1, found 0"),
    ([0, 1], "logistic", [0.0, 0.5], "found 0.5"),
    ([0, 1], "logistic", [-math.inf, 0.0], "found -inf"),
    ([1, 2, 3], "softmax", [4, 1], "one of the 3 classes, found 4\n.*--classes.*--on-bad skip"),
    ([*"abc"], "softmax", ["a", "A"], "one of the 3 classes, found A\n"),
    ([*"ab"], "logistic", ["a", "c", "d", "c"], r"a or b, found c \(2 rows\), d\n"),
    ([*"ab"], "logistic", [0, 1], "the label must be text, found type int64"),
    ([0, 1], "logistic", ["0", "1"], "must be a number or a bool, found type string"),
    ([1, 2, 3], "softmax", ["1"], "must be a number or a bool, found type string"),
    ([0, 2], "poisson", [1.0, -0.5], "poisson loss needs labels of at least 0, found -0.5"),
    ([1, 2], "gamma", [1.0, 0.0], "gamma loss needs labels above 0, found 0"),
    ([1.5, 2], "squared", [1.0, math.inf], "1 label is infinite"),
    ([1.5, 2], "quantile", [1.0, 1e200], "labels beyond 1e"),
    ([1.5, 2], "huber", ["x"], "must be a number or a bool, found type string"),
    ([1.5, 2], "squared", [dt.date(2026, 1, 1)], "a number, a bool or text, found type date32"),
    ([0, 1], "logistic", [[1.0]], "a number, a bool or text, found type list"),
]


@pytest.mark.parametrize(("frozen", "loss", "found", "says"), STRANGE)
def test_label_that_does_not_fit_the_frozen_one_is_refused_by_name(frozen, loss, found, says):
    label = frozen_label(frozen, loss)
    with pytest.raises(BadColumn, match=rf"column 'y': .*{says}"):
        label_target(pa.array(found), label)


def test_invalid_utf8_is_an_unknown_class():
    label = frozen_label(["a", "b"])
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff\xfe", b"a"]).buffers())
    with pytest.raises(BadColumn, match="expected a label of a or b"):
        label_target(broken, label)


@pytest.mark.parametrize("kind", ["numbers", "text"])
def test_random_classes_get_their_index_whatever_type_stores_them(kind):
    rng = np.random.default_rng(3)
    for _ in range(30):
        known = np.unique(rng.integers(-50, 50, rng.integers(3, 40)))
        rows = rng.choice(known, 200)
        if kind == "text":
            label = frozen_label([f"c{i}" for i in known], "softmax")
            found = [pa.array([f"c{i}" for i in rows])]
            expected = [label.classes.index(f"c{i}") for i in rows]
        else:
            label = frozen_label(known, "softmax")
            found = [pa.array(rows.astype(t)) for t in ("i1", "i8", "f4", "f8")]
            expected = np.searchsorted(known, rows)
        for column in (*found, *(one.dictionary_encode() for one in found)):
            np.testing.assert_array_equal(label_target(column, label), expected)
