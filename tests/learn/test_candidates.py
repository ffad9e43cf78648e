"""Candidates: trained on the same blocks, judged on rows that none has learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blocks import random_block, split
from learners import settings
from onepass.errors import Diverged
from onepass.learn.candidates import Candidates
from onepass.learn.learner import Learner
from onepass.ledger.npz import dump_state, load_state

RATES = (1e-6, 0.02, 1e3)


def candidates(rates=RATES) -> Candidates:
    return Candidates([settings(solver="sgd", learning_rate=rate) for rate in rates])


def learn(several: Candidates, n_blocks: int = 6) -> Candidates:
    for seed in range(n_blocks):
        several.judge(random_block(40, 3, seed=100 + seed))
        several.update(random_block(600, 3, seed=seed))
    return several


def test_best_on_held_out_rows_is_the_model():
    several = learn(candidates())
    alone = Learner(settings(solver="sgd", learning_rate=0.02))
    for seed in range(6):
        alone.update(random_block(600, 3, seed=seed))
    probe = random_block(500, 3, seed=50)
    np.testing.assert_array_equal(several.best().predict(probe), alone.predict(probe))
    np.testing.assert_array_equal(several.weights()[0].dense, alone.weights()[0].dense)
    assert [one.chosen for one in several.standings()] == [False, True, False]
    assert several.best().settings.learning_rate == 0.02


def test_diverged_candidate_is_excluded_and_the_others_go_on():
    standings = learn(candidates()).standings()
    assert standings[2].loss is None
    assert standings[1].loss < standings[0].loss
    state = learn(candidates()).state()
    # The range of labels is empty before the first row.
    state = {name: array for name, array in state.items() if not name.endswith("label_range")}
    assert all(np.isfinite(array).all() for array in state.values())


def test_divergence_of_all_candidates_is_an_error():
    with pytest.raises(Diverged):
        learn(candidates((1e3, 1e4)))


def test_scores_are_of_the_newest_half_of_the_rows():
    several = candidates((0.02, 1e-6))
    # At first labels are all noise and the slow one is right; later it is not.
    for seed in range(40):
        block = random_block(300, 3, seed=seed)
        held = random_block(300, 3, seed=1000 + seed)
        if seed < 10:
            noise = np.random.default_rng(seed).normal(size=300)
            block, held = replace(block, label=0 * noise), replace(held, label=0 * noise)
        several.judge(held)
        several.update(block)
    first, second = (one.loss for one in several.standings())
    assert first < 0.6 < second


def test_resume_gives_the_same_bytes():
    whole = learn(candidates(), 3)
    other = candidates()
    other.restore(load_state(dump_state(whole.state())))
    assert dump_state(other.state()) == dump_state(whole.state())
    for one in (whole, other):
        for block in split(random_block(900, 3, seed=70), 300):
            one.judge(random_block(30, 3, seed=71))
            one.update(block)
    assert dump_state(other.state()) == dump_state(whole.state())


def test_unfit_state_changes_nothing():
    good, several = learn(candidates(), 2), learn(candidates(), 1)
    before = dump_state(several.state())
    for name in good.state():
        state = good.state()
        del state[name]
        with pytest.raises(ValueError, match="expected"):
            several.restore(state)
        assert dump_state(several.state()) == before


def test_first_candidate_is_the_model_before_any_held_out_row():
    several = candidates()
    several.update(random_block(200, 3, seed=1))
    assert [one.loss for one in several.standings()] == [None] * 3
    assert several.best().settings.learning_rate == RATES[0]
