"""Newton on every loss: one pass ends where a batch fit by another library does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from sklearn.linear_model import (
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
)

from blocks import LOSSES, labels_for, make_block, random_block, split
from onepass.block import Block
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.newton.newton import Newton

WIDTH = 6


def task(loss: Loss, n_rows: int, seed: int, d: int = WIDTH) -> tuple[Block, Block]:
    """Rows to learn and rows to judge by, with features of many scales."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(2 * n_rows, d)) * np.geomspace(1e-2, 1e3, d) + 1
    z = ((dense - 1) / np.geomspace(1e-2, 1e3, d)) @ rng.normal(size=d) * 0.7
    if loss.name == "softmax":
        truth = rng.normal(size=(d, loss.n_classes))
        z = ((dense - 1) / np.geomspace(1e-2, 1e3, d)) @ truth
        label = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    else:
        label = labels_for(loss, z, rng)
    both = make_block(dense, label)
    index = np.arange(2 * n_rows)
    return both.take(index[:n_rows]), both.take(index[n_rows:])


def one_pass(loss: Loss, block: Block, n_rows: int = 3000, **options) -> Newton:
    base = float(np.log(block.label.mean())) if loss.name in LOG_LINK else 0.0
    newton = Newton(loss, block.dense.shape[1], base=base, **options)
    for piece in split(block, n_rows):
        newton.update(piece)
    return newton


def standardised(block: Block, by: Block) -> np.ndarray:
    dense = by.dense.astype(float)
    return (block.dense - dense.mean(axis=0)) / dense.std(axis=0)


def batch_margins(loss: Loss, block: Block, probe: Block) -> np.ndarray:
    """Margins on `probe` of the batch optimum of an independent solver on `block`."""
    x, at = standardised(block, block), standardised(probe, block)
    match loss.name:
        case "poisson" | "gamma":
            kind = PoissonRegressor if loss.name == "poisson" else GammaRegressor
            model = kind(alpha=0, tol=1e-10, max_iter=2000).fit(x, block.label)
            return np.log(model.predict(at))
        case "quantile":
            model = QuantileRegressor(quantile=loss.shape, alpha=0).fit(x, block.label)
            return model.predict(at)
        case "logistic" | "softmax":
            model = LogisticRegression(C=1e10, tol=1e-10, max_iter=3000).fit(x, block.label)
            return model.decision_function(at)
        case _:
            return _by_scipy(loss, block, x, at)


def _by_scipy(loss: Loss, block: Block, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    x, at = (np.column_stack([one, np.ones(len(one))]) for one in (x, at))
    w = np.zeros(x.shape[1])
    for width in (0.3, 0.1, 0.03, 0.01):

        def objective(w: np.ndarray, width: float = width) -> tuple[float, np.ndarray]:
            total, g, _ = loss.expand(x @ w, block.label, block.weight, width=width)
            return total / len(x), x.T @ g / len(x)

        w = minimize(objective, w, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    return at @ w


def mean_loss(loss: Loss, z: np.ndarray, block: Block) -> float:
    return loss.total(np.ascontiguousarray(z), block.label, block.weight) / block.n_rows


HARD = {"quantile": 4000, "hinge": 6000}
every_loss = pytest.mark.parametrize("loss", [*LOSSES, Loss("softmax", n_classes=4)], ids=str)


@every_loss
def test_one_pass_ends_within_half_a_percent_of_a_batch_fit_by_another_library(loss):
    block, probe = task(loss, HARD.get(loss.name, 20_000), seed=1)
    ours = mean_loss(loss, one_pass(loss, block).predict(probe), probe)
    best = mean_loss(loss, batch_margins(loss, block, probe), probe)
    constant = mean_loss(loss, one_pass(loss, block).predict(probe) * 0 + 0.0, probe)
    assert ours - best < 0.005 * abs(best)
    assert ours < constant


@every_loss
def test_features_of_any_scale_and_offset_give_the_same_predictions(loss):
    block, _ = task(loss, 4000, seed=2)
    # Powers of two and whole numbers are exact in float32.
    plain = replace(block, dense=np.rint(standardised(block, block) * 16).astype(np.float32))
    power = (2.0 ** np.arange(-3, 3)).astype(np.float32)
    moved = replace(plain, dense=(plain.dense + np.float32(40)) * power)
    np.testing.assert_allclose(
        one_pass(loss, moved, 900).predict(moved),
        one_pass(loss, plain, 900).predict(plain),
        atol=2e-4,
    )


@every_loss
def test_column_order_does_not_matter(loss):
    block, _ = task(loss, 3000, seed=3)
    turned = replace(block, dense=np.ascontiguousarray(block.dense[:, ::-1]))
    np.testing.assert_allclose(
        one_pass(loss, block, 700).predict(block),
        one_pass(loss, turned, 700).predict(turned),
        atol=2e-5,
    )


@every_loss
def test_blocks_of_any_size_lead_to_nearly_the_same_loss(loss):
    block, probe = task(loss, 12_000, seed=4)
    found = [mean_loss(loss, one_pass(loss, block, n).predict(probe), probe) for n in (500, 12_000)]
    assert found[0] == pytest.approx(found[1], rel=0.005)


@every_loss
def test_useless_and_rare_features_leave_everything_finite(loss):
    block, probe = task(loss, 5000, seed=5)
    rng = np.random.default_rng(5)

    def spoilt(one: Block) -> Block:
        columns = [np.zeros(5000), np.full(5000, 3.0), one.dense[:, 0], rng.random(5000) < 1e-3]
        dense = np.column_stack([one.dense, *columns])
        return replace(one, dense=dense.astype(np.float32))

    newton, at = one_pass(loss, spoilt(block), 800), spoilt(probe)
    plain = mean_loss(loss, one_pass(loss, block, 800).predict(probe), probe)
    assert mean_loss(loss, newton.predict(at), probe) == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("name", ["hinge", "softmax", "poisson", "gamma", "quantile"])
def test_labels_that_can_be_fitted_exactly_leave_weights_finite(name):
    loss = {"softmax": Loss("softmax", n_classes=3), "quantile": Loss("quantile", 0.9)}.get(
        name, Loss(name)
    )
    block = random_block(3000, 3, seed=6)
    x = block.dense[:, 0]
    label = {"hinge": x > 0, "softmax": np.digitize(x, [-0.5, 0.5]), "quantile": 2 * x}.get(
        name, np.exp(x)
    )
    newton = one_pass(loss, replace(block, label=np.asarray(label, float)), 500)
    assert np.isfinite(newton.predict(block)).all()
    assert np.isfinite(newton.weights().dense).all()


def test_half_life_is_ridge_with_weights_that_halve_with_age():
    block, half_life = random_block(4000, 3, seed=7), 700.0
    age = np.arange(block.n_rows)[::-1]
    weighted = replace(block, weight=0.5 ** (age / half_life))
    forgetful = one_pass(Loss("squared"), block, 333, half_life=half_life)
    exact = one_pass(Loss("squared"), weighted)
    np.testing.assert_allclose(forgetful.predict(block), exact.predict(block), atol=1e-8)


def test_fading_follows_a_change_of_the_truth():
    before, after = random_block(6000, 3, seed=8), random_block(6000, 3, seed=9)
    after = replace(after, label=-after.label)
    errors = {}
    for half_life in (None, 1000.0):
        newton = Newton(Loss("squared"), 3, half_life=half_life)
        for piece in [*split(before, 1000), *split(after, 1000)]:
            newton.update(piece)
        errors[half_life] = np.mean((newton.predict(after) - after.label) ** 2)
    assert errors[1000.0] < 1.2 < 1.8 < errors[None]


def statsmodels_errors(loss: Loss, block: Block) -> np.ndarray:
    x, y = sm.add_constant(block.dense.astype(float), prepend=False), block.label
    match loss.name:
        case "squared":
            return sm.OLS(y, x).fit().bse
        case "logistic":
            return sm.Logit(y, x).fit(disp=0).bse
        case "poisson":
            return sm.GLM(y, x, sm.families.Poisson()).fit().bse
        case "gamma":
            log = sm.families.links.Log()
            return sm.GLM(y, x, sm.families.Gamma(log)).fit(scale="X2").bse
        case "quantile":
            return sm.QuantReg(y, x).fit(loss.shape, vcov="iid").bse
        case _:
            norm = sm.robust.norms.HuberT(t=loss.shape)
            # Scale fixed at 1: the residual at which the loss turns linear is given.
            model = sm.RLM(y, x, M=norm)
            return model.fit(scale_est=_One(), cov="H1", update_scale=False).bse


class _One:
    def __call__(self, *args, **kwargs) -> float:
        return 1.0


TOLERANCE = {"quantile": 0.25, "huber": 0.05, "gamma": 0.03}
"""Relative tolerances; statsmodels estimates sparsity and dispersion in other ways."""


@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES[:7] if loss.name not in {"hinge", "huber"}], ids=str
)
def test_standard_errors_are_those_of_statsmodels_intercept_included(loss):
    block = random_block(20_000, 3, seed=10, loss=loss)
    block = replace(block, dense=(block.dense * [0.1, 1, 30] + [0, 2, 50]).astype(np.float32))
    ours = np.sqrt(np.diag(one_pass(loss, block, 4000).covariance()))
    theirs = statsmodels_errors(loss, block)
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE.get(loss.name, 0.02))


def test_huber_errors_cover_the_spread_of_repeated_fits():
    loss = Loss("huber", 0.7)
    fits = [one_pass(loss, random_block(800, 2, seed=100 + i, loss=loss)) for i in range(150)]
    spread = np.std([fit.weights().dense for fit in fits], axis=0)
    claimed = np.mean([np.sqrt(np.diag(fit.covariance()))[:2] for fit in fits], axis=0)
    np.testing.assert_allclose(claimed, spread, rtol=0.2)


def test_softmax_errors_of_contrasts_are_those_of_statsmodels():
    loss = Loss("softmax", n_classes=3)
    block, _ = task(loss, 8000, seed=11, d=2)
    block = replace(block, dense=standardised(block, block).astype(np.float32))
    covariance = one_pass(loss, block, 4000).covariance()
    x = sm.add_constant(block.dense.astype(float), prepend=False)
    theirs = sm.MNLogit(block.label, x).fit(disp=0).bse
    # Only differences of classes are determined; statsmodels takes class 0 as the base.
    for k in (1, 2):
        contrast = np.zeros((3, len(covariance)))
        contrast[:, 3 * k : 3 * k + 3], contrast[:, :3] = np.eye(3), -np.eye(3)
        ours = np.sqrt(np.diag(contrast @ covariance @ contrast.T))
        np.testing.assert_allclose(ours, np.asarray(theirs)[:, k - 1], rtol=0.03)


def test_hinge_has_no_standard_errors():
    assert one_pass(Loss("hinge"), random_block(500, 2, 0, loss="hinge")).covariance() is None
