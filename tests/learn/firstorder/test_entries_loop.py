"""Sparse rows are learnt as the same numbers are in dense columns, or in hashed ones."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import (
    LOSSES,
    SOFTMAX,
    entries_of,
    entries_of_slots,
    labels_for,
    make_block,
    random_block,
    sparse_matrix,
)
from onepass.block import Block
from onepass.learn.firstorder.solver import FirstOrder, Steps

RATES = {"sgd": 0.03, "adagrad": 0.3, "nag": 0.5, "adam": 0.05, "ftrl": 0.3, "dog": 1.0}
N_COLUMNS = 12


def learnt(rule, loss, block, *, n_slots=N_COLUMNS, **steps) -> FirstOrder:
    updater = FirstOrder(
        rule, loss, block.dense.shape[1], n_slots, Steps(**({"learning_rate": RATES[rule]} | steps))
    )
    for piece in block.pieces(70):
        updater.update(piece)
    return updater


def numbers(loss, share=0.3) -> tuple[Block, Block]:
    """Return the same rows with dense columns and with entries, beside two dense columns."""
    rng = np.random.default_rng(5)
    x, other = sparse_matrix(400, N_COLUMNS, share, 4), rng.normal(size=(400, 2))
    label = labels_for(loss, x @ rng.normal(size=N_COLUMNS), rng)
    weight = rng.choice([0.0, 0.5, 2.0], 400)
    dense = make_block(np.hstack([other, x]), label, weight=weight)
    return dense, make_block(other, label, weight=weight, entries=entries_of(x))


@pytest.mark.parametrize(
    ("rule", "loss", "steps"),
    [
        ("sgd", LOSSES[1], {"implicit": True}),
        ("sgd", SOFTMAX, {"minibatch": 1}),
        ("sgd", LOSSES[0], {"averages": True}),
        ("adagrad", LOSSES[1], {"implicit": True}),
        ("ftrl", LOSSES[1], {"l1": 0.01, "l2": 0.02}),
        ("dog", LOSSES[1], {}),
    ],
    ids=str,
)
def test_entries_are_learnt_as_dense_columns_of_the_same_numbers(rule, loss, steps):
    dense, sparse = numbers(loss)
    a, b = learnt(rule, loss, dense, n_slots=0, **steps), learnt(rule, loss, sparse, **steps)
    np.testing.assert_allclose(b.predict(sparse), a.predict(dense), rtol=2e-4, atol=1e-5)
    found = b.linear().hashed.T
    np.testing.assert_allclose(found, a.linear().dense[:, 2:], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(("rule", "l2"), [("adam", 0.0), ("sgd", 0.03)])
def test_entries_that_every_row_has_are_dense_columns_for_momentum_and_penalty_too(rule, l2):
    dense, sparse = numbers(LOSSES[1], share=1.0)
    a = learnt(rule, LOSSES[1], dense, n_slots=0, l2=l2)
    b = learnt(rule, LOSSES[1], sparse, l2=l2)
    np.testing.assert_allclose(b.predict(sparse), a.predict(dense), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "loss", "steps"),
    [
        ("nag", LOSSES[1], {"averages": True, "implicit": True}),
        ("adagrad", SOFTMAX, {"averages": True}),
        ("sgd", LOSSES[0], {"minibatch": 8, "l2": 0.01}),
    ],
    ids=str,
)
def test_entries_of_the_value_1_are_hashed_columns(rule, loss, steps):
    block = random_block(400, 2, 6, loss=loss, n_hashed=3, n_slots=N_COLUMNS)
    # A slot that a row hits twice is one entry of the value 2, which is another matter.
    block = make_block(block.dense, block.label, slots=block.slots % 4 + 4 * np.arange(3))
    as_entries = make_block(block.dense, block.label, entries=entries_of_slots(block.slots))
    a, b = learnt(rule, loss, block, **steps), learnt(rule, loss, as_entries, **steps)
    np.testing.assert_allclose(b.predict(as_entries), a.predict(block), rtol=1e-5, atol=1e-6)
    # Both at once are the sum of both.
    both = make_block(
        block.dense, block.label, slots=block.slots, entries=entries_of_slots(block.slots)
    )
    linear = a.linear()
    added = linear.hashed[block.slots].sum(axis=1).astype(float)
    expected = a.predict(block).reshape(len(added), -1) + added
    found = a.predict(both).reshape(len(added), -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
