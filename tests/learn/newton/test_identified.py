"""Standard errors do not depend on epochs, on the unit of precision weights, or on aliases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from blocks import LOSSES, SOFTMAX, make_block, random_block, split
from onepass.block import Block
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.newton.newton import Newton

every_likelihood = pytest.mark.parametrize(
    "loss", [*(one for one in LOSSES if one.name != "hinge"), SOFTMAX], ids=lambda one: one.name
)


def one_pass(loss: Loss, *blocks: Block) -> Newton:
    first = blocks[0]
    base = float(np.log(first.label.mean())) if loss.name in LOG_LINK else 0.0
    newton = Newton(loss, first.dense.shape[1], base=base)
    for block in blocks:
        for piece in split(block, 3000):
            newton.update(piece)
    return newton


def errors(newton: Newton, repeats: float = 1.0) -> np.ndarray:
    return np.sqrt(np.diag(newton.identified(repeats).covariance))


def weighted(loss: Loss) -> Block:
    block = random_block(8000, 3, 1, loss=loss)
    return replace(block, weight=np.random.default_rng(2).gamma(2.0, 2.0, block.n_rows))


@every_likelihood
def test_unit_of_weights_matters_only_where_they_count_rows(loss):
    block = weighted(loss)
    plain = errors(one_pass(loss, block))
    tenfold = errors(one_pass(loss, replace(block, weight=10 * block.weight)))
    factor = np.sqrt(10) if loss.has_unit_dispersion else 1.0
    np.testing.assert_allclose(tenfold * factor, plain, rtol=0.01)


@pytest.mark.parametrize("name", ["squared", "gamma", "poisson", "logistic"])
def test_errors_of_weighted_rows_are_those_of_statsmodels(name):
    loss, families = Loss(name), sm.families
    block = weighted(loss)
    x = sm.add_constant(block.dense.astype(float), prepend=False)
    family = {
        "squared": families.Gaussian(),
        "gamma": families.Gamma(families.links.Log()),
        "poisson": families.Poisson(),
        "logistic": families.Binomial(),
    }[name]
    theirs = sm.GLM(block.label, x, family, var_weights=block.weight).fit()
    tolerance = {"squared": 1e-6, "gamma": 0.03}.get(name, 0.02)
    np.testing.assert_allclose(errors(one_pass(loss, block)), theirs.bse, rtol=tolerance)


@every_likelihood
def test_rows_learnt_three_times_give_their_information_once(loss):
    block = random_block(9000, 3, 3, loss=loss)
    once, thrice = one_pass(loss, block), one_pass(loss, block, block, block)
    np.testing.assert_allclose(errors(thrice, 3.0), errors(once), rtol=0.03)


@every_likelihood
def test_a_sum_of_columns_is_aliased_and_leaves_the_errors_of_the_others(loss):
    block = random_block(9000, 3, 4, loss=loss)
    x = block.dense
    dense = np.column_stack([x, x[:, 0] + x[:, 1], np.full(len(x), 3.0)])
    newton, plain = one_pass(loss, make_block(dense, block.label)), one_pass(loss, block)
    known = newton.identified()
    np.testing.assert_array_equal(known.aliased, [False, False, False, True, False])
    n_outputs = loss.n_outputs
    ours = errors(newton).reshape(n_outputs, 6)
    assert np.isnan(ours[:, 3:5]).all()
    np.testing.assert_allclose(
        ours[:, [0, 1, 2, 5]], errors(plain).reshape(n_outputs, 4), rtol=0.02
    )
    # The margins stay; the aliased feature has no weight.
    assert (known.weights[:, 3] == 0).all()
    margins = dense @ known.weights[:, :-1].T + known.weights[:, -1]
    np.testing.assert_allclose(
        margins, newton.predict(make_block(dense, block.label)).reshape(margins.shape), atol=1e-4
    )


@pytest.mark.parametrize("condition", [10.0, 1e3, 1e4])
def test_nearly_collinear_columns_are_not_aliased(condition):
    block = random_block(5000, 2, 5)
    x = block.dense.astype(float)
    dense = np.column_stack([x[:, 0], x[:, 0] + x[:, 1] / condition]).astype(np.float32)
    newton = one_pass(Loss("squared"), make_block(dense, block.label))
    assert not newton.identified().aliased.any()
    theirs = sm.OLS(block.label, sm.add_constant(dense.astype(float), prepend=False)).fit()
    np.testing.assert_allclose(errors(newton), theirs.bse, rtol=1e-3)
