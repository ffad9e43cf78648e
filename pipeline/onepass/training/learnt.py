"""Learn the blocks of one group, and check that its files stay as they were meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onepass.errors import DataError
from onepass.learn.metrics import Metrics, Stretches
from onepass.learn.metrics.beside import judged
from onepass.model.file import ModelFile
from onepass.model.state import ModelState
from onepass.partition import NOT_TAKEN, Group
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.joined import Joiner
from onepass.stream.reading import Streamed
from onepass.stream.sources import Files, check_unchanged


@dataclass(frozen=True, slots=True)
class Learnt:
    """Measurements of a group, or of the groups of a round, while it was learnt."""

    metrics: Metrics
    """Progressive metrics: each row is predicted before it is learnt."""
    stretches: Stretches
    """The same by stretches of rows, for metrics of the last ones."""
    counts: Counter[str]
    """Dropped rows and treated values by kind."""


def joined(parts: Iterable[Learnt], file: ModelFile) -> Learnt:
    """Return the measurements of the groups of a round; the parts must not be used any more.

    Parameters
    ----------
    parts
        The groups in their order.
    """
    stretches, counts = Stretches(file.metrics), Counter[str]()
    for part in parts:
        stretches.extend(part.stretches)
        counts.update(part.counts)
    return Learnt(stretches.whole(), stretches, counts)


@dataclass(frozen=True, slots=True)
class Lake:
    """The files that groups are read from."""

    files: Files
    """The files by key, as they were listed."""
    check: ColumnCheck
    """Compares the columns of a file with those that the model reads."""


class Learning:
    """Learns the blocks of one group one after another, and measures how it predicts them.

    Parameters
    ----------
    file
        Frozen decisions of the model.
    state
        Updated in place.
    horizon
        Rows learnt before the plan of this group, and rows of the plan; learning rates may depend
        on them.
    advanced
        Receives the number of rows of each block once it is learnt, with the rows not taken.
    """

    def __init__(
        self,
        file: ModelFile,
        state: ModelState,
        horizon: tuple[int, int],
        advanced: Callable[[int], None],
    ) -> None:
        self._file, self._state, self._advanced = file, state, advanced
        self._is_careful, self._counts = file.start == "careful", Counter[str]()
        self._metrics, self._stretches = file.metrics(), Stretches(file.metrics)
        self._joiner = None if file.job.selection is None else Joiner(file.batch_rows)
        state.learner.horizon(*map(file.taken_rows, horizon))
        state.learner.partition_begins()

    def take(self, block: Streamed) -> None:
        """Take the next block of the group."""
        self._learn(block if self._joiner is None else self._joiner.add(block))

    def finish(self) -> Learnt:
        """Learn what is left, and return the measurements of the group."""
        if self._joiner is not None:
            self._learn(self._joiner.rest())
        counts, stretches = self._counts, self._stretches
        if self._is_careful:
            return Learnt(stretches.whole(), stretches, counts)
        return Learnt(self._metrics, Stretches(self._file.metrics, [self._metrics]), counts)

    def _learn(self, streamed: Streamed | None) -> None:
        if streamed is None:
            return
        block = streamed.encoded.block
        # A line search shortens a step that overflows; other learners raise Diverged.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            predictions = self._state.learn(streamed.encoded, streamed.held_out)
            # The sums of older models are added up block by block, to the last bit.
            to = self._stretches if self._is_careful else self._metrics
            to.add(*judged(predictions, block, self._file.job.loss), block.weight)
        self._counts.update(streamed.encoded.counts)
        not_taken = sum(streamed.encoded.counts[kind] for kind in NOT_TAKEN)
        self._advanced(block.n_rows + not_taken)


def learn_blocks(
    learnings: Sequence[Learning], group: Group, blocks: Iterator[Streamed], lake: Lake
) -> list[Learnt]:
    """Learn a group from its blocks, with one model or with several.

    Parameters
    ----------
    learnings
        The model for which the blocks are read, and those beside it.
    blocks
        Blocks of the group, of which none has been taken.

    Raises
    ------
    BadPartition, ChangedPartition
        If a file is gone or unreadable, or has changed since the group was planned. The states may
        have learnt a part of the group by then.
    """
    try:
        for streamed in blocks:
            for learning, one in zip(learnings, (streamed, *streamed.beside), strict=True):
                learning.take(one)
        learnt = [learning.finish() for learning in learnings]
    except DataError:
        # A file that is replaced while it is read looks corrupt; this check raises the error that
        # says so. Other errors and interrupts are not about the lake, and pass.
        check_unchanged(group.partitions, lake.files, lake.check)
        raise
    # A file that is replaced while it is read may also give rows of both contents unnoticed.
    check_unchanged(group.partitions, lake.files, lake.check)
    return learnt
