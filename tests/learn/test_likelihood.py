"""Log likelihood, deviance and criteria of models that have seen each row once; by statsmodels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from blocks import split
from learners import settings
from onepass.block import Block
from onepass.learn.label_sums import LEAST, label_sums, loss_and_pearson
from onepass.learn.learner import Learner
from onepass.learn.likelihood import FitStatistics, statistics
from onepass.learn.losses import Loss
from onepass.learn.newton.keeps import Keeps


def rows(loss: str, n_rows: int, seed: int = 0) -> Block:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    mean = np.exp(0.3 * x.sum(axis=1) - 0.2)
    labels = {
        "squared": lambda: 40 + 10 * (np.log(mean) + rng.normal(size=n_rows)),
        "logistic": lambda: rng.random(n_rows) < mean / (1 + mean),
        "poisson": lambda: rng.poisson(mean),
        "gamma": lambda: rng.gamma(2.0, mean / 2),
        "softmax": lambda: rng.integers(0, 3, n_rows),
    }
    none = np.empty((n_rows, 0), np.int32)
    return Block(x, none, labels[loss]().astype(np.float64), np.ones(n_rows))


def fit(block: Block, loss: str, repeats: float = 1.0, **given) -> FitStatistics:
    unit = {"center": 40.0, "scale": 10.0} if loss == "squared" else {}
    unit |= {"n_classes": 3} if loss == "softmax" else {}
    learner = Learner(settings(loss=loss, keeps=Keeps(likelihood=True), **unit | given))
    for piece in split(block, 5000):
        learner.update(piece)
    found = learner.weights(repeats)[0].identified
    assert found is not None
    assert found.fit is not None
    return found.fit


def of_statsmodels(loss: str, block: Block):
    x = np.column_stack([block.dense.astype(np.float64), np.ones(block.n_rows)])
    families = {
        "logistic": sm.families.Binomial(),
        "poisson": sm.families.Poisson(),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
    }
    if loss == "squared":
        return sm.WLS(block.label, x, weights=block.weight).fit()
    if loss == "softmax":
        return sm.MNLogit(block.label, x).fit(disp=0)
    return sm.GLM(block.label, x, family=families[loss]).fit()


@pytest.mark.parametrize("n_rows", [3000, 30_000])
@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson", "gamma", "softmax"])
def test_statistics_of_one_pass_are_those_of_statsmodels(loss, n_rows):
    block = rows(loss, n_rows)
    found, expected = fit(block, loss), of_statsmodels(loss, block)
    # The likelihood of gamma moves with the estimate of its dispersion.
    within = 3.0 if loss == "gamma" else 0.3
    assert found.log_likelihood == pytest.approx(expected.llf, abs=within)
    assert found.aic == pytest.approx(expected.aic, abs=2 * within)
    assert found.bic == pytest.approx(
        np.log(n_rows) * found.n_parameters - 2 * expected.llf, abs=2 * within
    )
    deviance, nothing = {
        "squared": lambda: (expected.ssr, expected.centered_tss),
        "softmax": lambda: (-2 * expected.llf, -2 * expected.llnull),
    }.get(loss, lambda: (expected.deviance, expected.null_deviance))()
    assert found.deviance == pytest.approx(deviance, rel=1e-5)
    assert found.null_deviance == pytest.approx(nothing, rel=1e-7)
    assert found.n_parameters == (8 if loss == "softmax" else 4)
    if loss in {"squared", "gamma"}:
        assert found.dispersion == pytest.approx(expected.scale, rel=3e-3)
    if loss == "poisson":
        assert found.dispersion == pytest.approx(expected.pearson_chi2 / (n_rows - 4), rel=1e-2)


def test_weighted_rows_of_squared_loss_have_the_likelihood_of_weighted_least_squares():
    block = rows("squared", 4000)
    weight = np.random.default_rng(1).uniform(0.2, 3.0, 4000)
    expected = of_statsmodels("squared", replace(block, weight=weight))
    for unit in (1.0, 50.0):
        found = fit(replace(block, weight=unit * weight), "squared")
        assert found.log_likelihood == pytest.approx(expected.llf, rel=1e-9)
        assert found.aic == pytest.approx(expected.aic, rel=1e-9)


def test_rows_of_weight_0_and_rows_learnt_twice_change_no_statistic():
    block = rows("gamma", 4000)
    first = fit(block, "gamma")
    nothing = replace(block, label=np.zeros(4000), weight=np.zeros(4000))
    more = fit(Block.concatenated([block, nothing]), "gamma")
    assert more.log_likelihood == pytest.approx(first.log_likelihood, abs=0.1)
    twice = fit(Block.concatenated([block, block]), "gamma", repeats=2.0)
    assert twice.deviance == pytest.approx(first.deviance, rel=1e-3)
    assert twice.log_likelihood == pytest.approx(first.log_likelihood, abs=2.0)


def test_dispersion_of_gamma_at_final_weights_is_that_of_the_rows_however_they_are_divided():
    block = rows("gamma", 300)
    z = np.zeros((300, 1))
    whole = loss_and_pearson(Loss("gamma"), z, block.label, block.weight, is_final=True)[1]
    assert whole == pytest.approx(np.square(block.label - 1) @ block.weight)
    parts = [
        loss_and_pearson(
            Loss("gamma"), z[i::3], block.label[i::3], block.weight[i::3], is_final=True
        )
        for i in range(3)
    ]
    assert whole == pytest.approx(sum(pearson for _, pearson in parts))


def test_a_penalty_takes_parts_of_parameters_away():
    block = rows("squared", 4000)
    counts = [fit(block, "squared", l2=l2).n_parameters for l2 in (0.0, 0.1, 10.0, 1e6)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 4
    assert counts[-1] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_losses_that_are_no_likelihood_have_no_statistics(loss):
    found = fit(rows("squared", 4000), loss, delta=1.0)
    assert found.log_likelihood is found.deviance is found.aic is None


@pytest.mark.parametrize("loss", ["logistic", "poisson", "gamma"])
def test_the_loss_of_a_block_is_that_of_its_rows(loss):
    block = rows(loss, 1000)
    z = np.random.default_rng(2).uniform(-30, 30, (1000, 1))
    value, _ = loss_and_pearson(Loss(loss), z, block.label, block.weight)
    total = Loss(loss).total(z[:, 0], block.label, block.weight)
    assert value == pytest.approx(total, rel=1e-12)


def test_null_deviance_of_rates_is_that_of_statsmodels():
    for loss in ("poisson", "gamma"):
        block = rows(loss, 2000)
        offset = np.random.default_rng(3).normal(size=2000)
        family = {"poisson": sm.families.Poisson(), "gamma": sm.families.Gamma}[loss]
        family = family(sm.families.links.Log()) if loss == "gamma" else family
        expected = sm.GLM(block.label, np.ones(2000), family=family, offset=offset).fit()
        sums = label_sums(Loss(loss), replace(block, offset=offset))
        found = statistics(
            Loss(loss), sums, 0.0, weight=2000, dispersion=1.0, n_rows=2000, n_parameters=1
        )
        assert found.null_deviance == pytest.approx(expected.deviance, rel=1e-9)


def test_terms_in_the_label_alone_complete_the_likelihoods_of_other_counts_and_durations():
    rng = np.random.default_rng(4)
    y, mean = rng.poisson(3.0, 500).astype(np.float64), np.exp(rng.normal(size=500))
    block = Block(np.empty((500, 0), np.float32), np.empty((500, 0), np.int32), y, np.ones(500))
    # The loss of negative_binomial at margins log(mean), with the variance mean + mean^2 / 2.
    value = float((-y * np.log(mean) + (y + 2) * np.log1p(0.5 * mean)).sum())
    sums = label_sums(Loss("negative_binomial", 0.5), block)
    given = {"weight": 500, "n_rows": 500, "n_parameters": 1}
    found = statistics(Loss("negative_binomial", 0.5), sums, value, dispersion=1.0, **given)
    exact = stats.nbinom.logpmf(y, 2, 2 / (2 + mean)).sum()
    assert found.log_likelihood == pytest.approx(exact, rel=1e-10)
    family = sm.families.NegativeBinomial(alpha=0.5)
    assert found.deviance == pytest.approx(family.deviance(y, mean), rel=1e-9)

    times = replace(block, label=rng.wald(1.0, 2.0, 500))
    y = times.label
    value = float((0.5 * y / mean**2 - 1 / mean).sum())
    sums = label_sums(Loss("inverse_gaussian"), times)
    found = statistics(Loss("inverse_gaussian"), sums, value, dispersion=0.7, **given)
    family = sm.families.InverseGaussian()
    assert found.log_likelihood == pytest.approx(family.loglike(y, mean, scale=0.7), rel=1e-9)
    assert found.deviance == pytest.approx(family.deviance(y, mean), rel=1e-9)

    sums = label_sums(Loss("tweedie", 1.5), replace(block, label=np.maximum(y - 0.5, 0.0)))
    best = -np.sqrt(np.maximum(y - 0.5, 0.0)).sum() * (1 / ((1 - 1.5) * (2 - 1.5)))
    assert sums[LEAST] == pytest.approx(best)
