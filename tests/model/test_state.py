"""Model state: a snapshot is the state as it was, whatever is learnt while it is written."""

from __future__ import annotations

import io
import pickle
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


def newton_state() -> ModelState:
    learner = Learner(replace(SETTINGS, solver="newton"))
    return ModelState(learner, Frequent(["user"]))


def share_of(base: ModelState, seed: int) -> ModelState:
    share = newton_state()
    share.load(base.arrays())
    share.hold(2, 1000)
    share.learn(encoded(seed), None)
    return share


def test_states_of_a_round_are_merged_with_their_counts():
    base = newton_state()
    for seed in range(12):
        base.learn(encoded(seed), None)
    assert base.adds_up
    found = [share_of(base, seed).difference(base) for seed in (20, 30)]
    whole = newton_state()
    whole.load(base.arrays())
    for seed in (20, 30):
        whole.learn(encoded(seed), None)
    sent = [pickle.loads(pickle.dumps(one)) for one in found]
    base.merge([sent[0].then(sent[1])])
    assert base.frequent.values("user") == whole.frequent.values("user")
    assert base.learner.best().heads[0].n_rows == whole.learner.best().heads[0].n_rows
    again = newton_state()
    again.load(base.arrays())
    assert again.dump() == base.dump()
