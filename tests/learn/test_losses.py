"""Losses: value, derivatives, majoriser and implicit step agree with each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gumbel_l, norm

from blocks import LOSSES, labels_for
from onepass.learn.implicit import implicit_gradient
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.pointwise import curvature, gradient, majoriser, softmax, value

losses = pytest.mark.parametrize("loss", LOSSES, ids=str)
# exp has no parabola above it.
bounded = pytest.mark.parametrize(
    "loss",
    [
        loss
        for loss in LOSSES
        if loss.name not in LOG_LINK | {"cloglog"} or loss.name == "negative_binomial"
    ],
    ids=str,
)
widths = pytest.mark.parametrize("width", [0.0, 0.2])
STEP = 1e-5


def points(loss: Loss, seed: int = 0, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * 2
    return z, labels_for(loss, z + rng.normal(size=n), rng)


def near_a_kink(loss: Loss, z: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """Whether the second derivative jumps near a point, where finite differences are wrong."""
    residual = np.abs(1 - (2 * y - 1) * z) if loss.name == "hinge" else np.abs(y - z)
    at = {"huber": loss.shape}.get(loss.name, width)
    return np.abs(residual - at) < 10 * STEP


def expected_part(z: float, y: float) -> float:
    """What the second derivative of inverse gaussian loss has beside the expected one."""
    return 2 * np.exp(-z) * (y * np.exp(-z) - 1)


@losses
@widths
def test_derivatives_are_those_of_the_value(loss, width):
    z, y = points(loss)
    keep = ~near_a_kink(loss, z, y, width)
    for zi, yi in zip(z[keep], y[keep], strict=True):
        at = [value(loss.code, loss.shape, width, zi + s, yi) for s in (-STEP, STEP)]
        slope = [gradient(loss.code, loss.shape, width, zi + s, yi) for s in (-STEP, STEP)]
        scale = 1 + abs(slope[0])
        g = gradient(loss.code, loss.shape, width, zi, yi)
        assert g == pytest.approx((at[1] - at[0]) / (2 * STEP), abs=1e-4 * scale)
        if width or not loss.is_kinked:
            c = curvature(loss.code, loss.shape, width, zi, yi)
            if loss.name == "inverse_gaussian":
                c += expected_part(zi, yi)
            assert c == pytest.approx((slope[1] - slope[0]) / (2 * STEP), abs=1e-4 * scale)


@losses
@widths
def test_rounding_a_kink_changes_the_loss_by_at_most_a_quarter_of_its_width(loss, width):
    z, y = points(loss)
    one = np.ones(1)
    for zi, yi in zip(z, y, strict=True):
        sharp = loss.total(np.array([zi]), np.array([yi]), one)
        rounded = loss.total(np.array([zi]), np.array([yi]), one, width=width)
        assert 0 <= rounded - sharp <= width / 4 + 1e-12


@bounded
def test_majoriser_lies_above_the_loss_and_touches_it(loss):
    width = 0.2 if loss.is_kinked else 0.0
    z, y = points(loss, n=40)
    for zi, yi in zip(z, y, strict=True):
        args = (loss.code, loss.shape, width)
        start, g, c = value(*args, zi, yi), gradient(*args, zi, yi), majoriser(*args, zi, yi)
        assert c >= curvature(*args, zi, yi) - 1e-6
        for other in np.linspace(-8, 8, 81):
            parabola = start + g * (other - zi) + 0.5 * c * (other - zi) ** 2
            assert value(*args, other, yi) <= parabola + 1e-6 * (1 + abs(parabola))


@losses
@pytest.mark.parametrize("q", [1e-3, 0.5, 20.0])
def test_implicit_gradient_is_the_one_at_the_end_of_the_step(loss, q):
    z, y = points(loss)
    for zi, yi in zip(z, y, strict=True):
        s = implicit_gradient(loss.code, loss.shape, zi, yi, q)
        end = zi - q * s
        # On a kink any slope between the two sides will do.
        low = gradient(loss.code, loss.shape, 0.0, end - 1e-7, yi)
        high = gradient(loss.code, loss.shape, 0.0, end + 1e-7, yi)
        assert low - 1e-4 * (1 + abs(low)) <= s <= high + 1e-4 * (1 + abs(high))
        # The gradient of inverse gaussian loss, which is not convex, may grow on the way.
        if loss.name != "inverse_gaussian":
            assert abs(s) <= abs(gradient(loss.code, loss.shape, 0.0, zi, yi)) + 1e-12


@losses
def test_extreme_margins_have_finite_derivatives(loss):
    for z in (-600.0, -30.0, 0.0, 30.0, 600.0):
        for y in labels_for(loss, np.array([-1.0, 1.0]), np.random.default_rng(0)):
            assert np.isfinite(value(loss.code, loss.shape, 0.1, z, y))
            assert np.isfinite(gradient(loss.code, loss.shape, 0.1, z, y))
            assert 0 <= curvature(loss.code, loss.shape, 0.1, z, y) < np.inf


@pytest.mark.parametrize("loss", LOSSES[7:], ids=str)
def test_derivatives_keep_their_digits_far_in_the_tails(loss):
    _, labels = points(loss, n=50)
    for z in np.linspace(-30, 30, 41):
        for y in np.unique([labels.min(), labels.max()]):
            args = (loss.code, loss.shape, 0.0)
            low, middle, high = (value(*args, z + s, y) for s in (-1e-4, 0.0, 1e-4))
            slopes = [gradient(*args, z + s, y) for s in (-1e-4, 1e-4)]
            # Two terms of opposite sign may cancel, and the difference has their rounding.
            rounding = 1e-12 * (abs(middle) + abs(y * z))
            g = gradient(*args, z, y)
            assert g == pytest.approx((high - low) / 2e-4, rel=1e-4, abs=rounding + 1e-300)
            if loss.name == "inverse_gaussian":
                assert curvature(*args, z, y) == pytest.approx(np.exp(-z), rel=1e-14)
                continue
            c = curvature(*args, z, y)
            rounding = 1e-12 * (abs(g) + (np.exp(min(z, 0.0)) if y == 0 else y))
            assert c == pytest.approx((slopes[1] - slopes[0]) / 2e-4, rel=1e-4, abs=rounding)


def test_probit_and_cloglog_are_the_distributions_of_scipy():
    z, weight = np.linspace(-35, 35, 141), np.ones(1)
    for y, sign in ((0.0, -1), (1.0, 1)):
        found = [Loss("probit").total(np.array([one]), np.array([y]), weight) for one in z]
        np.testing.assert_allclose(found, -norm.logcdf(sign * z), rtol=1e-12, atol=1e-300)
    found = [Loss("cloglog").total(np.array([one]), np.ones(1), weight) for one in z]
    np.testing.assert_allclose(found, -gumbel_l.logcdf(z), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(Loss("probit").mean(z), norm.cdf(z), rtol=1e-12)
    np.testing.assert_allclose(Loss("cloglog").mean(z), gumbel_l.cdf(z), rtol=1e-12)


@losses
def test_prediction_of_the_best_constant_margin_is_the_best_constant(loss):
    _, y = points(loss, n=4000)
    weight, grid = np.ones(len(y)), np.linspace(-6, 6, 2401)
    best = grid[np.argmin([loss.total(np.full(len(y), z), y, weight) for z in grid])]
    prediction = float(loss.mean(np.array([best]))[0])
    if loss.name in LOG_LINK | {"squared", "logistic"}:
        assert prediction == pytest.approx(y.mean(), rel=0.01, abs=0.005)
    elif loss.name == "quantile":
        assert prediction == pytest.approx(np.quantile(y, loss.shape), abs=0.05)


def test_softmax_is_its_definition_and_has_its_gradient():
    rng = np.random.default_rng(1)
    z, y, weight = rng.normal(size=(50, 4)) * 3, rng.integers(0, 4, 50) * 1.0, rng.random(50)
    loss = Loss("softmax", n_classes=4)
    total, g, p = loss.expand_softmax(z, y, weight)
    exact = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, exact, rtol=1e-12)
    np.testing.assert_allclose(loss.mean(z), exact, rtol=1e-12)
    assert total == pytest.approx(-(weight * np.log(exact[np.arange(50), y.astype(int)])).sum())
    for i, k in ((0, 0), (7, 3), (49, 1)):
        moved = [z.copy(), z.copy()]
        moved[0][i, k] -= STEP
        moved[1][i, k] += STEP
        low, high = (loss.total(m, y, weight) for m in moved)
        assert g[i, k] == pytest.approx((high - low) / (2 * STEP), abs=1e-6)


def test_softmax_of_huge_margins_is_finite():
    p = np.empty(3)
    assert softmax(np.array([1e4, -1e4, 9990.0]), p) == pytest.approx(1e4, rel=1e-6)
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1)
