"""Cross-validation from one pass: what fits without each fold would give, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from blocks import random_block, split
from learners import settings
from onepass.block import Block
from onepass.learn.candidates import Candidates
from onepass.learn.folds import FOLDED, Folds
from onepass.learn.heads import learner_bytes
from onepass.learn.learner import Learner
from onepass.learn.metrics import make_metrics
from onepass.learn.newton.limits import kept_rows
from onepass.ledger.npz import dump_state, load_state

K = 4


def rows(loss: str, n_rows: int, seed: int = 1, **given) -> Block:
    block = random_block(n_rows, 3, seed, loss=loss, **given)
    return replace(block, fold=np.random.default_rng(seed).integers(0, K, n_rows))


def learner(loss: str = "squared", **given) -> Learner:
    return Learner(settings(loss=loss, n_folds=K, careful=True, **given))


def learnt(own: Learner, block: Block, rows_each: int = 700) -> Learner:
    for piece in split(block, rows_each):
        own.update(piece)
    return own


def evaluated(loss: str, prediction, label, weight) -> float:
    """The mean loss as evaluation counts it."""
    metrics = make_metrics(loss, delta=1.0)
    metrics.add(prediction, label, weight)
    return metrics.loss()


def without_each_fold(block: Block, fit) -> list[float]:
    """Losses of folds by `fit`, which learns the other rows and returns the loss of given ones."""
    found = []
    for k in range(K):
        loss_of = fit(block.take(np.flatnonzero(block.fold != k)))
        found.append(loss_of(block.take(np.flatnonzero(block.fold == k))))
    return found


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_squared_loss_of_each_fold_is_that_of_a_fit_without_it(l2):
    block = rows("squared", 3000, weighted=True)
    block = replace(block, label=40.0 + 5.0 * block.label)

    def fit(others: Block):
        scaler = StandardScaler().fit(others.dense, sample_weight=others.weight)
        model = Ridge(alpha=l2 * others.weight.sum(), tol=1e-12)
        model.fit(scaler.transform(others.dense), others.label, others.weight)
        return lambda left: float(
            np.average(
                np.square(model.predict(scaler.transform(left.dense)) - left.label),
                weights=left.weight,
            )
        )

    own = learnt(learner(l2=l2, center=40.0, scale=5.0), block)
    (found,) = own.cross_validations()
    expected = without_each_fold(block, fit)
    np.testing.assert_allclose(found.fold_losses, expected, rtol=1e-6)
    share = np.bincount(block.fold, block.weight) / block.weight.sum()
    assert found.loss == pytest.approx(share @ expected, rel=1e-6)
    assert found.standard_error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(K), rel=1e-4)


@pytest.mark.parametrize("loss", sorted(FOLDED - {"squared"}))
@pytest.mark.parametrize("n_rows", [1000, 12_000])
def test_other_losses_are_close_to_those_of_fits_without_each_fold(loss, n_rows):
    block = rows(loss, n_rows)
    own = learner(loss)
    of = own.losses[0]

    def fit(others: Block):
        def objective(w):
            value, g, _ = of.expand(others.dense @ w[:-1] + w[-1], others.label, others.weight)
            return value / others.n_rows, np.append(g @ others.dense, g.sum()) / others.n_rows

        w = minimize(objective, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-9}).x
        return lambda left: evaluated(
            loss, of.mean(left.dense @ w[:-1] + w[-1]), left.label, left.weight
        )

    # Small blocks: the first of them are learnt while few rows determine the weights.
    (found,) = learnt(own, block, n_rows // 20).cross_validations()
    expected = without_each_fold(block, fit)
    np.testing.assert_allclose(found.fold_losses, expected, rtol=2e-3)
    np.testing.assert_allclose(np.mean(found.fold_losses), np.mean(expected), rtol=5e-4)


@pytest.mark.parametrize("loss", sorted(FOLDED - {"huber"}))
def test_the_loss_without_a_model_is_that_of_the_mean_of_the_other_folds(loss):
    block = rows(loss, 6000)

    def fit(others: Block):
        mean = float(np.average(others.label, weights=others.weight))
        return lambda left: evaluated(loss, np.full(left.n_rows, mean), left.label, left.weight)

    (found,) = learnt(learner(loss), block).cross_validations()
    losses = without_each_fold(block, fit)
    share = np.bincount(block.fold, block.weight) / block.weight.sum()
    assert found.constant_loss == pytest.approx(float(share @ losses), rel=2e-4)


def test_a_level_that_only_one_fold_has_gets_no_weight_from_the_others():
    block = rows("squared", 4000)
    block.dense[:, 2] = (block.fold == 1) & (np.arange(4000) % 50 == 0)
    (found,) = learnt(learner(), block).cross_validations()
    others = block.take(np.flatnonzero(block.fold != 1))
    x = np.column_stack([others.dense[:, :2], np.ones(others.n_rows)])
    w = np.linalg.lstsq(x, others.label, rcond=None)[0]
    left = block.take(np.flatnonzero(block.fold == 1))
    squares = np.square(left.dense[:, :2] @ w[:2] + w[2] - left.label)
    assert found.fold_losses[1] == pytest.approx(squares.mean(), rel=1e-6)


def test_offsets_are_a_part_of_the_margin():
    block = rows("poisson", 6000)
    offset = np.random.default_rng(3).normal(size=6000)
    folds = [Folds(learner("poisson").losses[0], 3, K, base=0.0, half_life=None) for _ in "ab"]
    linear = learnt(learner("poisson"), block).linear()
    folds[0].add(block, block.fold, linear)
    # An offset that a feature is known to undo changes no margin.
    moved = replace(block, offset=offset, dense=block.dense.copy())
    moved.dense[:, 0] -= (offset / linear.dense[0, 0]).astype(np.float32)
    folds[1].add(moved, block.fold, linear)
    np.testing.assert_allclose(folds[1].h[:, -1, -1], folds[0].h[:, -1, -1], rtol=1e-5)


@pytest.mark.parametrize("given", [{}, {"half_life_rows": 2000.0}], ids=["", "half-life"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_resume_at_every_step_gives_the_same_bytes(loss, given):
    blocks = [rows(loss, 1500, seed) for seed in range(5)]
    whole, states = learner(loss, **given), []
    for block in blocks:
        states.append(dump_state(whole.state()))
        whole.update(block)
    for step, state in enumerate(states):
        resumed = learner(loss, **given)
        resumed.restore(load_state(state))
        for block in blocks[step:]:
            resumed.update(block)
        assert dump_state(resumed.state()) == dump_state(whole.state())


@pytest.mark.parametrize(
    "given",
    [{}, {"half_life_rows": 3000.0}, {"half_life_partitions": 2.0}],
    ids=["", "half-life in rows", "half-life in partitions"],
)
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_shares_of_a_round_add_up_to_what_one_learner_learns_in_order(loss, given):
    base = learnt(learner(loss, **given), rows(loss, 9000))
    assert base.adds_up
    parts = [rows(loss, 1000 + 100 * i, 10 + i) for i in range(3)]
    differences = []
    for part in parts:
        share = learner(loss, **given)
        share.restore(base.state())
        share.hold(3, 3300)
        share.partition_begins()
        differences.append(learnt(share, part).difference(base))
    alone = learner(loss, **given)
    alone.restore(base.state())
    base.merge(differences)
    for part in parts:
        alone.partition_begins()
        learnt(alone, part)
    one, other = base.cross_validations()[0], alone.cross_validations()[0]
    # Rows are expanded around the weights of their share.
    rtol = 1e-9 if loss == "squared" else 1e-4
    np.testing.assert_allclose(one.fold_losses, other.fold_losses, rtol=rtol)


def test_rounds_wait_until_the_first_rows_are_no_longer_kept():
    own = learner("logistic")
    own.update(rows("logistic", kept_rows(4) - 1))
    assert not own.adds_up


def test_half_life_forgets_the_folds_of_old_rows():
    old, new = rows("squared", 20_000), rows("squared", 20_000, 2)
    old = replace(old, label=-old.label)
    (found,) = learnt(learnt(learner(half_life_rows=500.0), old), new).cross_validations()
    (expected,) = learnt(learner(half_life_rows=500.0), new).cross_validations()
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)


def test_folds_change_no_byte_of_the_rest_of_the_state():
    block = rows("logistic", 6000)
    plain = Learner(settings(loss="logistic", careful=True))
    learnt(plain, replace(block, fold=None))
    own = learnt(learner("logistic"), block).state()
    rest = {name: array for name, array in own.items() if not name.startswith("folds.")}
    assert dump_state(rest) == dump_state(plain.state())


def test_an_unfit_state_is_refused_and_changes_nothing():
    own, other = learnt(learner(), rows("squared", 500)), learnt(learner(), rows("squared", 900, 2))
    before = dump_state(own.state())
    state = {n: a for n, a in other.state().items() if n != "folds.h"}
    with pytest.raises(ValueError, match="'h': expected"):
        own.restore(state)
    assert dump_state(own.state()) == before


def test_bytes_are_those_of_the_arrays():
    given = settings(loss="logistic", n_folds=K)
    own = Learner(given)
    own.update(rows("logistic", kept_rows(4) - 1))
    nbytes = sum(array.nbytes for array in own.arrays().values())
    assert nbytes + 8 == Learner.nbytes(given) <= learner_bytes(given)


def test_each_candidate_has_its_own_and_the_chosen_one_is_told():
    penalties = [0.0, 0.3]
    own = Candidates([settings(n_folds=K, l2=l2) for l2 in penalties])
    block = rows("squared", 5000)
    own.update(block)
    own.judge(replace(rows("squared", 200, 7), fold=None))
    found = own.cross_validations()
    assert [(one.l2, one.chosen) for one in found] == [(0.0, True), (0.3, False)]
    for one in found:
        (alone,) = learnt(learner(l2=one.l2), block).cross_validations()
        assert one.loss == pytest.approx(alone.loss, rel=1e-9)


def test_one_fold_with_rows_gives_no_cross_validation():
    block = rows("squared", 300)
    own = learnt(learner(), replace(block, fold=np.zeros(300, np.int64)))
    assert own.cross_validations() == []
