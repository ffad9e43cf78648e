"""A known part of the margins is neither learnt nor lost: laws that every learner keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import statsmodels.api as sm

from blocks import entries_of_slots, make_block, random_block, split
from learners import settings as plain_settings
from onepass.block import Block
from onepass.learn.candidates import Candidates
from onepass.learn.firstorder.solver import FirstOrder, Steps
from onepass.learn.learner import Learner
from onepass.learn.losses import Loss
from onepass.learn.minimise import minimise
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.ledger.npz import dump_state, load_state

N_SLOTS = 16
RULES = ("sgd", "adagrad", "nag", "adam", "ftrl", "dog")
FAMILIES = {"poisson": sm.families.Poisson(), "gamma": sm.families.Gamma(sm.families.links.Log())}


settings = partial(plain_settings, careful=True, by_columns=True, has_offset=True)


def rows_with_offset(loss: str, n_rows: int, seed: int = 0, *, n_hashed: int = 0) -> Block:
    """Return rows whose labels depend on an offset beside the features."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n_rows, 3)).astype(np.float32)
    slots = rng.integers(0, N_SLOTS, (n_rows, n_hashed), np.int32)
    effects = np.linspace(-0.5, 0.5, N_SLOTS)[slots].sum(axis=1)
    offset = rng.uniform(-2, 1, n_rows)
    z = offset + 0.3 + dense @ [0.5, -0.4, 0.2] + effects
    match loss:
        case "poisson":
            label = rng.poisson(np.exp(z)).astype(float)
        case "gamma":
            label = rng.gamma(2.0, np.exp(z) / 2) + 1e-9
        case "logistic":
            label = (rng.random(n_rows) < 1 / (1 + np.exp(-z))).astype(float)
        case _:
            label = z + 0.5 * rng.normal(size=n_rows)
    return replace(make_block(dense, label, slots=slots), offset=offset)


def learnt(learner, block: Block, n_rows: int = 1000):
    for piece in split(block, n_rows):
        learner.update(piece)
    return learner


def first_order(rule: str, loss: str, *, minibatch: int = 1) -> FirstOrder:
    steps = Steps(0.01 if rule in {"sgd", "adam"} else 0.3, minibatch=minibatch)
    return FirstOrder(rule, Loss(loss), 3, N_SLOTS, steps)


@pytest.mark.parametrize("family", FAMILIES)
def test_coefficients_and_errors_with_an_offset_are_those_of_statsmodels(family):
    block = rows_with_offset(family, 4000)
    newton = learnt(Newton(Loss(family), 3, has_offset=True), block)
    objective = newton.objective()
    found = minimise(
        "newton", objective, newton.point(),
        lambda point, curvature: objective.sums(point, block, curvature=curvature), 20,
    )  # fmt: skip
    newton.adopt(found.point, found.sums, trusted=True)
    known = newton.identified()
    x = np.column_stack([block.dense.astype(float), np.ones(block.n_rows)])
    oracle = sm.GLM(block.label, x, family=FAMILIES[family], offset=block.offset).fit()
    np.testing.assert_allclose(known.weights[0], oracle.params, rtol=1e-6)
    errors = np.sqrt(np.diag(known.covariance))
    # The errors of gamma are those of the observed information, in its own dispersion.
    rtol = 1e-6 if family == "poisson" else 0.05
    np.testing.assert_allclose(errors, oracle.bse, rtol=rtol)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "logistic"])
@pytest.mark.parametrize("n_hashed", [0, 1])
def test_one_pass_with_an_offset_ends_near_the_batch_optimum(loss, n_hashed):
    block = rows_with_offset(loss, 20_000, n_hashed=n_hashed)
    head = Hybrid(Loss(loss), 3, N_SLOTS) if n_hashed else Newton(Loss(loss), 3, has_offset=True)
    learnt(head, block)
    dense = head.linear().dense[0]
    np.testing.assert_allclose(dense, [0.5, -0.4, 0.2], atol=0.06)
    effects = np.linspace(-0.5, 0.5, N_SLOTS)
    if n_hashed:
        hashed = head.linear().hashed[:, 0]
        assert np.corrcoef(hashed, effects)[0, 1] > 0.97
    blind = replace(block, offset=np.zeros(block.n_rows))
    z = head.predict(blind) - 0.3 - block.dense @ [0.5, -0.4, 0.2]
    z = z - effects[block.slots].sum(axis=1) if n_hashed else z
    np.testing.assert_allclose(z.mean(), 0.0, atol=0.05)


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
@pytest.mark.parametrize("n_slots", [0, N_SLOTS])
def test_difference_losses_with_an_offset_learn_the_label_less_it(loss, n_slots):
    block = rows_with_offset(loss, 9000, n_hashed=int(n_slots > 0))
    scale = {"center": 0.4, "scale": 1.7, "clip": True, "n_slots": n_slots}
    one = learnt(Learner(settings(loss=loss, **scale)), block)
    less = replace(block, label=block.label - block.offset, offset=None)
    other = learnt(Learner(settings(loss=loss, has_offset=False, **scale)), less)
    probe = rows_with_offset(loss, 500, 1, n_hashed=int(n_slots > 0))
    np.testing.assert_allclose(
        one.predict(probe) - probe.offset, other.predict(replace(probe, offset=None)), atol=1e-5
    )


@pytest.mark.parametrize(("rule", "minibatch"), [*((rule, 1) for rule in RULES), ("sgd", 8)])
def test_rules_with_an_offset_take_the_steps_of_the_label_less_it(rule, minibatch):
    block = rows_with_offset("squared", 2000, n_hashed=1)
    one = learnt(first_order(rule, "squared", minibatch=minibatch), block)
    less = replace(block, label=block.label - block.offset, offset=None)
    other = learnt(first_order(rule, "squared", minibatch=minibatch), less)
    np.testing.assert_allclose(one.point(), other.point(), atol=1e-4)


def test_steps_of_counts_with_an_exposure_are_those_of_rates_with_it_as_weight():
    block = rows_with_offset("poisson", 2000, n_hashed=1)
    exposure = np.exp(block.offset)
    rates = replace(block, label=block.label / exposure, weight=exposure, offset=None)
    one = learnt(first_order("sgd", "poisson"), block)
    other = learnt(first_order("sgd", "poisson"), rates)
    np.testing.assert_allclose(one.point(), other.point(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", ["sgd", "nag"])
def test_sparse_rows_take_the_steps_of_the_same_slots(rule):
    block = rows_with_offset("poisson", 1000, n_hashed=1)
    sparse = replace(block, slots=block.slots[:, :0], entries=entries_of_slots(block.slots))
    one, other = first_order(rule, "poisson"), first_order(rule, "poisson")
    np.testing.assert_allclose(
        learnt(one, block).predict(block), learnt(other, sparse).predict(sparse), rtol=1e-4
    )


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_an_optimum_with_an_exposure_is_that_of_rates_with_the_weight_of_the_loss(loss):
    block = rows_with_offset(loss, 3000)
    exposure = np.exp(block.offset)
    weight = exposure if loss == "poisson" else np.ones(block.n_rows)
    rates = replace(block, label=block.label / exposure, weight=weight, offset=None)
    found = []
    for rows in (block, rates):
        newton = learnt(Newton(Loss(loss), 3, has_offset=rows is block), rows)
        objective = newton.objective()
        minimum = minimise(
            "newton", objective, newton.point(),
            lambda p, curvature, o=objective, r=rows: o.sums(p, r, curvature=curvature), 20,
        )  # fmt: skip
        newton.adopt(minimum.point, minimum.sums, trusted=True)
        found.append(newton)
    (one, other) = (newton.linear() for newton in found)
    np.testing.assert_allclose(one.dense, other.dense, rtol=1e-6)
    np.testing.assert_allclose(one.intercept, other.intercept, rtol=1e-6)
    np.testing.assert_allclose(found[0].covariance(), found[1].covariance(), rtol=1e-5)


@pytest.mark.parametrize("n_slots", [0, N_SLOTS])
@pytest.mark.parametrize("loss", ["poisson", "logistic", "squared"])
def test_a_resume_within_the_kept_rows_gives_the_same_bytes(loss, n_slots):
    block = rows_with_offset(loss, 6000, n_hashed=int(n_slots > 0))
    whole = Learner(settings(loss=loss, n_slots=n_slots))
    pieces, states = split(block, 150), []
    for piece in pieces:
        states.append(dump_state(whole.state()))
        whole.update(piece)
    for step in (1, 3, 20):
        resumed = Learner(settings(loss=loss, n_slots=n_slots))
        resumed.restore(load_state(states[step]))
        for piece in pieces[step:]:
            resumed.update(piece)
        assert dump_state(resumed.state()) == dump_state(whole.state())


def test_only_a_learner_of_offsets_keeps_them():
    assert "0.kept_offset" in Learner(settings(loss="poisson")).arrays()
    assert "0.kept_offset" not in Learner(settings(loss="poisson", has_offset=False)).arrays()
    arrays = learnt(Learner(settings(loss="poisson")), rows_with_offset("poisson", 100)).arrays()
    assert len(arrays["0.kept_offset"]) == len(arrays["0.kept_label"]) == 100


@pytest.mark.parametrize("loss", ["poisson", "squared"])
@pytest.mark.parametrize("n_slots", [0, N_SLOTS])
def test_learners_of_a_round_learn_offsets_as_one_learner_does(loss, n_slots):
    block = rows_with_offset(loss, 30_000, n_hashed=int(n_slots > 0))
    parts = split(block, 10_000)
    base = learnt(Learner(settings(loss=loss, n_slots=n_slots)), parts[0])
    one = Learner(base.settings)
    one.restore(base.state())
    learnt(one, parts[1])
    learnt(one, parts[2])
    assert base.adds_up
    shares = []
    for part in parts[1:]:
        share = Learner(base.settings)
        share.restore(base.state())
        share.hold(2, 20_000)
        shares.append(learnt(share, part).difference(base))
    base.merge(shares)
    atol = {"squared": 1e-6, "poisson": 0.01}[loss] if not n_slots else 0.03
    dense, expected = base.linear().dense, one.linear().dense
    np.testing.assert_allclose(dense, expected, atol=atol)
    np.testing.assert_allclose(base.linear().intercept, one.linear().intercept, atol=0.03)


def test_predictions_of_counts_are_clipped_to_the_rates_seen():
    learner = Learner(settings(loss="poisson", clip=True, base=-1.0))
    dense = np.zeros((4, 3), np.float32)
    label, exposure = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0, 2.0])
    learner.update(replace(make_block(dense, label), offset=np.log(exposure)))
    np.testing.assert_allclose(learner.unit().range, (0.0, 2.0))
    far = np.array([[5.0], [5.0], [-1.0]])[:, 0]
    offset = np.log([1.0, 100.0, 100.0])
    found = learner.unit().of_heads([far + offset], offset)
    np.testing.assert_allclose(found, [2.0, 200.0, 100 * np.exp(-1)])


def test_predictions_beside_an_offset_are_clipped_to_what_it_left_of_the_labels():
    learner = Learner(settings(loss="quantile", quantiles=(0.3, 0.6), clip=True))
    dense = np.zeros((3, 3), np.float32)
    block = replace(make_block(dense, [101.0, 203.0, 302.0]), offset=np.array([100.0, 200, 300]))
    learner.update(block)
    assert learner.unit().range == (1.0, 3.0)
    offset = np.array([500.0, -7.0])
    found = learner.unit().of_heads([offset + 9.0, offset + 2.0], offset)
    np.testing.assert_allclose(found, [[502.0, 503.0], [-5.0, -4.0]])


def test_first_rows_are_predicted_with_their_offsets():
    block = rows_with_offset("squared", 300)
    moved = replace(block, label=block.label + 1e3, offset=block.offset + 1e3)
    predictions = Learner(settings(loss="squared")).update(moved)
    assert np.abs(predictions - moved.label).max() < 100


def test_the_candidate_that_fits_beside_the_offset_is_chosen():
    block = rows_with_offset("poisson", 5000)
    candidates = Candidates([settings(loss="poisson", l2=l2) for l2 in (10.0, 1e-6)])
    learnt(candidates, block)
    candidates.judge(rows_with_offset("poisson", 500, 1))
    assert [one.chosen for one in candidates.standings()] == [False, True]


def test_refining_from_the_origin_counts_the_offset():
    block = random_block(200, 3, 0, loss="poisson")
    block = replace(block, offset=np.full(200, 0.7))
    objective = Newton(Loss("poisson"), 3, base=0.1).objective()
    found = objective.sums(objective.origin, block, curvature=True)
    assert found.at_origin == pytest.approx(found.value)
