"""Read a group of partitions and learn it, in training and when a lost state is relearnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from onepass.encode.encoder import Encoder
from onepass.errors import DataError
from onepass.job import Job
from onepass.lake.discover import LakeFile, discover
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.learn.metrics import Metrics, Stretches
from onepass.model.file import ModelFile
from onepass.model.memory import whole_bytes
from onepass.model.state import ModelState
from onepass.partition import Group
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.reading import Reading, Streamed, as_is
from onepass.stream.sources import check_unchanged, open_sources
from onepass.stream.stream import ReadGroup, stream
from onepass.stream.workers import Workers
from onepass.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Learnt:
    """Measurements of a group while it was learnt."""

    metrics: Metrics
    """Progressive metrics: each row is predicted before it is learnt."""
    stretches: Stretches
    """The same by stretches of rows, for metrics of the last ones."""
    counts: Counter[str]
    """Dropped rows and treated values by kind."""


class GroupLearner:
    """Reads groups of partitions from a lake by the settings of one model, and learns them.

    Parameters
    ----------
    file
        Frozen decisions of the model.
    job
        Job of this run, which says where the lake is and how much memory may be used.
    """

    def __init__(
        self,
        file: ModelFile,
        job: Job,
        workers: Workers,
        progress: Progress,
        *,
        limits: ReadLimits = DEFAULT_LIMITS,
    ) -> None:
        self.file, self.workers, self.progress = file, workers, progress
        self.check = ColumnCheck(file.encoder, label=True)
        self.reading = Reading(
            Encoder(file.encoder, drop_null_label=file.job.on_null_label == "drop"),
            batch_rows=file.batch_rows,
            seed=file.job.seed if file.job.order == "shuffled" else None,
            holds_out=file.job.has_candidates,
            whole_bytes=whole_bytes(job, file.encoder, file.batch_rows),
            spread_bytes=file.spread_bytes,
            limits=limits,
        )
        self._lake = job.lake
        self._files: dict[str, LakeFile] | None = None

    @property
    def files(self) -> dict[str, LakeFile]:
        """Files of the lake by key, as they were when the lake was listed last."""
        return self._files if self._files is not None else self.list_lake()

    def list_lake(self) -> dict[str, LakeFile]:
        """List the lake again, and return its files by key.

        Raises
        ------
        JobError, EmptyLake, StoreError
            If `discover` raises it.
        """
        self._files = {file.key: file for file in discover(self._lake)}
        return self._files

    def blocks_of(
        self, groups: Sequence[Group]
    ) -> AbstractContextManager[Iterator[Iterator[Streamed]]]:
        """Stream the blocks of groups, one iterator for each group; use as a context manager."""
        opened = [
            ReadGroup(partial(open_sources, group.partitions, self.files, self.check), group.epoch)
            for group in groups
        ]
        return closing(stream(opened, self.reading, self.workers, as_is))

    def learn(
        self,
        state: ModelState,
        group: Group,
        blocks: Iterator[Streamed],
        horizon: tuple[int, int],
    ) -> Learnt:
        """Learn a group from its blocks.

        Parameters
        ----------
        state
            Updated in place.
        blocks
            Blocks of the group, of which none has been taken; see `blocks_of`.
        horizon
            Rows learnt before the plan of this group, and rows of the plan; learning rates may
            depend on them.

        Raises
        ------
        BadPartition, ChangedPartition
            If a file is gone or unreadable, or has changed since the group was planned. The state
            may have learnt a part of the group by then.
        """
        try:
            learnt = self._learn_blocks(state, blocks, horizon)
        except DataError:
            # A file that is replaced while it is read looks corrupt; this check raises the error
            # that says so. Other errors and interrupts are not about the lake, and pass.
            check_unchanged(group.partitions, self.files, self.check)
            raise
        # A file that is replaced while it is read may also give rows of both contents unnoticed.
        check_unchanged(group.partitions, self.files, self.check)
        return learnt

    def learn_again(self, state: ModelState, group: Group, horizon: tuple[int, int]) -> Learnt:
        """Read a group and learn it; see `learn`."""
        with self.blocks_of([group]) as blocks_of:
            return self.learn(state, group, next(blocks_of), horizon)

    def _learn_blocks(
        self, state: ModelState, blocks: Iterator[Streamed], horizon: tuple[int, int]
    ) -> Learnt:
        is_careful, counts = self.file.start == "careful", Counter[str]()
        metrics, stretches = self.file.metrics(), Stretches(self.file.metrics)
        state.learner.horizon(*horizon)
        state.learner.partition_begins()
        for streamed in blocks:
            block = streamed.encoded.block
            # A line search shortens a step that overflows; other learners raise Diverged.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                predictions = state.learn(streamed.encoded, streamed.held_out)
                # The sums of older models are added up block by block, to the last bit.
                to = stretches if is_careful else metrics
                to.add(predictions, block.label, block.weight)
            counts.update(streamed.encoded.counts)
            self.progress.advanced(block.n_rows)
        if is_careful:
            return Learnt(stretches.whole(), stretches, counts)
        return Learnt(metrics, Stretches(self.file.metrics, [metrics]), counts)
