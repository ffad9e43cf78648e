"""One pass of newton over counts, amounts and classes ends where statsmodels does."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import compound, make_block, split
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.newton.newton import Newton

sm = pytest.importorskip("statsmodels.api")

WEIGHTS = np.array([0.5, -0.3, 0.2, 0.1])
CASES = [
    Loss("tweedie", 1.6),
    Loss("negative_binomial", 0.7),
    Loss("inverse_gaussian"),
    Loss("probit"),
    Loss("cloglog"),
]
cases = pytest.mark.parametrize("loss", CASES, ids=lambda loss: loss.name)


def drawn(loss: Loss, n_rows: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of a model of the loss."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 4)).astype(np.float32)
    x[:, 3] = x[:, 3] > 1
    z = 0.3 + x @ WEIGHTS
    match loss.name:
        case "tweedie":
            return x, compound(np.exp(z), 1.5, loss.shape, rng)
        case "negative_binomial":
            spread = rng.gamma(1 / loss.shape, loss.shape, n_rows)
            return x, rng.poisson(np.exp(z) * spread).astype(float)
        case "inverse_gaussian":
            return x, rng.wald(np.exp(z), 1 / 0.4)
        case "probit":
            return x, (z + rng.normal(size=n_rows) > 0.6).astype(float)
        case _:
            return x, (rng.random(n_rows) < -np.expm1(-np.exp(z - 1))).astype(float)


def family(loss: Loss):
    """The family of statsmodels with the same link."""
    f, link = sm.families, sm.families.links
    match loss.name:
        case "tweedie":
            return f.Tweedie(link.Log(), loss.shape)
        case "negative_binomial":
            return f.NegativeBinomial(link.Log(), loss.shape)
        case "inverse_gaussian":
            return f.InverseGaussian(link.Log())
        case "probit":
            return f.Binomial(link.Probit())
        case _:
            return f.Binomial(link.CLogLog())


def start(loss: Loss, y: np.ndarray) -> float:
    """Return the margin of the mean label."""
    return float(np.log(y.mean()) if loss.name in LOG_LINK else 0.0)


@cases
@pytest.mark.parametrize("n_rows", [1000, 20_000, 100_000])
def test_one_pass_gives_the_coefficients_and_standard_errors_of_statsmodels(loss, n_rows):
    x, y = drawn(loss, n_rows)
    newton = Newton(loss, 4, base=start(loss, y), careful=True, by_columns=True)
    for block in split(make_block(x, y), 8192):
        newton.update(block)
    found = newton.weights()
    exact = sm.GLM(y, sm.add_constant(x.astype(float)), family(loss)).fit(tol=1e-12)
    weights, errors = np.append(found.dense, found.intercept), np.sqrt(np.diag(found.covariance))
    expected = np.roll(exact.params, -1), np.roll(exact.bse, -1)
    # statsmodels has the expected information, newton the observed one.
    np.testing.assert_allclose(errors, expected[1], rtol=0.12 if n_rows == 1000 else 0.05)
    assert np.abs((weights - expected[0]) / expected[1]).max() < 0.15
