"""Label: what the sample says about the loss, the classes and the scale."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from onepass.errors import BadColumn, JobError
from onepass.survey.label import profile_label
from onepass.survey.scale import robust_scale

NAN = float("nan")


def profile(values, loss="auto", classes=()):
    return profile_label("y", pa.array(values), loss, classes)


AUTO = [
    # labels, loss, classes
    ([0.0, 1, 1, NAN], "logistic", ["0", "1"]),
    ([0, 1, 1, None], "logistic", ["0", "1"]),
    ([-1, 1, -1], "logistic", ["-1", "1"]),
    ([True, False], "logistic", ["false", "true"]),
    ([True, True, None], "logistic", ["false", "true"]),
    ([Decimal("1.0"), Decimal("0.0")], "logistic", ["0", "1"]),
    (["yes", "no", None, "no"], "logistic", ["no", "yes"]),
    (["1", "0", "10"], "softmax", ["0", "1", "10"]),
    (["b", "a", "", " ", "ä"], "softmax", ["a", "b", "ä"]),
    ([str(i) for i in range(100)], "softmax", sorted(str(i) for i in range(100))),
    *(([*values, None], "squared", None) for values in ([0, 1, 2], [1, 2], [0, 2], [3, 3], [0, 0])),
    *((values, "squared", None) for values in ([0.5, -1], [0.0, 0.5, 1.0], [1, 1, 1])),
    (list(range(1000)), "squared", None),
]


@pytest.mark.parametrize(("values", "loss", "classes"), AUTO)
def test_values_suggest_the_loss(values, loss, classes):
    found = profile(values)
    assert (found.loss, found.label.classes) == (loss, classes)
    if loss != "squared":
        assert (found.label.center, found.label.scale) == (0, 1)
        assert sum(found.class_shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("values", [[0, 1, 2], [1, 2], [0.5, -1], [3, 3], [0, 0], [1, 1, 1]])
@pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
def test_numbers_are_learnt_in_their_own_scale(values, loss):
    values = np.array(values, float)
    label = profile(values, loss).label
    assert label.classes is None
    assert label.center == pytest.approx(
        np.mean(values) if loss == "squared" else np.median(values)
    )
    if loss == "squared":
        assert label.scale == pytest.approx(values.std() or 1.0)
    elif loss == "quantile":
        assert label.scale == robust_scale(values)
    assert label.scale > 0
    assert (label.base, label.domain) == (0, "real")


@pytest.mark.parametrize(("loss", "domain"), [("poisson", "non_negative"), ("gamma", "positive")])
def test_losses_with_a_logarithmic_link_start_at_the_mean(loss, domain):
    values = np.array([1.0, 2, 6, 0.5] if loss == "gamma" else [0.0, 2, 6, 1])
    label = profile(values, loss).label
    assert (label.center, label.scale, label.domain) == (0, 1, domain)
    assert label.base == pytest.approx(math.log(values.mean()))


def test_losses_with_probabilities_start_at_the_shares_of_the_classes():
    label = profile(["no"] * 990 + ["yes"] * 10).label
    assert 1 / (1 + math.exp(-label.base)) == pytest.approx(0.01, rel=0.06)
    label = profile(["a"] * 700 + ["b"] * 200 + ["c"] * 100, "softmax").label
    shares = np.exp(label.bases) / np.exp(label.bases).sum()
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], rtol=0.01)
    assert sum(label.bases) == pytest.approx(0)
    label = profile([0, 1, 1], "hinge").label
    assert (label.base, label.bases) == (0, None)


def test_class_that_the_sample_lacks_starts_at_a_finite_margin():
    assert np.isfinite(profile([0.0, 0.0], "logistic", ["0", "1"]).label.base)
    assert np.isfinite(profile(["b"], "softmax", ["c", "b"]).label.bases).all()


@pytest.mark.parametrize("loss", ["quantile", "huber"])
def test_few_giant_labels_do_not_make_all_others_tiny(loss):
    values = np.random.default_rng(0).normal(5, 2, 10_000)
    values[::50] = 1e9
    label = profile(values, loss).label
    assert label.center == pytest.approx(5, abs=0.2)
    assert 1 < label.scale < 10


def test_squared_loss_may_be_asked_for_on_two_classes():
    found = profile([0.0, 1, 1, 1], "squared")
    assert (found.loss, found.label.classes, found.warnings) == ("squared", None, [])


ASKED = [
    # labels, loss, --classes, classes
    ([3, 1, 2, None], "softmax", [], ["1", "2", "3"]),
    ([10, 9, 2], "softmax", [], ["2", "9", "10"]),
    ([1.5, -1.0, 10.0], "softmax", [], ["-1", "1.5", "10"]),
    (pa.array([0.1, 2], pa.float32()), "softmax", [], ["0.1", "2"]),
    ([2**60, 2**60 + 1], "softmax", [], [str(2**60), str(2**60 + 1)]),
    ([False, True], "softmax", [], ["false", "true"]),
    ([1, 2], "softmax", ["3.0", "2", "1e0"], ["3", "2", "1"]),
    (["b"], "softmax", ["c", "b"], ["c", "b"]),
    ([1, 2, 1], "logistic", ["2", "1"], ["2", "1"]),
    ([0.0, 0.0], "hinge", ["0", "1"], ["0", "1"]),
    (["yes", "no"], "auto", ["yes", "no"], ["yes", "no"]),
    (["yes", "no"], "auto", ["yes", "no", "so"], ["yes", "no", "so"]),
    ([True], "hinge", [], ["false", "true"]),
    ([True], "logistic", ["True", "0"], ["true", "false"]),
]


@pytest.mark.parametrize(("values", "loss", "given", "classes"), ASKED)
def test_classes_are_those_asked_for_or_those_of_the_sample_in_order(values, loss, given, classes):
    found = profile(values, loss, given)
    assert found.label.classes == classes
    assert list(found.class_shares) == classes
    if loss == "auto":
        assert found.loss == ("logistic" if len(given) == 2 else "softmax")


REFUSED = [
    # labels, loss, --classes, what the error says
    *(([*v], "logistic", [], f"0 and 1.*'y' has {min(v)}") for v in ([0, 1, 2], [1, 2], [-1, 0])),
    ([0, 0, 0], "hinge", [], "hinge loss needs a label of 0 and 1.*'y' has 0; .*--classes"),
    (["a", "b", "c"], "logistic", [], "two classes, but 'y' has 3: a, b, c; --loss softmax"),
    (["a", "a"], "auto", [], "'y' is 'a' in every sampled row.*needs two classes"),
    ([7, 7], "softmax", [], "'y' is 7 in every sampled row"),
    (["a", "b"], "squared", [], r"squared loss needs a label of numbers.*'y' is text \('a', 'b'\)"),
    (["a", "b"], "poisson", [], "poisson loss needs a label of numbers"),
    ([0, 3, -2], "poisson", [], "labels of at least 0, found -2 in 'y'; --loss squared"),
    ([0, 0], "poisson", [], "'y' is all 0"),
    ([0, 3, 2, 2], "gamma", [], r"above 0, found 0 in 'y' \(25.00%.*--loss poisson"),
    ([1, -3], "gamma", [], "above 0, found -3 in 'y'.*--loss squared"),
    ([1, 2], "squared", ["1", "2"], "--classes belongs to .*, not to squared"),
    ([1, 2], "softmax", ["1", "b"], "--classes does not suit the label 'y' of 1, 2: .*'b'"),
    ([1, 2], "softmax", ["1", "nan"], "found 'nan'"),
    ([True], "softmax", ["true", "2"], "expected true or false, found '2'"),
    ([1, 2], "softmax", ["1", "2", "1.0"], "names a class twice: 1, 2, 1.0"),
    ([1, 2], "softmax", ["1", "3"], "names 1, 3, but the label 'y' also has 2"),
    (["a", "b"], "logistic", ["a", "b", "c"], "logistic loss needs two --classes"),
    (list(range(10_000)), "softmax", [], "'y' has 10,000 classes; .* at most 1,000"),
    ([f"{i}" for i in range(10_000)], "softmax", [], "'y' has 10,000 classes; .* at most 1,000"),
    ([f"{i}" for i in range(101)], "auto", [], "text with 101 different .*--loss softmax"),
    *(([None, NAN], loss, [], "'y' is null in every sampled row") for loss in ("auto", "gamma")),
    (pa.nulls(5), "auto", [], "'y' is null in every sampled row"),
    (pa.nulls(5, pa.string()), "softmax", [], "'y' is null in every sampled row"),
]


@pytest.mark.parametrize(("values", "loss", "classes", "says"), REFUSED)
def test_label_that_does_not_suit_the_loss_is_refused_and_shown(values, loss, classes, says):
    with pytest.raises(JobError, match=says) as caught:
        profile(values, loss, classes)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("values", [[dt.date(2026, 1, 1)], [[1.0]], [b"x"], [{"a": 1}]])
def test_label_of_another_type_is_refused_by_name(values):
    with pytest.raises(BadColumn, match=r"'y': a label must be a number, a bool or text"):
        profile(values)


def test_profile_counts_what_is_there():
    found = profile([NAN, 1, 2, 4, NAN, 1, NAN, NAN])
    assert (found.null_share, found.distinct, found.mean) == (0.5, 3, 2.0)
    found = profile(["a", None, "b", "b", "c"])
    assert (found.null_share, found.distinct, found.mean) == (pytest.approx(0.2), 3, None)
    assert found.class_shares == {"a": 0.25, "b": 0.5, "c": 0.25}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([3, 3, 3], "is 3 in every sampled row"),
        ([False, False], "is false in every sampled row"),
        ([-1, 1, 1], "-1 is taken as the negative class"),
        (["yes", "no"], r"'yes' is taken as the positive class \(--classes yes,no"),
        ([1, 2, 1], "two values, 1 and 2, trained as numbers"),
        ([1234567, 7654321], "--classes 1234567,7654321"),
        ([0, 3, 1], "3 different whole numbers.*--loss softmax if they are classes, --loss poiss"),
        ([-1.0, 0, 1], "3 different whole numbers.*--loss softmax if they are classes$"),
        ([*"aabbc"], "classes c are in one row each.*--classes"),
    ],
)
def test_labels_that_may_not_mean_what_they_seem_are_warned_about(values, words):
    (warning,) = profile(values).warnings
    assert re.search(words, warning), warning


@pytest.mark.parametrize(
    "values", [[0, 1, 1], [0.5, 1.5, 9], list(range(21)), [*"aabbcc"], [True, False]]
)
def test_plain_labels_are_not_warned_about(values):
    assert profile(values).warnings == []


@pytest.mark.parametrize("largest", [1e100, 1e-300, 5e-324])
@pytest.mark.parametrize("loss", ["auto", "huber"])
def test_extreme_labels_have_a_finite_center_and_a_scale_above_zero(largest, loss):
    found = profile([-largest, 0.0, largest, largest / 2], loss)
    assert np.isfinite(found.label.center)
    assert 0 < found.label.scale < np.inf
    assert 0 < found.delta < np.inf


def test_residual_at_which_huber_loss_turns_linear_is_the_robust_scale_of_the_labels():
    values = np.random.default_rng(0).normal(size=1000)
    assert profile(values, "huber").delta == robust_scale(values)
