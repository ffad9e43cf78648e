"""Learners state the bytes of their arrays from the settings alone."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from blocks import random_block
from learners import settings
from onepass.learn.firstorder.rules import CODES
from onepass.learn.heads import learner_bytes
from onepass.learn.learner import Learner
from onepass.learn.newton.limits import kept_rows
from onepass.learn.settings import Settings

SCALARS = 200
"""Bytes of counters and sums at most, which are not set aside for."""

LOSSES = {
    "squared": {},
    "logistic": {},
    "huber": {},
    "hinge": {},
    "quantile": {"quantiles": (0.1, 0.5, 0.9)},
    "softmax": {"n_classes": 3},
}


def real_bytes(learner: Learner) -> int:
    return sum(array.nbytes for array in learner.arrays().values())


def fullest(given: Settings) -> Learner:
    """A learner that has just not enough rows to drop the ones it keeps at first."""
    n_margins = max(1, given.n_classes)
    n_rows = kept_rows(n_margins * (given.n_dense + 1)) - 1
    n_hashed = 2 if given.n_slots else 0
    learner = Learner(given)
    block = random_block(
        n_rows, given.n_dense, 0, loss=given.loss, n_hashed=n_hashed, n_slots=given.n_slots
    )
    learner.update(replace(block, offset=np.zeros(n_rows)) if given.has_offset else block)
    return learner


@pytest.mark.parametrize("n_slots", [0, 1024])
@pytest.mark.parametrize("loss", LOSSES)
def test_bytes_of_newton_are_those_of_its_arrays(loss, n_slots):
    given = settings(loss=loss, n_dense=5, n_slots=n_slots, **LOSSES[loss])
    learner = fullest(given)
    anchors = 8 * len(learner.heads)  # which only some refined weights have
    assert real_bytes(learner) + anchors == Learner.nbytes(given) <= learner_bytes(given)


@pytest.mark.parametrize("n_slots", [0, 1024])
def test_bytes_of_newton_count_the_offsets_of_the_rows_it_keeps(n_slots):
    given = settings(loss="logistic", n_dense=5, n_slots=n_slots, has_offset=True)
    learner = fullest(given)
    assert real_bytes(learner) + 8 == Learner.nbytes(given)


@pytest.mark.parametrize("averaging", ["none", "polynomial"])
@pytest.mark.parametrize("n_slots", [0, 1024])
@pytest.mark.parametrize("loss", ["logistic", "quantile", "softmax"])
@pytest.mark.parametrize("solver", CODES)
def test_bytes_of_first_order_solvers_are_those_of_their_arrays(solver, loss, n_slots, averaging):
    given = settings(
        solver=solver, loss=loss, n_dense=5, n_slots=n_slots, averaging=averaging, **LOSSES[loss]
    )
    assert real_bytes(Learner(given)) == Learner.nbytes(given) <= learner_bytes(given)


def test_newton_drops_kept_rows_when_there_are_enough():
    learner = fullest(settings(loss="logistic", n_dense=5))
    before = real_bytes(learner)
    learner.update(random_block(1, 5, 1, loss="logistic"))
    assert real_bytes(learner) == before - (kept_rows(6) - 1) * (5 * 4 + 2 * 8)


@pytest.mark.parametrize("solver", ["newton", *CODES])
def test_what_to_set_aside_covers_the_arrays_of_every_shape(solver):
    for loss, more in LOSSES.items():
        for n_dense in (0, 1, 30, 100, 512, 3000):
            for n_slots in (0, 1 << 10, 1 << 22):
                given = settings(solver=solver, loss=loss, n_dense=n_dense, n_slots=n_slots, **more)
                assert Learner.nbytes(given) <= learner_bytes(given) + SCALARS


@pytest.mark.parametrize("solver", ["newton", "adam"])
def test_bytes_of_absurd_settings_are_computed_without_allocating(solver):
    given = settings(solver=solver, loss="softmax", n_dense=10**6, n_slots=10**9, n_classes=10**5)
    tracemalloc.start()
    try:
        assert learner_bytes(given) > 10**15
        assert Learner.nbytes(given) > 10**15
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_bytes_to_set_aside_stay_as_they_are():
    """The size of blocks follows from them, and so the order of float operations in a model."""
    found = {
        name: learner_bytes(given)
        for name, given in {
            "newton": settings(n_dense=30),
            "newton hashed": settings(n_dense=30, n_slots=1 << 18),
            "newton softmax": settings(loss="softmax", n_dense=30, n_classes=7),
            "newton quantiles": settings(loss="quantile", n_dense=30, quantiles=(0.1, 0.5, 0.9)),
            "nag": settings(solver="nag", n_dense=30, n_slots=1 << 18, averaging="polynomial"),
            "sgd": settings(solver="sgd", n_dense=800),
        }.items()
    }
    assert found == {
        "newton": 24_440_896,
        "newton hashed": 30_732_352,
        "newton softmax": 17_393_728,
        "newton quantiles": 73_322_688,
        "nag": 12_585_888,
        "sgd": 76_896,
    }
