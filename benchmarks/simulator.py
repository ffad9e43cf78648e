"""Simulate training on a cluster from measured times: rounds, workers, one driver.

Events follow the order of a round. The driver sends the base to the workers. Each worker takes the
next group, reads, decodes, encodes and learns it, and takes another. The driver receives the
differences in the order of the groups and adds them up. It merges, copies the state, and commits
it while the next round is learnt. Nothing of a round begins before the merge of the round before.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from onepass.partition import Fingerprint, Group, Partition
from onepass.training.round_sizes import Rounds, Rule, automatic, rule_of

_SAMPLE = 48

N_HASHED = 26
"""Hashed columns of clicks."""


@dataclass(frozen=True)
class Costs:
    """Measured times and sizes of one kind of model, on one core."""

    name: str
    row_bytes: float
    """Bytes of a row in the lake, compressed."""
    row_seconds: float
    """To decode, encode and learn a row."""
    share_seconds: float
    """For a group, whatever its rows: copy the base, open the file, make the difference."""
    base_bytes: float
    """Of the base, as it is sent."""
    difference_bytes: tuple[tuple[float, float], ...]
    """Pairs of rows of a group, and bytes of its difference; between them, straight lines."""
    send_seconds: float
    """Processor time of the driver to pickle the base."""
    add_byte_seconds: float
    """For the driver to unpickle a byte of a difference, and to add it."""
    merge_seconds: float
    """To merge the sum of a round into the base, and solve."""
    commit_seconds: float
    """To write and sync a state and its entry."""
    call_seconds: float = 0.0
    """Processor time of driver or scheduler for one call, whichever is more: calls follow each
    other."""
    gap_seconds: float = 0.0
    """Between two calls of a worker: it returns a result, and is given the next call."""
    round_seconds: float = 0.0
    """For a round of one call that does nothing."""
    hop_byte_seconds: float = 0.0
    """To pass a byte of the base on, beside the network."""
    receive_byte_seconds: float = 0.0
    """For the driver to receive a byte, beside the network."""
    hashed: bool = False
    spread: float = 0.0
    """Standard deviation of the logarithm of the time of a group: stragglers."""

    @property
    def rule(self) -> Rule:
        """Rule of the rounds of this kind of model."""
        return rule_of(N_HASHED if self.hashed else 0)

    def difference(self, rows: float) -> float:
        """Return the bytes of the difference of a group."""
        at, found = zip(*self.difference_bytes, strict=True)
        return float(np.interp(rows, at, found))

    def taken(self, rows: float, network: float) -> float:
        """Return the seconds of the driver to receive and to add the difference of a group."""
        byte = 1 / network + self.receive_byte_seconds + self.add_byte_seconds
        return byte * self.difference(rows)


@dataclass(frozen=True)
class Cluster:
    """Where a lake is learnt."""

    workers: int
    """Of one core each."""
    network: float
    """Bytes a second, of the driver and of each worker."""
    reading: float = math.inf
    """Bytes a second that one worker reads from the store, before it decodes them."""
    tree: bool = False
    """Whether workers add differences up in pairs, before the driver gets their sum."""


@dataclass(frozen=True)
class Lake:
    """A lake of equal partitions."""

    groups: int
    rows: float
    """Of a group."""

    @classmethod
    def of(cls, lake_bytes: float, group_bytes: float, costs: Costs) -> Lake:
        """Return a lake by its sizes."""
        return cls(max(1, round(lake_bytes / group_bytes)), group_bytes / costs.row_bytes)


@dataclass(frozen=True)
class Outcome:
    """A simulated run."""

    seconds: float
    rows: float
    rounds: int
    received: float
    """Bytes of differences that the driver has received."""
    sent: float
    """Bytes of bases that have been sent, to all workers."""
    busy: float
    """Seconds of work of all workers."""

    @property
    def speed(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def sizes(groups: int, most: int, rule: Rule) -> Iterator[tuple[int, int]]:
    """Yield sizes of rounds, see `onepass.training.round_sizes`, with how often each repeats."""
    # Sizes have reached `most`, or never will, within so many groups.
    head = min(groups, math.ceil(most * (1 + 1 / rule.share)) + 4 * most)
    mark = Fingerprint(size=1, footer_sha256="", rows=1, row_groups=1)
    planned = [Group(1, [Partition(str(i), 0, 1, 1, mark)]) for i in range(head)]
    rounds, done = Rounds(planned, most, rule), 0
    while done < head:
        size = rounds.next_size(planned[done:], done)
        if size == most:
            break
        yield size, 1
        done += size
    if n_full := (groups - done) // most:
        yield most, n_full
    if left := (groups - done) % most:
        yield left, 1


def simulate(
    costs: Costs,
    lake: Lake,
    cluster: Cluster,
    most: int | None = None,
    *,
    seed: int = 0,
    sample: int = _SAMPLE,
) -> Outcome:
    """Simulate a run.

    Parameters
    ----------
    most
        Most groups of a round; by default as `--parallel auto` chooses.
    sample
        Most rounds of full size that are played; the others take as long on average.
    """
    most = most or automatic(lake.groups, costs.rule)
    run, rng = _Run(costs, lake, cluster), np.random.default_rng(seed)
    for size, n in sizes(lake.groups, most, costs.rule):
        n_played = min(n, sample)
        began = run.now
        for _ in range(n_played):
            run.round(size, rng)
        # The rounds that are left out take as long as those that have been played, on average.
        run.skip((n - n_played) / n_played, run.now - began, n - n_played, size)
    return run.outcome()


class _Run:
    def __init__(self, costs: Costs, lake: Lake, cluster: Cluster) -> None:
        self._costs, self._lake, self._cluster = costs, lake, cluster
        self.now = 0.0
        self._committed = 0.0
        self._rounds = self._groups = 0
        self._busy = self._sent = 0.0

    def round(self, size: int, rng: np.random.Generator) -> None:
        """Learn a round of `size` groups."""
        costs, cluster = self._costs, self._cluster
        used = min(size, cluster.workers)
        ready = self.now + costs.round_seconds + costs.send_seconds + self._broadcast(used)
        works = self._share_seconds() * _jitter(costs.spread, size, rng)
        free = [ready] * used
        heapq.heapify(free)
        ends = np.empty(size)
        for i, work in enumerate(works):
            called = ready + (i + 1) * costs.call_seconds
            ends[i] = max(heapq.heappop(free), called) + work
            heapq.heappush(free, ends[i])
        merged = self._added(ends) + costs.merge_seconds
        # The commit before has to end before the state is copied again.
        self.now = max(merged, self._committed)
        self._committed = self.now + costs.commit_seconds
        self._count(1, size, float(works.sum()))

    def skip(self, times: float, seconds: float, n: int, size: int) -> None:
        """Let `n` more rounds pass like those before, which took some seconds."""
        self.now += times * seconds
        self._committed += times * seconds
        self._count(n, size, n * size * self._share_seconds())

    def outcome(self) -> Outcome:
        """Return the run, with its last commit."""
        rows, received = self._groups * self._lake.rows, self._costs.difference(self._lake.rows)
        return Outcome(
            max(self.now, self._committed),
            rows,
            self._rounds,
            self._groups * received,
            self._sent,
            self._busy,
        )

    def _count(self, n: int, size: int, busy: float) -> None:
        self._rounds += n
        self._groups += n * size
        self._busy += busy
        self._sent += n * min(size, self._cluster.workers) * self._costs.base_bytes

    def _share_seconds(self) -> float:
        rows, costs = self._lake.rows, self._costs
        read = rows * costs.row_bytes / self._cluster.reading
        return costs.gap_seconds + costs.share_seconds + rows * costs.row_seconds + read

    def _broadcast(self, used: int) -> float:
        """Seconds until all have the base: whoever has it sends it to two more, one by one."""
        hops = 1 + 2 * math.ceil(math.log(used, 3) - 1e-9) if used > 1 else 1
        byte = 1 / self._cluster.network + self._costs.hop_byte_seconds
        return hops * self._costs.base_bytes * byte

    def _added(self, ends: np.ndarray) -> float:
        """Time at which the driver has the sum of all differences."""
        each = self._costs.taken(self._lake.rows, self._cluster.network)
        if self._cluster.tree:
            return float(ends.max()) + (1 + math.ceil(math.log2(len(ends)))) * each
        # In the order of the groups: the last one waits for each that began before it.
        at = 0.0
        for end in ends:
            at = max(at, end) + each
        return at


def _jitter(spread: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Factors of mean 1."""
    if spread == 0:
        return np.ones(n)
    return rng.lognormal(-(spread**2) / 2, spread, n)


def bounds(costs: Costs, lake: Lake, cluster: Cluster, most: int) -> dict[str, float]:
    """Seconds of a full round that each part would take alone; the largest is what limits."""
    used = min(most, cluster.workers)
    run = _Run(replace(costs, spread=0.0), lake, cluster)
    per_worker = math.ceil(most / used)
    n_added = math.ceil(math.log2(most)) + 1 if cluster.tree else most
    return {
        "workers": per_worker * run._share_seconds(),
        "base": costs.round_seconds + costs.send_seconds + run._broadcast(used),
        "differences": n_added * costs.taken(lake.rows, cluster.network),
        "calls": most * costs.call_seconds,
        "merge": costs.merge_seconds,
        "commit": costs.commit_seconds,
    }
