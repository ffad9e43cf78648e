"""Robust covariance: oracles of statsmodels, laws of units and order, states, rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from blocks import split
from learners import settings
from onepass.block import Block
from onepass.learn.learner import Learner
from onepass.learn.minimise import minimise
from onepass.learn.newton import block_learner
from onepass.learn.newton.cluster_scores import ClusterScores, most_clusters, most_curved
from onepass.learn.newton.keeps import Keeps
from onepass.learn.updater import Identified

KINDS = ("rows", "clusters")


def clustered(loss: str, n_rows: int, seed: int = 0, n_clusters: int = 60, **given) -> Block:
    """Rows of clusters with levels of their own, and noise that depends on the first feature."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, n_clusters, n_rows)
    x = rng.normal(size=(n_rows, 3)) + 0.5 * rng.normal(size=(n_clusters, 3))[cluster]
    x = x.astype(np.float32)
    margin = 0.3 * x.sum(axis=1) - 0.2 + 0.3 * rng.normal(size=n_clusters)[cluster]
    match loss:
        case "squared":
            label = margin + np.exp(0.4 * x[:, 0]) * rng.normal(size=n_rows)
        case "logistic":
            label = rng.random(n_rows) < 1 / (1 + np.exp(-margin))
        case _:
            label = rng.poisson(np.exp(margin))
    keys = np.random.default_rng(7).integers(-(2**62), 2**62, n_clusters)[cluster]
    none = np.empty((n_rows, 0), np.int32)
    weight = given.get("weight", np.ones(n_rows))
    return Block(x, none, label.astype(np.float64), weight, cluster=keys)


def learnt(loss: str, block: Block, scores: str, *, at_once: int = 5000, **given) -> Learner:
    keeps = Keeps(likelihood=True, scores=scores)
    learner = Learner(settings(loss=loss, n_dense=3, keeps=keeps, **given))
    for piece in split(block, at_once):
        learner.update(piece)
    return learner


def refined(learner: Learner, block: Block) -> Learner:
    head = learner.heads[0]
    objective = head.objective()

    def evaluate(point, curvature):
        total, *rest = (
            objective.sums(point, piece, curvature=curvature) for piece in split(block, 3000)
        )
        for one in rest:
            total.add(one)
        return total

    found = minimise("newton", objective, head.point(), evaluate, 20)
    head.adopt(found.point, found.sums, trusted=found.trusted)
    return learner


def known(learner: Learner, repeats: float = 1.0) -> Identified:
    found = learner.weights(repeats)[0].identified
    assert found is not None
    return found


def errors(learner: Learner) -> np.ndarray:
    return np.sqrt(np.diag(known(learner).robust))


def of_statsmodels(loss: str, block: Block, scores: str) -> np.ndarray:
    x = np.column_stack([block.dense.astype(np.float64), np.ones(block.n_rows)])
    if loss == "squared":
        model = sm.WLS(block.label, x, weights=block.weight)
    else:
        families = {"logistic": sm.families.Binomial(), "poisson": sm.families.Poisson()}
        model = sm.GLM(block.label, x, family=families[loss])
    if scores == "clusters":
        groups = np.unique(block.cluster, return_inverse=True)[1]
        return model.fit(cov_type="cluster", cov_kwds={"groups": groups}, tol=1e-12).bse
    if loss == "squared":
        return model.fit(cov_type="HC1").bse
    # Its HC1 of generalised linear models is HC0.
    factor = block.n_rows / (block.n_rows - x.shape[1])
    return model.fit(cov_type="HC0", tol=1e-12).bse * np.sqrt(factor)


@pytest.mark.parametrize("scores", KINDS)
@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
def test_refined_errors_are_those_of_statsmodels(loss, scores):
    block = clustered(loss, 12_000)
    found = refined(learnt(loss, block, scores), block)
    np.testing.assert_allclose(errors(found), of_statsmodels(loss, block, scores), rtol=1e-6)


def test_derivatives_of_many_classes_are_taken_in_pieces(monkeypatch):
    block = clustered("poisson", 3000)
    block = replace(block, label=np.minimum(block.label, 3.0))
    most, sizes, taken = 16_000, [], block_learner.scored

    def counted(*given, **more):
        found = taken(*given, **more)
        sizes.append(found.c.size)
        return found

    monkeypatch.setattr(block_learner, "scored", counted)
    whole = errors(learnt("softmax", block, "clusters", n_classes=4))
    assert sizes == [3000 * 4 * 4]
    monkeypatch.setattr(block_learner, "_MOST_DERIVATIVES", most)
    np.testing.assert_allclose(errors(learnt("softmax", block, "clusters", n_classes=4)), whole)
    assert max(sizes[1:]) <= 2 * most


@pytest.mark.parametrize("scores", KINDS)
@pytest.mark.parametrize(("loss", "within"), [("squared", 2e-3), ("logistic", 0.015)])
def test_errors_of_one_pass_are_near_those_of_statsmodels(loss, within, scores):
    block = clustered(loss, 40_000)
    expected = of_statsmodels(loss, block, scores)
    np.testing.assert_allclose(errors(learnt(loss, block, scores)), expected, rtol=within)


@pytest.mark.parametrize("order", ["shuffled", "by cluster"])
def test_clusters_of_squared_loss_are_exact_in_one_pass(order):
    weight = np.random.default_rng(1).uniform(0.5, 2.0, 20_000)
    block = clustered("squared", 20_000, weight=weight)
    if order == "by cluster":
        block = block.take(np.argsort(block.cluster, kind="stable"))
    found = learnt("squared", block, "clusters", at_once=700)
    np.testing.assert_allclose(
        errors(found), of_statsmodels("squared", block, "clusters"), rtol=1e-6
    )
    assert known(found).clusters == 60


def test_rows_of_unequal_variance_get_larger_errors_than_the_curvature_gives():
    found = known(learnt("squared", clustered("squared", 20_000, n_clusters=20_000), "rows"))
    plain, robust = (np.sqrt(np.diag(one)) for one in (found.covariance, found.robust))
    assert robust[0] > 1.3 * plain[0]


@pytest.mark.parametrize("scores", KINDS)
def test_neither_the_unit_of_weights_nor_the_order_of_columns_matters(scores):
    block = clustered("squared", 9000)
    first = errors(learnt("squared", block, scores))
    heavy = replace(block, weight=7.0 * block.weight)
    np.testing.assert_allclose(errors(learnt("squared", heavy, scores)), first, rtol=1e-6)
    order = [2, 0, 1]
    moved = replace(block, dense=np.ascontiguousarray(block.dense[:, order]))
    np.testing.assert_allclose(
        errors(learnt("squared", moved, scores)), first[[*order, 3]], rtol=1e-6
    )


@pytest.mark.parametrize("scores", KINDS)
def test_rows_that_are_learnt_twice_give_their_information_once(scores):
    block = clustered("squared", 9000)
    twice = Block.concatenated([block, block])
    once = errors(learnt("squared", block, scores))
    found = known(learnt("squared", twice, scores), repeats=2.0)
    np.testing.assert_allclose(np.sqrt(np.diag(found.robust)), once, rtol=2e-3)


@pytest.mark.parametrize("scores", KINDS)
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_restored_learner_goes_on_to_the_same_bytes(loss, scores):
    block = clustered(loss, 12_000)
    whole = learnt(loss, block, scores, at_once=1500)
    part = learnt(loss, block.take(np.arange(3000)), scores, at_once=1500)
    resumed = Learner(part.settings)
    resumed.restore(part.state())
    for piece in split(block.take(np.arange(3000, 12_000)), 1500):
        resumed.update(piece)
    for name, array in whole.arrays().items():
        assert array.tobytes() == resumed.arrays()[name].tobytes(), name


@pytest.mark.parametrize("scores", KINDS)
@pytest.mark.parametrize("half_life", [None, 6000.0])
def test_learners_of_a_round_merge_to_the_errors_of_one(scores, half_life):
    given = {"half_life_rows": half_life}
    blocks = list(split(clustered("squared", 24_000), 6000))
    base = learnt("squared", blocks[0], scores, **given)
    shares = []
    for one in blocks[1:]:
        share = Learner(base.settings)
        share.restore(base.state())
        share.hold(3, 18_000)
        share.update(one)
        shares.append(share.difference(base))
    alone = learnt("squared", Block.concatenated(blocks), scores, at_once=6000, **given)
    base.merge(shares)
    within = 1e-6 if scores == "clusters" else 2e-3
    np.testing.assert_allclose(errors(base), errors(alone), rtol=within)
    assert known(base).clusters == known(alone).clusters


def test_scores_leave_weights_and_predictions_as_they_are():
    block = clustered("logistic", 12_000)
    with_scores, without = (learnt("logistic", block, kind) for kind in ("clusters", "none"))
    arrays = without.arrays()
    assert all(np.array_equal(with_scores.arrays()[name], arrays[name]) for name in arrays)
    assert known(without).robust is None


def test_clusters_beyond_the_bound_are_grouped_and_the_covariance_still_holds(monkeypatch):
    block = clustered("squared", 30_000, n_clusters=3000)
    expected = of_statsmodels("squared", block, "clusters")
    monkeypatch.setattr("onepass.learn.newton.cluster_scores._MOST_SCORES", 4 * 500)
    found = learnt("squared", block, "clusters")
    assert 900 < known(found).clusters <= 1000
    np.testing.assert_allclose(errors(found), expected, rtol=0.1)


def test_clusters_that_are_too_many_for_their_curvatures_keep_their_scores(monkeypatch):
    block = clustered("squared", 30_000, n_clusters=300)
    monkeypatch.setattr("onepass.learn.newton.cluster_scores._MOST_CURVATURES", 4**2 * 100)
    found = learnt("squared", block, "clusters")
    assert not len(found.arrays()["0.cluster_curvature"])
    np.testing.assert_allclose(
        errors(found), of_statsmodels("squared", block, "clusters"), rtol=0.02
    )


def test_the_memory_of_clusters_is_bounded():
    for n_weights in (2, 31, 513, 2049):
        table = 2 * most_clusters(n_weights) * 8 * (n_weights + 1)
        assert table + most_curved(n_weights) * 8 * n_weights**2 == ClusterScores.nbytes(n_weights)
        assert ClusterScores.nbytes(n_weights) <= 70 << 20


def test_damaged_clusters_are_refused():
    learner = learnt("squared", clustered("squared", 2000), "clusters")
    state = learner.state()
    state["0.cluster_keys"] = state["0.cluster_keys"][::-1].copy()
    with pytest.raises(ValueError, match="rising order"):
        Learner(learner.settings).restore(state)
    state["0.cluster_keys"] = state["0.cluster_keys"][:5]
    with pytest.raises(ValueError, match="clusters of one number"):
        Learner(learner.settings).restore(state)
