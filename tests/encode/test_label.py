"""Label: what the sample says about the loss, the classes and the scale."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.encode.label import profile_label
from pipeline.errors import JobError

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "classes"),
    [([0, 1, 1, NAN], (0, 1)), ([-1, 1, -1], (-1, 1)), ([True, False], (0, 1))],
)
def test_two_classes_ask_for_logistic_loss(values, classes):
    profile = profile_label("y", np.array(values, float), "auto")
    assert (profile.loss, profile.label.classes) == ("logistic", classes)
    assert (profile.label.center, profile.label.scale) == (0, 1)


@pytest.mark.parametrize(
    "values", [[0, 1, 2], [1, 2], [0, 2], [0.5, -1], [3, 3], [0, 0], [1, 1, 1]]
)
def test_other_numbers_ask_for_squared_loss_in_their_own_scale(values):
    values = np.array(values, float)
    profile = profile_label("y", values, "auto")
    assert (profile.loss, profile.label.classes) == ("squared", None)
    assert profile.label.center == pytest.approx(values.mean())
    assert profile.label.scale == pytest.approx(values.std() or 1.0)


def test_squared_loss_may_be_asked_for_on_two_classes():
    profile = profile_label("y", np.array([0.0, 1, 1, 1]), "squared")
    assert (profile.loss, profile.label.classes, profile.warnings) == ("squared", None, [])


@pytest.mark.parametrize("values", [[0, 1, 2], [1, 2], [0, 0, 0], [-1, 0]])
def test_logistic_loss_refuses_other_labels_and_shows_them(values):
    with pytest.raises(JobError, match=rf"0 and 1.*'y' has {min(values)}"):
        profile_label("y", np.array(values, float), "logistic")


def test_label_that_is_always_null_is_refused():
    with pytest.raises(JobError, match="'y' is null in every sampled row"):
        profile_label("y", np.full(5, NAN), "auto")


def test_profile_counts_what_is_there():
    profile = profile_label("y", np.array([NAN, 1, 2, 4, NAN, 1, NAN, NAN]), "auto")
    assert (profile.null_share, profile.distinct, profile.mean) == (0.5, 3, 2.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([3, 3, 3], "is 3 in every sampled row"),
        ([-1, 1, 1], "-1 is taken as the negative class"),
        ([1, 2, 1], "two values, 1 and 2, trained as numbers"),
    ],
)
def test_labels_that_may_not_mean_what_they_seem_are_warned_about(values, words):
    (warning,) = profile_label("y", np.array(values, float), "auto").warnings
    assert words in warning


@pytest.mark.parametrize("values", [[0, 1, 1], [0.5, 1.5, 9]])
def test_plain_labels_are_not_warned_about(values):
    assert profile_label("y", np.array(values, float), "auto").warnings == []


@pytest.mark.parametrize("largest", [1e300, 1.7e308, 1e-300, 5e-324])
def test_extreme_labels_have_a_finite_center_and_a_scale_above_zero(largest):
    label = profile_label("y", np.array([-largest, 0.0, largest]), "auto").label
    assert np.isfinite(label.center)
    assert 0 < label.scale < np.inf
