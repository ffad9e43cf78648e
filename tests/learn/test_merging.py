"""Differences add up: laws of composition, and agreement of merged learners with one learner."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from blocks import random_block, split
from learners import settings
from onepass.block import Block
from onepass.errors import Diverged
from onepass.learn.candidates import Candidates
from onepass.learn.learner import Learner
from onepass.learn.learns import Learns
from onepass.learn.merging import composed
from onepass.ledger.npz import dump_state

SLOTS = {"n_slots": 64}
KINDS = {
    "squared": {},
    "ridge": {"l2": 0.05},
    "logistic": {"loss": "logistic", "careful": True},
    "huber": {"loss": "huber"},
    "quantiles": {"loss": "quantile", "quantiles": (0.1, 0.5, 0.9)},
    "poisson": {"loss": "poisson"},
    "gamma": {"loss": "gamma"},
    "hinge": {"loss": "hinge"},
    "softmax": {"loss": "softmax", "n_classes": 3},
    "half-life in rows": {"loss": "logistic", "half_life_rows": 3000.0},
    "half-life in partitions": {"half_life_partitions": 2.0},
    "slots": {"loss": "logistic", "slot_prior": "bounded", "uncertain": True, **SLOTS},
    "slots, squared": {**SLOTS, "clip": True},
    "slots, softmax": {
        "loss": "softmax",
        "n_classes": 3,
        "slot_prior": "bounded",
        "uncertain": True,
        **SLOTS,
    },
    "slots, half-life": {"half_life_rows": 3000.0, "slot_prior": "widened", **SLOTS},
    "candidates": {"loss": "logistic"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str) -> Learns:
    if kind == "candidates":
        return Candidates([settings(**KINDS[kind], l2=l2) for l2 in (0.0, 0.01, 1.0)])
    return Learner(settings(**KINDS[kind]))


def rows(kind: str, n_rows: int, seed: int, **given) -> Block:
    n_slots = KINDS[kind].get("n_slots", 0)
    loss = "squared" if kind == "quantiles" else KINDS[kind].get("loss", "squared")
    more = {"loss": loss, "n_hashed": 2 if n_slots else 0, "n_slots": n_slots}
    return random_block(n_rows, 3, seed, **more | given)


def learn(learner: Learns, block: Block) -> Learns:
    learner.partition_begins()
    for number, piece in enumerate(split(block, 700)):
        learner.update(piece)
        learner.judge(rows_to_judge(block, number))
    return learner


def rows_to_judge(block: Block, number: int) -> Block:
    return block.take(np.arange(10 * number, min(block.n_rows, 10 * number + 40)))


def copied(kind: str, learner: Learns) -> Learns:
    copy = make(kind)
    copy.restore(learner.state())
    return copy


def known(kind: str, n_rows: int = 9000) -> Learns:
    """Return a learner from which rounds may go on."""
    base = learn(make(kind), rows(kind, n_rows, seed=1))
    assert base.adds_up
    return base


def shares(kind: str, n: int = 3) -> list[Block]:
    return [rows(kind, 1000 + 100 * i, seed=10 + i, weighted=i == 1) for i in range(n)]


def difference(kind: str, base: Learns, block: Block, among: tuple[int, int] = (3, 3300)):
    share = copied(kind, base)
    share.hold(*among)
    return learn(share, block).difference(base)


def merged(kind: str, base: Learns, differences) -> Learns:
    result = copied(kind, base)
    result.merge(differences)
    return result


def content(learner: Learns) -> bytes:
    return dump_state(learner.state())


def assert_close(one: Learns, other: Learns, rtol: float = 1e-6) -> None:
    found = other.state()
    for name, array in one.state().items():
        scale = 1e-300 + np.abs(array).max() if array.size else 1.0
        np.testing.assert_allclose(found[name], array, rtol=rtol, atol=rtol * scale, err_msg=name)


@every_kind
def test_composition_is_associative(kind):
    base = known(kind)
    a, b, c = (difference(kind, base, block) for block in shares(kind))
    left, right = a.then(b).then(c), a.then(b.then(c))
    # Evidence that fades, and takes more memory than all slots, adds up exactly from the left.
    rtol = 1e-3 if kind == "slots, half-life" else 1e-7
    assert_close(merged(kind, base, [left]), merged(kind, base, [right]), rtol=rtol)


@every_kind
def test_the_difference_of_a_base_to_itself_is_neutral(kind):
    base = known(kind)
    a = difference(kind, base, shares(kind)[0])
    nothing = copied(kind, base)
    nothing.hold(3, 3300)
    none = nothing.difference(base)
    expected = content(merged(kind, base, [a]))
    for found in ([none, a], [a, none], [none.then(a.then(none))]):
        assert content(merged(kind, base, found)) == expected


@every_kind
def test_a_round_in_which_nothing_is_learnt_changes_no_byte(kind):
    base = known(kind)
    before = content(base)
    base.merge([])
    nothing = copied(kind, base)
    nothing.hold(2, 0)
    base.merge([nothing.difference(base)] * 2)
    assert content(base) == before


@every_kind
def test_rows_of_weight_zero_leave_finite_weights_and_count_no_row(kind):
    base = known(kind)
    silent = replace(rows(kind, 800, seed=30), weight=np.zeros(800))
    after = merged(kind, base, [difference(kind, base, silent)] * 2)
    for one, other in zip(after.best().heads, base.best().heads, strict=True):
        assert one.n_rows == other.n_rows
    probe = rows(kind, 200, seed=31)
    # A half-life counts rows of any weight, after which the penalty weighs more.
    np.testing.assert_allclose(
        after.best().predict(probe), base.best().predict(probe), rtol=1e-2, atol=1e-2
    )


@every_kind
def test_merged_bytes_depend_neither_on_who_learns_nor_on_when(kind):
    base, blocks = known(kind), shares(kind)
    expected = merged(kind, base, [difference(kind, base, block) for block in blocks])
    # Learnt last to first, in other processes as it were.
    found = [pickle.dumps(difference(kind, base, block)) for block in reversed(blocks)]
    again = merged(kind, base, [pickle.loads(one) for one in reversed(found)])
    assert content(again) == content(expected)


@every_kind
def test_merging_one_by_one_is_merging_the_composition(kind):
    base = known(kind)
    found = [difference(kind, base, block) for block in shares(kind)]
    assert content(merged(kind, base, [composed(found)])) == content(merged(kind, base, found))


@every_kind
def test_merged_learners_predict_as_well_as_one(kind):
    base, blocks, probe = known(kind), shares(kind, 6), rows(kind, 4000, seed=50)
    one = copied(kind, base)
    for block in blocks:
        learn(one, block)
    found = [difference(kind, base, block, (6, 7500)) for block in blocks]
    loss, expected = (learner.best().loss(probe) for learner in (merged(kind, base, found), one))
    assert loss == pytest.approx(expected, rel=5e-3 if "slots" in kind else 1e-3)


@every_kind
def test_what_learners_of_a_round_share_is_held(kind):
    base = known(kind)
    share = copied(kind, base)
    share.hold(3, 3300)
    learn(share, rows(kind, 20_000, seed=9))
    before, after = base.state(), share.state()
    names = ("scaling.center", "scaling.scale", "slots.prior", "slots.n_refreshed")
    for name in before:
        if name.endswith(names):
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    if kind == "candidates":
        assert after["losses"][1].tolist() == before["losses"][1].tolist()


@every_kind
def test_a_merge_refreshes_what_is_due(kind):
    base = known(kind)
    large = [difference(kind, base, rows(kind, 5000, seed=60 + i)) for i in range(4)]
    before, after = base.state(), merged(kind, base, large).state()
    for name in before:
        if name.endswith(("scaling.n_applied", "slots.n_refreshed")):
            # Twice the rows of the last refresh have come.
            assert int(after[name]) >= 2 * int(before[name]), name


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("n_shares", [2, 5])
def test_rounds_of_squared_loss_are_scikit_learns_ridge(l2, n_shares):
    learner = Learner(settings(l2=l2))
    # A column of large numbers and a small spread.
    block = random_block(9000, 3, seed=3)
    block = replace(block, dense=block.dense * np.array([1e-2, 1, 1e4], np.float32) + 500)
    first, *rest = split(block, 1000)
    learner.update(first)
    for at in range(0, 8, n_shares):
        found = []
        for piece in rest[at : at + n_shares]:
            share = Learner(settings(l2=l2))
            share.restore(learner.state())
            share.hold(n_shares, 1000 * n_shares)
            share.update(piece)
            found.append(share.difference(learner))
        learner.merge(found)
    x = block.dense.astype(float)
    x = (x - x.mean(0)) / x.std(0)
    oracle = Ridge(alpha=max(l2 * block.n_rows, 1e-9)).fit(x, block.label)
    np.testing.assert_allclose(learner.predict(block), oracle.predict(x), atol=1e-6)


def test_with_a_half_life_shares_count_in_their_order():
    kind = "half-life in partitions"
    base, (a, b, _) = known(kind), shares(kind)
    one = learn(learn(copied(kind, base), a), b)
    found = [difference(kind, base, block) for block in (a, b)]
    assert_close(merged(kind, base, found), one, rtol=1e-9)
    weights = [merged(kind, base, order).weights()[0].dense for order in (found, found[::-1])]
    assert np.abs(weights[0] - weights[1]).max() > 1e-4


@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_a_feature_that_begins_to_vary_in_a_share_gives_the_sums_of_one_learner(l2):
    given = {"l2": l2}
    blocks = [random_block(1500, 3, seed=i) for i in range(3)]
    for block in blocks[:2]:
        block.dense[:, 1] = 1e6
    blocks[2].dense[:, 1] = 1e6 + 50 * blocks[2].dense[:, 1]
    base = Learner(settings(**given))
    base.update(blocks[0])
    one, found = Learner(settings(**given)), []
    for block in blocks:
        one.update(block)
    for block in blocks[1:]:
        share = Learner(settings(**given))
        share.restore(base.state())
        share.hold(2, 3000)
        share.heads[0]._blocks.single[()] = True
        share.update(block)
        found.append(share.difference(base))
    base.merge(found)
    probe = blocks[2]
    np.testing.assert_allclose(base.predict(probe), one.predict(probe), atol=1e-3)


def test_an_anchor_fades_like_the_rows():
    kind = "half-life in rows"
    base = known(kind)
    past = base.heads[0].solution.past
    past.anchor[()] = 3.0
    past.b += 3.0 * base.heads[0].solution.w.ravel()
    a = difference(kind, base, rows(kind, 3000, seed=4))
    after = merged(kind, base, [a, a]).heads[0].solution.past
    assert float(after.anchor) == pytest.approx(3.0 / 4)


def test_saturated_rows_leave_finite_weights_of_a_smaller_loss():
    rng = np.random.default_rng(0)
    base = Learner(settings(loss="logistic"))
    blocks = []
    for _ in range(9):
        block = random_block(5000, 3, seed=int(rng.integers(1000)), loss="logistic")
        blocks.append(replace(block, label=(block.dense[:, 0] > 0).astype(float)))
    base.update(blocks[0])
    before = base.loss(blocks[0])
    found = []
    for block in blocks[1:]:
        share = Learner(settings(loss="logistic"))
        share.restore(base.state())
        share.hold(8, 40_000)
        share.update(block)
        found.append(share.difference(base))
    base.merge(found)
    assert base.loss(blocks[0]) < before


def test_a_candidate_that_diverges_in_one_share_is_excluded():
    kind = "candidates"
    base = known(kind)
    a, b = (difference(kind, base, block) for block in shares(kind, 2))
    broken = replace(b, learners=(None, *b.learners[1:]))
    after = merged(kind, base, [a, broken])
    standings = after.standings()
    assert standings[0].loss is None
    assert all(one.loss is not None for one in standings[1:])
    assert np.isfinite(after.weights()[0].dense).all()
    with pytest.raises(Diverged):
        merged(kind, base, [a, replace(b, learners=(None,) * 3)])


def test_scores_of_candidates_add_up():
    kind = "candidates"
    base = known(kind)
    before = base.state()
    found = [difference(kind, base, block) for block in shares(kind)]
    after = merged(kind, base, found).state()
    assert after["n_rows"].sum() == before["n_rows"].sum() + sum(one.n_rows for one in found)
    assert after["weight"].sum() == pytest.approx(
        before["weight"].sum() + sum(one.weight for one in found)
    )


def test_the_range_of_labels_is_that_of_all_shares():
    kind = "slots, squared"
    base, blocks = known(kind), shares(kind)
    after = merged(kind, base, [difference(kind, base, block) for block in blocks])
    labels = np.concatenate([rows(kind, 9000, seed=1).label, *(b.label for b in blocks)])
    low, high = after.best().unit().range
    assert (low, high) == (labels.min(), labels.max())


@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_steps_of_first_order_rules_do_not_add_up(solver):
    learner = Learner(settings(solver=solver))
    learner.update(random_block(6000, 3, seed=1))
    assert not learner.adds_up
    with pytest.raises(ValueError, match="do not add up"):
        learner.difference(learner)


@pytest.mark.parametrize("kind", ["squared", "logistic", "slots"])
def test_nothing_adds_up_before_enough_is_known(kind):
    learner = make(kind)
    assert not learner.adds_up
    learner.update(rows(kind, 300, seed=1))
    # Squared loss keeps no first rows and has no prior to learn.
    assert learner.adds_up == (kind == "squared")
