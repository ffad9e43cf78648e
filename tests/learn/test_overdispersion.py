"""The overdispersion that is estimated in the pass is that of the likelihood of all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln

from blocks import make_block, split
from learners import settings
from onepass.learn.learner import Learner
from onepass.learn.newton.keeps import Keeps
from onepass.learn.overdispersion import Overdispersion, slope


def drawn(n_rows: int, a: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    mean = np.exp(0.5 + x @ [0.5, -0.4, 0.2])
    return x, rng.poisson(mean * rng.gamma(1 / a, a, n_rows)).astype(float)


def learner(y: np.ndarray, **given) -> Learner:
    return Learner(
        settings(
            loss="negative_binomial",
            base=float(np.log(y.mean())),
            careful=True,
            by_columns=True,
            estimates_overdispersion=True,
            keeps=Keeps(likelihood=True),
            **given,
        )
    )


def log_likelihood(a: float, z: float, y: float) -> float:
    r, mean = 1 / a, np.exp(z)
    own = gammaln(y + r) - gammaln(r) - gammaln(y + 1)
    return float(own - r * np.log1p(a * mean) + y * (np.log(a * mean) - np.log1p(a * mean)))


@pytest.mark.parametrize("a", [1e-3, 0.3, 5.0])
@pytest.mark.parametrize("y", [0.0, 1.0, 16.0, 17.0, 2.5, 400.0])
def test_slope_is_the_derivative_of_the_likelihood(a, y):
    for z in (-5.0, 0.3, 4.0):
        low, high = (log_likelihood(a * np.exp(s), z, y) for s in (-1e-4, 1e-4))
        assert slope(a, z, y) == pytest.approx((high - low) / 2e-4, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("n_rows", "a", "first"), [(20_000, 0.4, 3.0), (60_000, 2.0, 0.3)])
def test_estimate_and_weights_are_those_of_statsmodels(n_rows, a, first):
    sm = pytest.importorskip("statsmodels.api")
    x, y = drawn(n_rows, a)
    found = learner(y, overdispersion=first)
    for block in split(make_block(x, y), 4096):
        found.update(block)
    exact = sm.NegativeBinomial(y, sm.add_constant(x.astype(float))).fit(disp=0)
    weights, error = found.weights()[0], exact.bse
    assert found.losses[0].shape == pytest.approx(exact.params[-1], abs=error[-1])
    assert np.abs((weights.dense - exact.params[1:4]) / error[1:4]).max() < 0.2
    np.testing.assert_allclose(np.sqrt(np.diag(weights.covariance))[:3], error[1:4], rtol=0.05)
    fit = weights.identified.fit
    assert fit.n_parameters == 5
    # Earlier rows were summed at earlier estimates.
    assert fit.log_likelihood == pytest.approx(exact.llf, abs=10.0)
    assert fit.aic == pytest.approx(2 * 5 - 2 * fit.log_likelihood)


def test_counts_without_overdispersion_are_learnt_as_by_poisson_loss():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40_000, 3)).astype(np.float32)
    block = make_block(x, rng.poisson(np.exp(0.3 + x @ [0.5, -0.4, 0.2])))
    found = learner(block.label, overdispersion=1.0)
    poisson = Learner(replace(found.settings, loss="poisson", estimates_overdispersion=False))
    for piece in split(block, 4096):
        found.update(piece)
        poisson.update(piece)
    assert found.losses[0].shape < 0.01
    np.testing.assert_allclose(found.weights()[0].dense, poisson.weights()[0].dense, atol=1e-3)


def test_learner_that_is_restored_goes_on_with_the_same_bytes():
    x, y = drawn(30_000, 0.7)
    blocks = split(make_block(x, y), 3000)
    whole = learner(y, overdispersion=2.0)
    for block in blocks:
        whole.update(block)
    for cut in (1, 4, 9):
        first, rest = learner(y, overdispersion=2.0), learner(y, overdispersion=2.0)
        for block in blocks[:cut]:
            first.update(block)
        rest.restore(first.state())
        assert rest.losses[0].shape == first.losses[0].shape
        for block in blocks[cut:]:
            rest.update(block)
        for name, array in whole.state().items():
            np.testing.assert_array_equal(rest.state()[name], array, name)


def test_sums_of_a_round_are_those_of_one_learner():
    x, y = drawn(6000, 0.7)
    z, weight = 0.5 + x @ [0.5, -0.4, 0.2], np.ones(len(y))
    base, alone = Overdispersion(0.5), Overdispersion(0.5)
    alone.hold()
    found = []
    for rows in (slice(0, 2000), slice(2000, 6000)):
        share = base.restored(base.arrays())
        share.hold()
        assert not share.add(z[rows], y[rows], weight[rows])
        assert share.value == base.value
        found.append(share.difference(base))
    alone.add(z, y, weight)
    start = Overdispersion(0.5)
    np.testing.assert_allclose(found[0] + found[1], alone.difference(start), rtol=1e-12)
    assert base.merge(found[0] + found[1])
    assert 0.6 < base.value < 0.8
