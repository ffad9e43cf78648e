"""Learn the blocks of one group, and check that its files stay as they were meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from onepass.errors import DataError
from onepass.learn.metrics import Metrics, Stretches
from onepass.learn.metrics.beside import judged
from onepass.model.file import ModelFile
from onepass.model.state import ModelState
from onepass.partition import NOT_TAKEN, Group
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.joined import joined as joined_blocks
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


def learn_blocks(
    file: ModelFile,
    state: ModelState,
    group: Group,
    blocks: Iterator[Streamed],
    *,
    lake: Lake,
    horizon: tuple[int, int],
    advanced: Callable[[int], None],
) -> Learnt:
    """Learn a group from its blocks.

    Parameters
    ----------
    state
        Updated in place.
    blocks
        Blocks of the group, of which none has been taken.
    horizon
        Rows learnt before the plan of this group, and rows of the plan; learning rates may depend
        on them.
    advanced
        Receives the number of rows of each block once it is learnt, with the rows not taken.

    Raises
    ------
    BadPartition, ChangedPartition
        If a file is gone or unreadable, or has changed since the group was planned. The state may
        have learnt a part of the group by then.
    """
    try:
        learnt = _learn(file, state, blocks, horizon, advanced)
    except DataError:
        # A file that is replaced while it is read looks corrupt; this check raises the error that
        # says so. Other errors and interrupts are not about the lake, and pass.
        check_unchanged(group.partitions, lake.files, lake.check)
        raise
    # A file that is replaced while it is read may also give rows of both contents unnoticed.
    check_unchanged(group.partitions, lake.files, lake.check)
    return learnt


def _learn(
    file: ModelFile,
    state: ModelState,
    blocks: Iterator[Streamed],
    horizon: tuple[int, int],
    advanced: Callable[[int], None],
) -> Learnt:
    is_careful, counts = file.start == "careful", Counter[str]()
    metrics, stretches = file.metrics(), Stretches(file.metrics)
    state.learner.horizon(*map(file.taken_rows, horizon))
    state.learner.partition_begins()
    if file.job.selection is not None:
        blocks = joined_blocks(blocks, file.batch_rows)
    for streamed in blocks:
        block = streamed.encoded.block
        # A line search shortens a step that overflows; other learners raise Diverged.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            predictions = state.learn(streamed.encoded, streamed.held_out)
            # The sums of older models are added up block by block, to the last bit.
            to = stretches if is_careful else metrics
            to.add(*judged(predictions, block, file.job.loss), block.weight)
        counts.update(streamed.encoded.counts)
        not_taken = sum(streamed.encoded.counts[kind] for kind in NOT_TAKEN)
        advanced(block.n_rows + not_taken)
    if is_careful:
        return Learnt(stretches.whole(), stretches, counts)
    return Learnt(metrics, Stretches(file.metrics, [metrics]), counts)
