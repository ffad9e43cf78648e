"""Model state: a snapshot is the state as it was, whatever is learnt while it is written."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from learners import settings
from onepass.block import Block
from onepass.encode.encoder import Encoded
from onepass.encode.frequent import Frequent
from onepass.errors import Diverged
from onepass.learn.candidates import Candidates
from onepass.learn.learner import Learner
from onepass.model.state import ModelState

SETTINGS = settings(
    solver="nag", loss="logistic", n_slots=64, averaging="polynomial", implicit=True
)


def new_state(kind: str) -> ModelState:
    if kind == "candidates":
        both = [SETTINGS, replace(SETTINGS, learning_rate=0.5)]
        return ModelState(Candidates(both), Frequent(["user"]))
    return ModelState(Learner(replace(SETTINGS, solver=kind)), Frequent(["user"]))


def encoded(seed: int, n_rows: int = 500) -> Encoded:
    rng = np.random.default_rng(seed)
    block = Block(
        rng.normal(size=(n_rows, 3)).astype(np.float32),
        rng.integers(0, 64, (n_rows, 2), np.int32),
        (rng.random(n_rows) < 0.5).astype(float),
        np.ones(n_rows),
    )
    return Encoded(block, Counter(), {"user": Counter(a=seed + 1)}, np.arange(n_rows))


def written(snapshot) -> bytes:
    stream = io.BytesIO()
    snapshot(stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["sgd", "nag", "newton", "candidates"])
def test_snapshot_is_the_state_as_it_was_though_learning_goes_on(kind):
    one = new_state(kind)
    for seed in range(4):
        one.learn(encoded(seed), None)
        expected, snapshot = one.dump(), one.snapshot()
        one.learn(encoded(100 + seed), None)
        assert written(snapshot) == expected != one.dump()


def test_snapshots_take_the_memory_of_those_before():
    one = new_state("nag")
    one.snapshot()
    before = {name: array.ctypes.data for name, array in one._snapshot.items()}
    one.learn(encoded(1), None)
    one.snapshot()
    assert {name: array.ctypes.data for name, array in one._snapshot.items()} == before
    live = one.learner.arrays().values()
    assert not any(np.shares_memory(a, b) for a in one._snapshot.values() for b in live)


def test_state_that_is_not_finite_is_not_written():
    one = new_state("sgd")
    one.learn(encoded(1), None)
    next(array for name, array in one.learner.arrays().items() if name.endswith("dense"))[:] = (
        np.nan
    )
    with pytest.raises(Diverged, match="no longer finite"):
        written(one.snapshot())
