"""Progressive predictions of the first rows: in growing pieces, without a trace in the state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blocks import random_block, split
from learners import settings
from onepass.learn import learner as learner_module
from onepass.learn.ahead import growing_pieces
from onepass.learn.learner import Learner
from onepass.learn.losses import LOSSES, SEVERAL
from onepass.learn.newton.keeps import Keeps
from onepass.learn.newton.newton import Newton

kinds = pytest.mark.parametrize(
    ("loss", "hashed"),
    [*((loss, False) for loss in LOSSES), ("squared", True), ("logistic", True), ("softmax", True)],
)


def careful(loss: str, *, hashed: bool = False, **given) -> Learner:
    more = {"n_classes": 3} if loss in SEVERAL else {}
    n_slots = 8 if hashed else 0
    chosen = {"loss": loss, "n_slots": n_slots, "careful": True, "clip": True} | more | given
    return Learner(settings(**chosen))


def rows(loss: str, n_rows: int, seed: int, *, hashed: bool = False):
    return random_block(n_rows, 3, seed, loss=loss, n_hashed=2 * hashed, n_slots=8 * hashed)


@pytest.mark.parametrize("n_rows", [0, 1, 31, 32, 33, 200, 65_536])
@pytest.mark.parametrize("known", [0, 1, 100, 70_000])
def test_pieces_cover_a_block_and_are_no_longer_than_what_is_known(n_rows, known):
    pieces = growing_pieces(n_rows, known)
    assert [first for first, _ in pieces] == [0, *(last for _, last in pieces[:-1])]
    assert pieces[-1][1] == n_rows
    assert all(last - first <= max(32, known + first) for first, last in pieces)
    assert len(pieces) < 13


@kinds
def test_scouts_leave_no_trace_in_the_state(loss, hashed, monkeypatch):
    with_scouts = careful(loss, hashed=hashed)
    monkeypatch.setattr(learner_module, "MOST_BYTES", 0)
    without = careful(loss, hashed=hashed)
    for block in split(rows(loss, 900, 3, hashed=hashed), 300):
        with_scouts.update(block)
        without.update(block)
    expected = without.state()
    for name, array in with_scouts.state().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_rows_are_predicted_alike_whether_or_not_scores_are_kept(monkeypatch):
    plain = careful("logistic")
    monkeypatch.setattr(learner_module, "MOST_BYTES", plain.nbytes(plain.settings))
    scored = careful("logistic", keeps=Keeps(scores="rows"))
    block = rows("logistic", 300, 5)
    np.testing.assert_array_equal(scored.update(block), careful("logistic").update(block))


@kinds
def test_no_row_is_predicted_with_its_own_label_or_a_later_one(loss, hashed):
    block = rows(loss, 400, 4, hashed=hashed)
    other = rows(loss, 400, 5, hashed=hashed).label
    before = careful(loss, hashed=hashed).update(block)
    for first, last in growing_pieces(400, 0):
        changed = np.where(np.arange(400) < first, block.label, other)
        after = careful(loss, hashed=hashed).update(replace(block, label=changed))
        # The slots of a hybrid predict row by row.
        own = slice(0, first + 1 if hashed else last)
        np.testing.assert_array_equal(after[own], before[own])


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile", "logistic", "softmax", "poisson"])
def test_rows_of_a_single_block_are_predicted_by_what_precedes_them(loss):
    block = rows(loss, 5000, 6)
    model, blind = careful(loss), careful(loss)
    found, nothing = model.update(block), blind.predict(block)

    def mean_loss(prediction):
        if loss == "softmax":
            return -np.log(prediction[np.arange(2500, 5000), block.label[2500:].astype(int)]).mean()
        y, p = block.label[2500:], prediction[2500:]
        if loss == "logistic":
            return -np.log(np.where(y > 0.5, p, 1 - p)).mean()
        return np.abs(y - p).mean()

    best = mean_loss(model.predict(block))
    assert mean_loss(found) < best + 0.05 * (mean_loss(nothing) - best)


@pytest.mark.parametrize("solver", ["newton", "nag", "sgd"])
def test_predictions_stay_within_the_labels_of_the_rows_before(solver):
    block = rows("squared", 500, 7)
    block = replace(block, dense=block.dense * np.linspace(1, 30, 500, dtype=np.float32)[:, None])
    found = careful("squared", solver=solver).update(block)
    for first, last in growing_pieces(500, 0)[1:]:
        known = block.label[:first]
        assert known.min() <= found[first:last].min() <= found[first:last].max() <= known.max()


def test_blocks_of_a_model_that_knows_more_rows_are_not_scouted(monkeypatch):
    model = careful("logistic")
    model.update(rows("logistic", 300, 8))
    monkeypatch.setattr(Newton, "scout", None)
    block = rows("logistic", 300, 9)
    expected = model.predict(block)
    np.testing.assert_allclose(model.update(block), expected, rtol=1e-6)
