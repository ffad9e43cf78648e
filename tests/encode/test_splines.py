"""Splines are the natural cubic splines of the textbook, and stay small where numbers are wild."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from patsy import dmatrix
from scipy.interpolate import CubicSpline
from sklearn.preprocessing import SplineTransformer

from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.encode.shapes import Bins, Spline
from onepass.encode.splines import heights, spline_features

KNOTS = [1.0, 2.0, 4.0, 7.0, 7.5, 20.0]
X = np.random.default_rng(0).uniform(1, 20, 2000)
NUMBER = Numeric(name="x", center=0, scale=1, missing=True)


def fitted(basis, y):
    """Fitted values of least squares with an intercept."""
    design = np.column_stack([np.ones(len(y)), basis])
    return design @ np.linalg.lstsq(design, y, rcond=None)[0]


def truncated_powers(x):
    """Equations 5.4 and 5.5 of The Elements of Statistical Learning."""
    last = KNOTS[-1]

    def d(knot):
        cubes = np.maximum(x - knot, 0) ** 3 - np.maximum(x - last, 0) ** 3
        return cubes / (last - knot)

    return np.column_stack([x, *(d(knot) - d(KNOTS[-2]) for knot in KNOTS[:-2])])


def test_curves_are_natural_splines_that_are_one_at_their_knot_also_as_lines_beyond():
    beyond = np.array([-5.0, 0.0, 25.0, 1e4])
    found, outside = heights(KNOTS, "cubic", X), heights(KNOTS, "cubic", beyond)
    for place, (inner, outer) in enumerate(zip(found, outside, strict=True), 1):
        curve = CubicSpline(KNOTS, np.eye(len(KNOTS))[place], bc_type="natural")
        np.testing.assert_allclose(inner, curve(X), atol=1e-12)
        ends = np.where(beyond < 1, KNOTS[0], KNOTS[-1])
        np.testing.assert_allclose(outer, curve(ends) + curve(ends, 1) * (beyond - ends), rtol=1e-9)


def test_fit_is_that_of_the_textbook_and_of_patsy_inside_and_beyond_the_knots():
    x = np.concatenate([X, [-3.0, 0.5, 21.0, 40.0]])
    y = np.sin(x / 3) + np.random.default_rng(1).normal(size=len(x))
    own = fitted(heights(KNOTS, "cubic", x).T, y)
    np.testing.assert_allclose(own, fitted(truncated_powers(x), y), atol=1e-8)
    inside = slice(0, len(X))
    formula = "cr(x, knots=k, lower_bound=1, upper_bound=20) - 1"
    basis = np.asarray(dmatrix(formula, {"x": x[inside], "k": KNOTS[1:-1]}))
    np.testing.assert_allclose(
        fitted(heights(KNOTS, "cubic", X).T, y[inside]), fitted(basis, y[inside]), atol=1e-8
    )


def test_fit_of_lines_is_that_of_scikit_learn():
    y = np.sin(X / 3) + np.random.default_rng(1).normal(size=len(X))
    basis = SplineTransformer(degree=1, knots=np.array(KNOTS)[:, None], extrapolation="linear")
    x = np.concatenate([X[:-2], [-3.0, 40.0]])
    expected = fitted(basis.fit_transform(x[:, None]), y)
    np.testing.assert_allclose(fitted(heights(KNOTS, "linear", x).T, y), expected, atol=1e-8)


@pytest.mark.parametrize("shift", [0.0, 1.7e9, -1e12])
def test_features_in_float32_stay_far_from_collinear_however_far_the_numbers_are_from_zero(shift):
    knots = [shift + knot for knot in np.linspace(1, 20, 12)]
    plain = heights(knots, "cubic", X + shift)
    column = Spline(
        number=NUMBER, knots=knots, center=list(plain.mean(1)), scale=list(plain.std(1))
    )
    features = spline_features(column, X + shift)
    assert features.dtype == np.float32
    values = np.linalg.eigvalsh(np.corrcoef(features))
    # Truncated powers of these knots, standardised as well, have more than 1e7.
    assert values[-1] / values[0] < 100


def encoded(column, values, dtype=None):
    schema = Schema(columns=[column], label=Label(name="y"), weight=None, hash_bits=1, hive={})
    table = pa.table({"x": pa.array(values, dtype)})
    return Encoder(schema).encode(table, {}, label=False)


SPLINE = Spline(number=NUMBER, knots=KNOTS, center=[0.1] * 5, scale=[0.3] * 5)


def test_missing_and_wild_numbers_become_the_mean_and_are_marked_and_counted():
    found = encoded(SPLINE, [None, np.nan, np.inf, 1e300, 3.0], pa.float64())
    assert (found.block.dense[:4, :-1] == 0).all()
    assert found.block.dense[:, -1].tolist() == [1, 1, 1, 1, 0]
    assert found.counts == {"non_finite": 3}
    bins = Bins(number=NUMBER, edges=[2.0, 5.0])
    found = encoded(bins, [None, np.nan, np.inf, -np.inf, 2.0, 4.9, 5.0], pa.float64())
    expected = [[0, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert found.block.dense.tolist() == expected
    assert found.counts == {"non_finite": 1}
    assert bins.feature_names() == ["x [2, 5)", "x >= 5", "x is null"]


@pytest.mark.parametrize("column", [SPLINE, Bins(number=NUMBER, edges=[2.0, 5.0])])
def test_numbers_have_the_same_features_in_every_type_and_in_text(column):
    text = column.model_copy(update={"number": NUMBER.model_copy(update={"text": True})})
    expected = encoded(column, [3, 4, None, 40, 5], pa.int64()).block.dense
    for dtype in (pa.int8(), pa.float32(), pa.float64(), pa.decimal128(5, 2)):
        found = encoded(column, [3, 4, None, 40, 5], dtype).block.dense
        np.testing.assert_array_equal(found, expected)
    found = encoded(text, ["3", "4.0", "", "4e1", "5"]).block.dense
    np.testing.assert_array_equal(found, expected)


def test_spline_of_a_logarithm_names_its_knots_in_the_unit_of_the_column():
    log = NUMBER.model_copy(update={"log_unit": 2.0})
    knots = [float(np.log1p(x / 2)) for x in (1, 10, 100)]
    column = Spline(number=log, knots=knots, center=[0, 0], scale=[1, 1])
    assert column.feature_names() == ["x at 10", "x at 100", "x is null"]
    found = encoded(column, [1.0, 10.0, 100.0]).block.dense
    np.testing.assert_allclose(found[:, :2], [[0, 0], [1, 0], [0, 1]], atol=1e-6)
