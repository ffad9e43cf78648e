"""A refined learner is the best point that was measured, and it can be trained further."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from blocks import LOSSES, SOFTMAX, make_block, random_block, split
from onepass.block import Block
from onepass.errors import Diverged
from onepass.learn.firstorder.solver import FirstOrder, Steps
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.minimise import minimise
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.learn.objective import Sums
from onepass.learn.updater import Updater
from refining import refined

every_loss = pytest.mark.parametrize("loss", [*LOSSES, SOFTMAX], ids=lambda one: one.name)
N_SLOTS = 16


def rows(loss: Loss, data: str, n_rows: int, seed: int) -> Block:
    """Rows of a linear model; labels of `separable` classes have no noise.

    Both have collinear, constant and nearly constant columns.
    """
    block = random_block(n_rows, 4, seed, loss=loss, n_hashed=1, n_slots=N_SLOTS)
    rng = np.random.default_rng(seed)
    x = block.dense
    rare = (rng.random((n_rows, 2)) < [1e-3, 3e-3]) * 30.0
    dense = np.column_stack([x, x[:, 0] + x[:, 1], np.full(n_rows, 3.0), rare])
    label = block.label
    if data == "separable":
        z = x[:, 0] + 0.2 * x[:, 1]
        label = {
            "logistic": z > 1,
            "hinge": z > 1,
            "softmax": np.digitize(z, [-2.0, 1.5]),
            "poisson": np.where(z > 0, block.label, 0.0),
        }.get(loss.name, label)
    return make_block(dense, label, slots=block.slots)


def learner(kind: str, loss: Loss, block: Block) -> Updater:
    base = float(np.log(block.label.mean())) if loss.name in LOG_LINK else 0.0
    match kind:
        case "newton":
            return Newton(loss, block.dense.shape[1], base=base)
        case "hybrid":
            return Hybrid(loss, block.dense.shape[1], N_SLOTS, base=base)
    steps = Steps(0.01, averages=True, implicit=True)
    return FirstOrder("nag", loss, block.dense.shape[1], N_SLOTS, steps, base=base)


def penalised(head: Updater, block: Block) -> float:
    penalty = head.objective().penalty(float(block.weight.sum()))
    loss = head.loss.total(np.ascontiguousarray(head.predict(block)), block.label, block.weight)
    return (loss + 0.5 * float(penalty @ np.square(head.point()))) / block.weight.sum()


def mean_loss(head: Updater, block: Block) -> float:
    margins = np.ascontiguousarray(head.predict(block))
    return head.loss.total(margins, block.label, block.weight) / block.n_rows


@pytest.mark.parametrize("data", ["plain", "separable"])
@pytest.mark.parametrize(
    ("kind", "rule"),
    [("newton", "newton"), ("newton", "lbfgs"), ("hybrid", "lbfgs"), ("nag", "gradient_descent")],
)
@every_loss
def test_the_refined_learner_has_the_best_objective_that_was_measured(loss, kind, rule, data):
    block = rows(loss, data, 3000, 1)
    if kind == "newton":
        block = replace(block, slots=block.slots[:, :0])
    head = learner(kind, loss, block)
    for piece in split(block, 1000):
        head.update(piece)
    before = penalised(head, block)
    found = refined(head, rule, block, 10)
    after = penalised(head, block)
    # Slots are kept in single precision.
    assert after == pytest.approx(found.loss, rel=1e-9 if kind == "newton" else 1e-5)
    assert after <= before + 1e-9 * abs(before)
    assert found.improved or after == pytest.approx(before, rel=1e-9)


def near_separable(n_rows: int, seed: int) -> Block:
    """Five classes, two of them rare, that hardly overlap; columns as in network connections."""
    rng, truth = np.random.default_rng(seed), np.random.default_rng(0)
    label = rng.choice(5, n_rows, p=[0.58, 0.215, 0.19, 0.0125, 0.0025])
    centres = truth.normal(size=(5, 6)) * [6, 5, 4, 2, 1, 0.5]
    shares = truth.uniform(size=(5, 4)) ** 4
    numbers = centres[label] + rng.normal(size=(n_rows, 6))
    level = rng.integers(0, np.where(label == 0, 3, 12))
    dense = [
        numbers,
        numbers[:, :1] + numbers[:, 1:2],
        rng.random((n_rows, 4)) < shares[label],
        level[:, None] == np.arange(12),
        (rng.random((n_rows, 2)) < [3e-4, 1e-3]) * np.exp(rng.normal(size=(n_rows, 2))),
        np.exp(2 * rng.normal(size=(n_rows, 1))) * (label[:, None] == 1),
    ]
    label = np.where(rng.random(n_rows) < 5e-4, rng.integers(0, 5, n_rows), label)
    return make_block(np.column_stack(dense), label)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rule", ["newton", "lbfgs"])
def test_nearly_separable_classes_are_refined_and_trained_further_without_harm(rule, seed):
    block = near_separable(8000, seed)
    learnt, *later = split(block, 5000)
    head = Newton(Loss("softmax", n_classes=5), block.dense.shape[1])
    head.update(learnt)
    before = mean_loss(head, learnt)
    refined(head, rule, learnt, 10)
    after = mean_loss(head, learnt)
    assert after <= before
    for piece in split(later[0], 1500):
        head.update(piece)
        # New rows cost the old ones something. The loss of a constant is 1.1.
        assert mean_loss(head, learnt) < after + 0.01


@every_loss
def test_training_goes_on_from_a_refined_learner_as_from_a_streamed_one(loss):
    first, second, probe = (rows(loss, "plain", 4000, seed) for seed in (2, 3, 4))
    first, second, probe = (replace(one, slots=one.slots[:, :0]) for one in (first, second, probe))
    streamed, again = (learner("newton", loss, first) for _ in range(2))
    for head in (streamed, again):
        head.update(first)
    refined(again, "newton", first, 10)
    for head in (streamed, again):
        for piece in split(second, 1000):
            head.update(piece)
    assert mean_loss(again, probe) <= mean_loss(streamed, probe) + 0.01 * abs(
        mean_loss(streamed, probe)
    )


@every_loss
def test_an_anchored_learner_resumes_with_the_same_bytes(loss):
    block = replace(rows(loss, "separable", 3000, 5), slots=np.empty((3000, 0), np.int32))
    head, other = (learner("newton", loss, block) for _ in range(2))
    head.update(block)
    found = refined(head, "newton", block, 10)
    head.adopt(found.point, found.sums, trusted=False)
    other.restore(head.state())
    for one in (head, other):
        for piece in split(rows(loss, "separable", 7000, 6), 1500):
            one.update(replace(piece, slots=piece.slots[:, :0]))
    assert head.state().keys() == other.state().keys()
    for name, array in head.state().items():
        np.testing.assert_array_equal(array, other.state()[name])


@pytest.mark.parametrize("rule", ["newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("name", ["poisson", "logistic", "squared"])
@pytest.mark.parametrize("far", [30.0, 1e4])
def test_an_absurd_start_is_left_for_weights_of_zero(rule, name, far):
    block = rows(Loss(name), "plain", 2000, 7)
    block = replace(block, slots=block.slots[:, :0])
    head = learner("newton", Loss(name), block)
    head.update(block)
    best = mean_loss(head, block)
    objective = head.objective()

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return objective.sums(point, block, curvature=curvature)

    start = np.full(len(head.point()), far)
    found = minimise(rule, objective, start, evaluate, 40)
    origin = objective.sums(objective.origin, block).value / block.n_rows
    assert found.improved
    assert found.loss <= origin
    if rule != "gradient_descent":
        assert found.loss == pytest.approx(best, rel=0.02)
    assert all(np.isfinite([one.loss, one.slope]).all() for one in found.passes)


def test_labels_that_are_no_numbers_are_refused():
    block = rows(Loss("squared"), "plain", 100, 8)
    block = replace(block, slots=block.slots[:, :0], label=np.full(100, np.nan))
    objective = learner("newton", Loss("squared"), block).objective()
    evaluate = partial(lambda point, curvature: objective.sums(point, block, curvature=curvature))
    with pytest.raises(Diverged, match="absurd values"):
        minimise("newton", objective, objective.origin, evaluate, 5)


@pytest.mark.parametrize("data", ["plain", "separable"])
@pytest.mark.parametrize("kind", ["newton", "hybrid"])
@pytest.mark.parametrize("loss", [Loss("logistic"), Loss("poisson"), SOFTMAX], ids=lambda o: o.name)
def test_a_round_after_refining_is_learnt_as_well_as_by_one(loss, kind, data):
    def made(n_rows: int, seed: int) -> Block:
        block = rows(loss, data, n_rows, seed)
        return replace(block, slots=block.slots[:, :0]) if kind == "newton" else block

    block, probe = made(8000, 1), made(4000, 77)
    base = learner(kind, loss, block)
    base.update(block)
    refined(base, "newton" if kind == "newton" else "lbfgs", block, 10)
    assert base.adds_up
    one, found = learner(kind, loss, block), []
    one.restore(base.state())
    for seed in range(4):
        share = learner(kind, loss, block)
        share.restore(base.state())
        share.hold(4, 4000)
        for each in (one, share):
            each.update(made(1000, 100 + seed))
        found.append(share.difference(base))
    base.merge(found[0].then(found[1]).then(found[2]).then(found[3]))
    assert mean_loss(base, probe) == pytest.approx(mean_loss(one, probe), rel=5e-3)
