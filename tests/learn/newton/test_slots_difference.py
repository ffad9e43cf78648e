"""Evidence about slots adds up, and learners that meet the same slots do not overshoot together."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import make_block, random_block
from onepass.jit import compiled
from onepass.learn.losses import Loss
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.slots import Margins, SlotFilter
from onepass.learn.newton.slots_tempered import Tempering, counted_once


@compiled
def counted_once_here(before, after, rate, n_shares):
    return counted_once(before, after, rate, n_shares)


def learn(filter_: SlotFilter, slots: np.ndarray, label: np.ndarray) -> SlotFilter:
    nothing = Margins(np.zeros((len(label), 1)), np.zeros((len(label), 1)))
    filter_.learn(slots.astype(np.int32), nothing, label, np.ones(len(label)), 0.0)
    return filter_


def held_copy(base: SlotFilter, n_shares: int = 1, n_rows: int = 0) -> SlotFilter:
    copy = SlotFilter(base.loss, len(base.hashed))
    for name, array in base.arrays().items():
        setattr(copy, name, array.copy())
    copy.hold(n_shares, n_rows, int(base.n_rows))
    return copy


@pytest.mark.parametrize("n_shares", [2, 16])
def test_one_slot_a_row_and_squared_loss_give_the_posterior_of_all_shares(n_shares):
    rng = np.random.default_rng(1)
    slots, label = rng.integers(0, 50, (3000, 1)), rng.normal(size=3000)
    base = learn(SlotFilter(Loss("squared"), 60), slots[:1000], label[:1000])
    base.dispersion = np.ones(2)
    found = []
    for rows in np.array_split(np.arange(1000, 3000), n_shares):
        share = held_copy(base, n_shares, 2000)
        nothing = Margins(np.zeros((len(rows), 1)), np.zeros((len(rows), 1)))
        for row in rows:
            # One row at a time with the dispersion of the base, which has a closed form.
            share.dispersion = np.ones(2)
            one = slice(row, row + 1)
            nothing = Margins(np.zeros((1, 1)), np.zeros((1, 1)))
            share.learn(slots[one].astype(np.int32), nothing, label[one], np.ones(1), 0.0)
        share.dispersion = np.ones(2)
        found.append(share.difference(base))
    for one in found:
        base.merge(one)
    # The first 1,000 rows were learnt as one block with a dispersion of 1, too.
    for slot in range(50):
        own = label[slots[:, 0] == slot]
        precision = len(own) + 1 / float(base.prior)
        assert base.weights[slot, 0] == pytest.approx(own.sum() / precision, rel=1e-3, abs=1e-4)
        assert base.hashed[slot, 0, 1] == pytest.approx(1 / precision, rel=1e-4)


def test_only_changed_slots_are_in_a_difference():
    rng = np.random.default_rng(2)
    base = learn(SlotFilter(Loss("logistic"), 1000), rng.integers(0, 1000, (500, 3)), np.ones(500))
    slots = rng.integers(0, 40, (60, 3))
    share = learn(held_copy(base), slots, np.zeros(60))
    (evidence,) = share.difference(base).evidence
    assert evidence.index.tolist() == sorted(set(slots.ravel().tolist()))
    assert evidence.index.dtype == np.int32


@pytest.mark.parametrize("fading", [1.0, 0.98])
def test_evidence_of_many_shares_takes_no_more_memory_than_all_slots(fading):
    rng = np.random.default_rng(6)
    base = learn(SlotFilter(Loss("logistic"), 500), rng.integers(0, 500, (900, 3)), np.ones(900))
    found = []
    for _ in range(20):
        share = held_copy(base)
        share.fade(fading)
        label = (rng.random(100) < 0.8).astype(float)
        found.append(learn(share, rng.integers(0, 500, (100, 3)), label).difference(base))
    total, apart = found[0], held_copy(base)
    apart.merge(found[0])
    for one in found[1:]:
        total = total.then(one)
        apart.merge(one)
        assert sum(len(part.index) for part in total.evidence) <= 500
    base.merge(total)
    np.testing.assert_allclose(base.hashed, apart.hashed, rtol=2e-5, atol=1e-6)


def test_fading_alone_changes_no_slot_but_every_variance():
    rng = np.random.default_rng(3)
    base = learn(SlotFilter(Loss("logistic"), 100), rng.integers(0, 90, (2000, 2)), np.ones(2000))
    share = held_copy(base)
    for _ in range(300):
        share.fade(0.99)
    found = share.difference(base)
    assert len(found.evidence[0].index) == 0
    base.merge(found)
    np.testing.assert_allclose(base.hashed, share.hashed, rtol=1e-5)


def test_merging_is_learning_where_shares_meet_different_slots():
    rng = np.random.default_rng(4)
    base = learn(SlotFilter(Loss("logistic"), 400), rng.integers(0, 400, (900, 2)), np.ones(900))
    one, found = held_copy(base), []
    for number in range(4):
        slots = rng.integers(100 * number, 100 * number + 100, (300, 2))
        label = rng.integers(0, 2, 300).astype(float)
        learn(one, slots, label)
        found.append(learn(held_copy(base), slots, label).difference(base))
    for difference in found:
        base.merge(difference)
    np.testing.assert_allclose(base.hashed, one.hashed, rtol=1e-4, atol=1e-6)


def alike(n_rows: int, seed: int, n_columns: int = 24):
    """Return rows of columns of 3 levels, without dense features that matter."""
    rng = np.random.default_rng(seed)
    slots = rng.integers(0, 3, (n_rows, n_columns)) + 3 * np.arange(n_columns)
    effects = np.random.default_rng(0).normal(size=3 * n_columns) * 0.3
    label = effects[slots].sum(1) + rng.logistic(size=n_rows) > 1.5
    return make_block(rng.normal(size=(n_rows, 2)), label, slots=slots)


def excess_of_rounds(*, tempered: bool) -> float:
    """Return the holdout loss of ten rounds of 32 learners, relative to that of one learner."""
    loss, probe = Loss("logistic"), alike(4000, seed=999)
    one, base = (Hybrid(loss, 2, 72) for _ in range(2))
    for learner in (one, base):
        learner.update(alike(8000, seed=1))
    for number in range(10):
        found = []
        for seed in range(32):
            block = alike(100, seed=100 + 32 * number + seed)
            one.update(block)
            share = Hybrid(loss, 2, 72)
            share.restore(base.state())
            share.hold(32 if tempered else 1, 3200)
            share.update(block)
            found.append(share.difference(base))
        total = found[0]
        for later in found[1:]:
            total = total.then(later)
        base.merge(total)
    losses = [loss.total(m.predict(probe), probe.label, probe.weight) for m in (base, one)]
    return losses[0] / losses[1]


def test_learners_of_equal_columns_do_not_overshoot_together():
    assert excess_of_rounds(tempered=True) < 1.005
    # Plain sums of evidence do, so that the test sees the difference.
    assert excess_of_rounds(tempered=False) > 1.05


def test_tempered_rows_count_once_in_the_evidence():
    rng = np.random.default_rng(5)
    base = learn(SlotFilter(Loss("squared"), 4), rng.integers(0, 4, (4000, 1)), np.zeros(4000))
    tempering = Tempering.of_round(base.hashed.reshape(-1, 2), float(base.prior), 1, 16, 4000)
    known = np.array([0.0, 1e-3, 50.0, 1000.0, 5000.0])
    # A slot of a quarter of the rows is met by all learners, and counts half as often as these.
    repeats = np.maximum(1.0, 0.5 * tempering.rate * known / (1 + tempering.rate * known / 16))
    assert repeats[0] == 1.0
    assert 7 < repeats[-1] < 8
    tiny = 1e-6 * np.maximum(known, 1.0)
    for grown in (tiny, np.zeros(5)):
        once = [
            counted_once_here(k, k + more, tempering.rate, 16.0)
            for k, more in zip(known, grown, strict=True)
        ]
        np.testing.assert_allclose(once, 1 / repeats, rtol=1e-4)
    assert counted_once_here(5.0, 6.0, 0.0, 1.0) == 1.0


def test_tempered_learners_make_the_moves_that_plain_ones_make_of_slots_of_one_share():
    base = Hybrid(Loss("logistic"), 3, 5000)
    base.update(random_block(6000, 3, 1, loss="logistic", n_hashed=3, n_slots=100))
    rare = random_block(40, 3, 2, loss="logistic", n_hashed=3, n_slots=4000)
    rare = make_block(rare.dense, rare.label, slots=rare.slots + 900)
    found = []
    for n_shares in (1, 32):
        share = Hybrid(Loss("logistic"), 3, 5000)
        share.restore(base.state())
        share.hold(n_shares, 3000)
        share.update(rare)
        found.append(share.difference(base).slots.evidence[0])
    np.testing.assert_array_equal(found[0].index, found[1].index)
    np.testing.assert_allclose(found[0].pull, found[1].pull, rtol=1e-3, atol=1e-6)
