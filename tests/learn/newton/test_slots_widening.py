"""The factor of the prior: its slope against differences of the loss, and where it leads."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import LOSSES, SOFTMAX, entries_of_slots, labels_for, make_block, split
from onepass.block import Block
from onepass.learn.losses import Loss
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.slots import Margins, SlotFilter
from onepass.learn.newton.slots_prior import reweigh
from onepass.learn.newton.slots_widening import derivatives_by_prior, slope_and_bend, widened
from onepass.learn.pointwise import SOFTMAX as SOFTMAX_CODE


def known_filter(loss: Loss, rng: np.random.Generator) -> SlotFilter:
    """A filter that has learnt some rows of three columns."""
    slots = rng.integers(0, 60, (1500, 3)).astype(np.int32)
    label = labels_for(loss, rng.normal(size=60)[slots].sum(axis=1), rng)
    filter_ = SlotFilter(loss, 60)
    nothing = np.zeros((1500, loss.n_outputs))
    filter_.learn(slots, Margins(nothing, nothing), label, np.ones(1500), 0.05)
    return filter_


def total_loss(filter_: SlotFilter, block: Block, prior: float) -> float:
    """Loss of new rows, if the prior had been another one."""
    beliefs = filter_.hashed.reshape(-1, 2).copy()
    reweigh(beliefs, float(filter_.prior), 1.0, prior)
    weights = beliefs[:, 0].astype(float).reshape(filter_.hashed.shape[:2])
    z = weights[block.slots].sum(axis=1)
    z = z if filter_.loss.code == SOFTMAX_CODE else z[:, 0]
    return filter_.loss.total(z, block.label, block.weight, width=0.05)


@pytest.mark.parametrize("loss", [*LOSSES, SOFTMAX], ids=str)
def test_slope_and_bend_are_the_derivatives_of_the_loss_of_new_rows(loss):
    rng = np.random.default_rng(1)
    filter_ = known_filter(loss, rng)
    slots = rng.integers(0, 60, (800, 3)).astype(np.int32)
    label = labels_for(loss, rng.normal(size=60)[slots].sum(axis=1), rng)
    block = make_block(np.empty((800, 0)), label, slots=slots, weight=rng.random(800))
    prior, step = float(filter_.prior), 0.02
    by_prior = derivatives_by_prior(filter_.hashed, prior, block.slots, None)
    z = filter_.margins(block.slots)
    found = slope_and_bend(loss, z, block.label, block.weight, 0.05, 1.0, by_prior)
    above, below = (total_loss(filter_, block, prior * np.exp(s)) for s in (step, -step))
    assert found[0] == pytest.approx((above - below) / (2 * step), rel=5e-3)
    # The bend is that of the loss in the margin: margins are taken to be linear in the logarithm.
    up, down = (slope_and_bend(loss, z + s * by_prior, block.label, block.weight, 0.05, 1.0,
                               by_prior)[0] for s in (step, -step))  # fmt: skip
    # Inverse gaussian loss has the expected information, which is no derivative of its slope.
    if not loss.is_kinked and loss.name not in {"huber", "inverse_gaussian"}:
        assert found[1] == pytest.approx((up - down) / (2 * step), rel=5e-3)


def test_entries_of_the_value_1_count_as_hashed_columns():
    rng = np.random.default_rng(2)
    filter_ = known_filter(Loss("logistic"), rng)
    slots = rng.integers(0, 60, (50, 4)).astype(np.int32)
    columns = derivatives_by_prior(filter_.hashed, 0.3, slots, None)
    no_columns = np.empty((50, 0), np.int32)
    entries = derivatives_by_prior(filter_.hashed, 0.3, no_columns, entries_of_slots(slots))
    np.testing.assert_allclose(entries, columns)


def test_few_rows_many_and_absurd_ones_change_the_factor_within_bounds():
    assert widened(1.5, np.zeros(3)) == 1.5
    assert widened(1.0, np.array([-1.0, 0.5, 0.5])) == pytest.approx(1.02, abs=0.01)
    assert widened(1.0, np.array([-1e9, 1.0, 1.0])) == pytest.approx(2.0)
    assert widened(1.0, np.array([1e9, 1.0, 1.0])) == pytest.approx(0.5)
    assert widened(1.5, np.array([np.inf, np.nan, 1.0])) == 1.5


def together(n_rows: int, seed: int) -> Block:
    """Ids that occur together: a device tells its maker and its country."""
    rng, truth = np.random.default_rng(seed), np.random.default_rng(0)
    device = np.minimum((1500 ** rng.random(n_rows)).astype(int), 1500) - 1
    maker, country = truth.integers(0, 60, 1500), truth.integers(0, 60, 1500)
    effects = 2.5 * truth.normal(size=1500)
    slots = np.column_stack([device, 1500 + maker[device], 1560 + country[device]])
    label = rng.logistic(size=n_rows) < effects[device]
    return make_block(np.empty((n_rows, 0)), label, slots=slots)


def test_prior_of_ids_that_occur_together_is_widened_and_new_rows_lose_less():
    learnt, new = together(40_000, 3), together(20_000, 4)
    losses, priors = {}, {}
    for slot_prior in ("believed", "widened"):
        hybrid = Hybrid(Loss("logistic"), 0, 1700, slot_prior=slot_prior)
        for piece in split(learnt, 4000):
            hybrid.update(piece)
        losses[slot_prior] = hybrid.loss.total(hybrid.predict(new), new.label, new.weight)
        priors[slot_prior] = float(hybrid.state()["slots.prior"])
    assert priors["widened"] > 1.5 * priors["believed"]
    assert losses["widened"] < 0.995 * losses["believed"]


def test_prior_that_the_beliefs_tell_right_stays():
    rng = np.random.default_rng(5)
    effects, slots = 0.8 * rng.normal(size=500), rng.integers(0, 500, (60_000, 1))
    block = make_block(
        np.empty((60_000, 0)), rng.logistic(size=60_000) < effects[slots[:, 0]], slots=slots
    )
    hybrid = Hybrid(Loss("logistic"), 0, 500, slot_prior="widened")
    for piece in split(block, 4000):
        hybrid.update(piece)
    assert 0.8 < float(hybrid.state()["slots.widening"]) < 1.25
    assert float(hybrid.state()["slots.prior"]) == pytest.approx(0.64, rel=0.25)


def test_a_learner_goes_on_from_its_state_to_the_same_bytes():
    block = together(20_000, 6)
    whole, resumed = (Hybrid(Loss("logistic"), 0, 1700, slot_prior="widened") for _ in range(2))
    pieces = list(split(block, 2500))
    for piece in pieces:
        whole.update(piece)
    first = Hybrid(Loss("logistic"), 0, 1700, slot_prior="widened")
    for piece in pieces[:3]:
        first.update(piece)
    resumed.restore(first.state())
    for piece in pieces[3:]:
        resumed.update(piece)
    for name, array in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array, err_msg=name)
    assert "slots.widening" not in Hybrid(Loss("logistic"), 0, 1700).state()


def test_shares_of_a_round_add_up_their_slopes():
    base = known_filter(Loss("logistic"), np.random.default_rng(7))
    base.slot_prior = "widened"
    rng, shares = np.random.default_rng(8), []
    for _ in range(3):
        share = SlotFilter(base.loss, 60, slot_prior="widened")
        for name, array in base.arrays().items():
            setattr(share, name, array.copy())
        share.hold(3, 900, int(base.n_rows))
        slots, nothing = rng.integers(0, 60, (300, 3)).astype(np.int32), np.zeros((300, 1))
        label = (rng.random(300) < 0.3).astype(float)
        share.learn(slots, Margins(nothing, nothing), label, np.ones(300), 0.0)
        shares.append(share)
    expected = base.slope + sum(share.slope - base.slope for share in shares)
    found = shares[0].difference(base).then(shares[1].difference(base))
    base.merge(found.then(shares[2].difference(base)))
    np.testing.assert_allclose(base.slope, expected)
    assert base.slope[1] > 0
