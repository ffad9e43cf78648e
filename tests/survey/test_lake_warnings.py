"""Warnings about sorted lakes, absurd values and weights, and none about usual lakes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from labels import KINDS, N, label
from onepass.survey.choice import Choice
from onepass.survey.lake_warnings import (
    Place,
    absurd_warnings,
    label_order_warnings,
    weight_warnings,
)
from onepass.survey.profile import profile_columns


@pytest.mark.parametrize("kind", KINDS)
def test_lake_sorted_by_label_is_warned_about_and_a_shuffled_one_is_not(kind):
    target = label(kind)
    place = np.repeat(np.arange(8), N // 8)
    one_file = Place(place, np.zeros_like(place), 1)
    (warning,) = label_order_warnings("y", np.sort(target), one_file)
    assert warning.startswith("y: ")
    assert "sorted" in warning
    assert label_order_warnings("y", target, one_file) == []
    (warning,) = label_order_warnings("y", np.sort(target), Place(place, place, 40))
    assert "between files" in warning
    assert "--interleave 16" in warning
    one_place = np.zeros(N, np.int64)
    nowhere = Place(one_place, one_place, 1)
    assert label_order_warnings("y", np.sort(target), nowhere) == []


def spread(kind, n):
    rng = np.random.default_rng(2)
    return {
        "normal": 50 + 3 * rng.normal(size=n),
        "heavy tail": rng.lognormal(sigma=3, size=n),
        "heavier tail": rng.standard_cauchy(n),
        "counts": rng.poisson(0.7, n).astype(float),
        "rare": np.where(np.arange(n) < 12, 1e4, 0.0),
        "mostly zero": np.where(rng.random(n) < 0.95, 0.0, 1e9 * rng.lognormal(sigma=1, size=n)),
        "around a billion": 1e9 + rng.normal(size=n),
        "tiny": 1e-300 * rng.normal(size=n),
        "huge": 1e300 * rng.normal(size=n),
    }[kind]


SPREADS = ["normal", "heavy tail", "heavier tail", "counts", "rare", "mostly zero"]
SPREADS += ["around a billion", "tiny", "huge"]


def absurd(values):
    sample = pa.table({"x": values, "word": ["a", "b"] * (len(values) // 2)})
    profiles = profile_columns(sample, {}, Choice(), skip=set())
    return absurd_warnings(sample, profiles)


@pytest.mark.parametrize("n", [60, 1000, N])
@pytest.mark.parametrize("kind", SPREADS)
def test_one_absurd_value_is_warned_about_and_a_heavy_tail_is_not(kind, n):
    values = spread(kind, n)
    assert absurd(values) == []
    if kind != "huge":
        values[7] = -1e300
        (warning,) = absurd(values)
        assert warning.startswith("x: the value -1e+300 is over 1,000,000 times as far")
        assert "(--exclude x)" in warning


def test_outlier_in_a_constant_column_is_judged_by_the_magnitude_of_the_constant():
    assert absurd(np.where(np.arange(100) == 7, 1.1e9, 1e9)) == []
    assert absurd(np.where(np.arange(100) == 7, 1e300, 0.0)) != []
    assert absurd(np.array([np.nan, np.inf] * 50)) == []


@pytest.mark.parametrize("mean", [1e-90, 1e-7, 1e7, 1e14])
def test_weights_far_from_one_are_warned_about(mean):
    weights = mean * np.random.default_rng(0).uniform(0.5, 1.5, N)
    (warning,) = weight_warnings("w", pa.array(weights))
    assert warning.startswith("w: the weights are about ")
    assert float(warning.rpartition(" ")[2]) == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize(
    "weights",
    [[1.0, 0.0, 1e-90], [0.001] * 9, [100, 2000], [0.0, 0.0], [True, False], [None, np.nan, 1.0]],
)
def test_usual_weights_are_not_warned_about(weights):
    assert weight_warnings("w", pa.array(weights)) == []
