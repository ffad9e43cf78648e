"""Measure the parts of a round on this machine: shares, differences, merges, commits, sending."""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from simulator import Costs
from threadpoolctl import threadpool_limits

from lakes import LABEL, Shape, files, lake
from onepass import plan
from onepass.block import Block
from onepass.learn.learner import Learner
from onepass.learn.settings import Settings
from onepass.ledger.entries import Trained
from onepass.model.directory import OpenModel, open_model
from onepass.model.file import ModelFile
from onepass.model.state import ModelState
from onepass.partition import Group
from onepass.stream.workers import Workers
from onepass.training.learn_group import GroupLearner
from onepass.training.progress import Progress
from onepass.training.share import Base, Share, Task, learn_share

K = (1, 4, 16, 64, 256)
_ROUND = 16
"""Groups of the round to which the shares belong."""
_N_DISTINCT = 4
"""Differences that are learnt; rounds of more groups repeat them."""


@dataclass(frozen=True)
class Kind:
    """A kind of model to measure."""

    name: str
    shape: Shape
    options: dict[str, Any]
    n_alone: int
    """Groups that are learnt before any is measured: the first ones take longer."""
    n_shares: int
    group_sizes: tuple[int, ...] = (1,)
    """Numbers of partitions of groups whose differences are sized: with slots, more rows touch
    more of them."""


def best(call: Callable[[], Any], repeats: int = 5) -> float:
    """Median of the processor seconds of a call, which runs in one thread."""
    return median(_timed(call) for _ in range(repeats))


def _timed(call: Callable[[], Any]) -> float:
    # Processor time: other work on the machine does not count.
    began = time.process_time()
    call()
    return time.process_time() - began


def sent_bytes(value: Any) -> int:
    """Bytes of a value as `distributed` sends it."""
    from distributed.protocol import serialize

    _, frames = serialize(value)
    return sum(memoryview(frame).nbytes for frame in frames)


@contextmanager
def opened(folder: Path, kind: Kind) -> Iterator[OpenModel]:
    """A new model of a lake."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        found = lake(folder, kind.shape)
        job = {"lake": str(found), "label": LABEL, "model": f"{scratch}/model", "parallel": 16}
        plan(job | kind.options)
        yield open_model(f"{scratch}/model")


class Shares:
    """Shares of one model, learnt one after another in this thread."""

    def __init__(self, model: OpenModel, workers: Workers) -> None:
        self.model, self.file = model, model.file
        self._learner = GroupLearner(model.file, model.file.job, workers, Progress())
        self._groups = model.ledger.history.planned()
        self._horizon = model.ledger.history.planned_rows()
        self.state = model.file.new_state()

    def base(self, *, n: int = 1, alone: bool = False) -> Base:
        """The base as it is now, of a round of shares of `n` partitions."""
        n_shares = 1 if alone else _ROUND
        n_rows = n_shares * n * self._groups[0].rows
        reading, horizon = self._learner.reading, self._horizon
        return Base(
            self.file, reading, self.state, horizon=horizon, n_shares=n_shares, n_rows=n_rows
        )

    def task(self, i: int, *, n: int = 1) -> Task:
        """The task of `n` partitions from the i-th on; after the last one the first one follows."""
        chosen = [self._groups[(i + j) % len(self._groups)] for j in range(n)]
        group = Group(1, [one for group in chosen for one in group.partitions])
        return Task(group, self._learner.files_of(group))

    def alone(self, i: int) -> Share:
        """Learn a group as a round of its own."""
        share = learn_share(self.base(alone=True), self.task(i))
        assert share.arrays is not None, share.error
        self.state.load(share.arrays)
        return share


def measured(folder: Path, kind: Kind) -> tuple[Costs, dict[str, Any]]:
    """Measure a kind of model; return its costs, and figures to print."""
    with Workers() as workers, opened(folder, kind) as model:
        shares = Shares(model, workers)
        for i in range(kind.n_alone):
            shares.alone(i)
        base, seconds, cpu = shares.base(), [], []
        found: list[Share] = []
        for i in range(kind.n_alone, kind.n_alone + kind.n_shares):
            before, began = time.thread_time(), time.perf_counter()
            share = learn_share(base, shares.task(i))
            cpu.append(time.thread_time() - before)
            seconds.append(time.perf_counter() - began)
            found = [*found, share][:_N_DISTINCT]
        rows = kind.shape.file_rows
        figures = _state_figures(shares, [one.difference for one in found], base)
        figures["difference_bytes"] = [
            (n * rows, sent_bytes(learn_share(shares.base(n=n), shares.task(0, n=n)).difference))
            for n in kind.group_sizes
        ]
        figures["commit"] = _commit_seconds(model, shares.state)
        figures["state_bytes"] = sum(a.nbytes for a in shares.state.arrays().values())
    return _costs(kind, rows, figures, cpu, folder), figures | {
        "rows": rows,
        "cpu_seconds": median(cpu),
        "wall_seconds": median(seconds),
        "wall_spread": _spread(seconds),
        "cpu_spread": _spread(cpu),
    }


def _spread(seconds: Sequence[float]) -> float:
    """Standard deviation of logarithms, from the quartiles: one hiccup does not decide."""
    low, _, high = quantiles(np.log(seconds).tolist())
    return (high - low) / 1.349


def _state_figures(shares: Shares, found: list[Any], base: Base) -> dict[str, Any]:
    """Sizes and times of base, differences and merges."""
    state = shares.state
    fresh = base.copied()
    sent = pickle.dumps(found[0], protocol=5)
    return {
        "base_bytes": sent_bytes(base),
        "send": best(lambda: pickle.dumps(base, protocol=5)),
        "copy": best(base.copied),
        "receive": best(lambda: pickle.loads(sent)),
        "difference": best(lambda: fresh.difference(state)),
        "fold": {k: _fold_seconds(found, k) for k in K},
        "merge": {k: _merge_seconds(shares.file, base, _folded(found, k)) for k in K},
    }


def _folded(found: Sequence[Any], k: int) -> Any:
    merged = found[0]
    for i in range(1, k):
        merged = merged.then(found[i % len(found)])
    return merged


def _fold_seconds(found: Sequence[Any], k: int) -> float:
    return best(lambda: _folded(found, k), 3 if k > 16 else 7)


def _merge_seconds(file: ModelFile, base: Base, added: Any) -> float:
    """Seconds to merge; the state is copied anew each time."""

    def once() -> float:
        state = file.new_state()
        state.load(base.state.arrays())
        return _timed(partial(state.merge, [added]))

    return median(once() for _ in range(5))


def _commit_seconds(model: OpenModel, state: ModelState) -> float:
    """Seconds to write and sync a state, and to create its entry."""
    groups = model.ledger.history.planned()

    def once(i: int) -> float:
        trained = Trained(
            partitions=groups[i].partitions,
            rows=groups[i].rows,
            counts={},
            loss=None,
            metrics={},
            seconds=0.0,
            peak_rss_bytes=0,
            environment={},
        )
        began = time.perf_counter()
        model.ledger.commit_train(state.snapshot(), trained)
        return time.perf_counter() - began

    return median(once(i) for i in range(min(7, len(groups))))


def _costs(
    kind: Kind,
    rows: int,
    figures: dict[str, Any],
    cpu: list[float],
    folder: Path,
) -> Costs:
    size = files(lake(folder, kind.shape))[0].stat().st_size
    fixed = figures["copy"] + figures["difference"]
    merge, each = line({k: figures["fold"][k] + figures["merge"][k] for k in K})
    return Costs(
        name=kind.name,
        row_bytes=size / rows,
        row_seconds=(median(cpu) - fixed) / rows,
        share_seconds=fixed,
        base_bytes=figures["base_bytes"],
        difference_bytes=tuple(figures["difference_bytes"]),
        send_seconds=figures["send"],
        add_byte_seconds=(each + figures["receive"]) / figures["difference_bytes"][0][1],
        merge_seconds=merge,
        commit_seconds=figures["commit"],
        hashed=bool(kind.shape.texts),
        spread=_spread(cpu),
    )


def line(found: dict[int, float]) -> tuple[float, float]:
    """Intercept and slope of seconds against K, so that the largest and the smallest K are met."""
    low, high = min(found), max(found)
    slope = max(0.0, found[high] - found[low]) / (high - low)
    return max(0.0, found[low] - slope * low), slope


def algebra(width: int) -> dict[str, Any]:
    """Bytes of a difference of so many numbers; seconds to make it, to add up and to merge."""
    with threadpool_limits(1, "blas"):
        return _algebra(_settings(width))


def _algebra(settings: Settings) -> dict[str, Any]:
    width = settings.n_dense
    rng, state = np.random.default_rng(0), Learner(settings)
    weights = rng.normal(size=width) / np.sqrt(width)

    def block() -> Block:
        x = rng.standard_normal((16_384, width), np.float32)
        y = (rng.random(len(x)) < 1 / (1 + np.exp(-x @ weights))).astype(float)
        return Block(x, np.empty((len(x), 0), np.int32), y, np.ones(len(x)))

    for _ in range(4):
        state.update(block())
    found: list[Any] = []
    for _ in range(_N_DISTINCT):
        copy = Learner(settings)
        copy.restore(state.arrays())
        copy.hold(_ROUND, _ROUND * 16_384)
        copy.update(block())
        found.append(copy.difference(state))
    arrays = state.state()

    def merged(added: Any) -> float:
        fresh = Learner(settings)
        fresh.restore(arrays)
        return _timed(partial(fresh.merge, [added]))

    return {
        "bytes": sent_bytes(found[0]),
        "difference": best(lambda: copy.difference(state)),
        "fold": {k: _fold_seconds(found, k) for k in K},
        "merge": {k: median(merged(_folded(found, k)) for _ in range(5)) for k in K},
    }


def _settings(width: int) -> Settings:
    return Settings(
        solver="newton", loss="logistic", n_dense=width, n_slots=0, learning_rate=None, l2=0.0,
        l1=0.0, schedule="constant", averaging="none", implicit=False, minibatch=1,
        half_life_rows=None, half_life_partitions=None, quantiles=(), delta=1.0, n_classes=2,
        center=0.0, scale=1.0, base=0.0, clip=False,
    )  # fmt: skip
