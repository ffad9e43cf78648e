"""Dense weights learn beside hashed ones that are hardly known yet as beside those of the end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, ndtr

from blocks import entries_of_slots, make_block, split
from onepass.block import Block
from onepass.learn.losses import Loss
from onepass.learn.newton import slots_uncertain
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.slots import Margins, SlotFilter
from onepass.learn.newton.slots_uncertain import expected_shift

INVERSE_LINKS = {
    "logistic": expit,
    "probit": ndtr,
    "cloglog": lambda z: -np.expm1(-np.exp(z)),
}
NODES, SHARES = np.polynomial.hermite_e.hermegauss(60)


def shift_by_quadrature(inverse_link, z: np.ndarray, variance: float) -> np.ndarray:
    """Return by how much margins move that have the mean label of normal margins, by bisection."""
    mean = inverse_link(z[:, None] + np.sqrt(variance) * NODES) @ SHARES / SHARES.sum()
    low, high = z - 20, z + 20
    for _ in range(100):
        middle = (low + high) / 2
        less = inverse_link(middle) < mean
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return low - z


@pytest.mark.parametrize("loss", INVERSE_LINKS)
@pytest.mark.parametrize("variance", [0.02, 0.5])
def test_mean_label_is_that_of_margins_with_the_variance_still_to_be_told(
    loss, variance, monkeypatch
):
    monkeypatch.setattr(slots_uncertain, "_STILL_TOLD", 1.0)
    z = np.linspace(-7, 0.5, 40)
    found = expected_shift(Loss(loss), z[:, None], np.full((40, 1), variance))[:, 0]
    expected = shift_by_quadrature(INVERSE_LINKS[loss], z, variance)
    # Two of them are of second order in the variance.
    atol = 1e-6 if loss == "probit" else 0.15 * variance**1.5
    np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile", "hinge", "poisson", "gamma"])
def test_margins_of_losses_that_tell_no_probability_stay(loss):
    z = np.linspace(-7, 2, 40)[:, None]
    assert not expected_shift(Loss(loss, 0.5), z, np.ones((40, 1))).any()


@pytest.mark.parametrize("loss", ["logistic", "cloglog"])
def test_no_variance_moves_a_class_beyond_what_is_as_sure_as_not(loss):
    z = np.array([-30.0, -5.0, -0.1, 0.0, 0.1, 2.0])[:, None]
    for variance in (1.0, 100.0, 1e6):
        moved = z + expected_shift(Loss(loss), z, np.full((6, 1), variance))
        assert np.isfinite(moved).all()
        assert (moved[z <= 0] <= 1e-3).all()
        assert (moved[z >= 0] >= -1e-3).all()
        assert (np.abs(moved) <= np.abs(z) + 1e-3).all()


def test_softmax_of_two_classes_moves_as_logistic_loss_does():
    z, variance = np.linspace(-6, 6, 25), np.geomspace(0.01, 10, 25)
    nothing = np.zeros(25)
    two = expected_shift(
        Loss("softmax", n_classes=2),
        np.column_stack([nothing + 2, z + 2]),
        np.column_stack([nothing, variance]),
    )
    one = expected_shift(Loss("logistic"), z[:, None], variance[:, None])
    np.testing.assert_allclose(two, np.column_stack([nothing, one]), atol=1e-12)


@pytest.mark.parametrize("kind", ["columns", "entries", "columns of a round"])
def test_filter_returns_the_variance_of_its_margins_from_before_a_row(kind):
    rng = np.random.default_rng(1)
    filter_ = SlotFilter(Loss("logistic"), 50)
    filter_.hashed[:, 0, 1] = rng.uniform(0.05, 0.2, 50)
    slots = np.array([[3, 17, 40]], np.int32)
    expected = float(filter_.hashed[slots[0], 0, 1].sum())
    dense = Margins(np.zeros((1, 1)), np.full((1, 1), 0.7))
    label, weight = np.ones(1), np.ones(1)
    if kind == "columns of a round":
        filter_.hold(8, 10_000, 5000)
    if kind == "entries":
        filter_.n_rows[()] = 1
        found = filter_.learn(slots[:, :0], dense, label, weight, 0.0, entries_of_slots(slots))
    else:
        found = filter_.learn(slots, dense, label, weight, 0.0)
    assert found.variance[0, 0] == pytest.approx(expected, rel=1e-6)


def rare(n_rows: int, seed: int) -> Block:
    """Rows of 1,000 ids, of which one in fifty has a large effect, and few positives."""
    rng, truth = np.random.default_rng(seed), np.random.default_rng(3)
    effects = np.where(truth.random(1000) < 0.02, 5.0, 0.0)
    x, slots = rng.normal(size=(n_rows, 1)), rng.integers(0, 1000, (n_rows, 1))
    z = 0.3 * x[:, 0] + effects[slots[:, 0]] - 6
    return make_block(x, rng.logistic(size=n_rows) < z, slots=slots)


@pytest.mark.parametrize("class_weights", [(), (1.0, 60.0)])
def test_intercept_beside_few_ids_of_large_effects_comes_nearer_to_its_true_value(class_weights):
    learnt = rare(40_000, 1)
    heavy = class_weights[1] if class_weights else 1.0
    weight = np.where(learnt.label == 1, heavy, 1.0)
    block = make_block(learnt.dense, learnt.label, slots=learnt.slots, weight=weight)
    found = {}
    for uncertain in (False, True):
        hybrid = Hybrid(
            Loss("logistic"),
            1,
            1000,
            base=np.log(heavy * learnt.label.mean()),
            careful=True,
            uncertain=uncertain,
            slot_prior="bounded",
            class_weights=class_weights,
        )
        for piece in split(block, 4000):
            hybrid.update(piece)
        found[uncertain] = float(hybrid.linear().intercept[0]) - np.log(heavy)
    assert -6.5 < found[True] < found[False] - 0.2


def test_bounded_prior_grows_step_by_step():
    """Rare ids of huge effects, which the first rows hardly show, and then all at once."""
    block = rare(40_000, 5)
    growth = {}
    for slot_prior in ("widened", "bounded"):
        hybrid = Hybrid(Loss("logistic"), 1, 1000, base=-4.5, careful=True, slot_prior=slot_prior)
        priors = [0.3]
        for piece in split(block, 2000):
            hybrid.update(piece)
            priors.append(float(hybrid.state()["slots.prior"]))
        growth[slot_prior] = max(np.array(priors[1:]) / priors[:-1])
    assert growth["widened"] > 4.5
    assert growth["bounded"] == pytest.approx(4.0)
