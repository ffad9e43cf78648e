"""Read groups of partitions once, and learn them with one model or with several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import partial

from onepass.lake.rotation import Source
from onepass.model.memory import fit_shares, whole_bytes
from onepass.model.state import ModelState
from onepass.partition import Group
from onepass.stream.reading import Beside, Reading, Streamed, as_is
from onepass.stream.sources import Files, open_sources
from onepass.stream.stream import ReadGroup, stream
from onepass.training.learn_group import GroupLearner
from onepass.training.learnt import Lake, Learning, Learnt, learn_blocks


@dataclass(frozen=True, slots=True)
class Pupil:
    """A model that learns groups."""

    learner: GroupLearner
    state: ModelState
    """Updated in place."""
    horizon: tuple[int, int]
    """See `Learning`."""

    def learning(self) -> Learning:
        """Begin to learn a group."""
        learner = self.learner
        return Learning(learner.file, self.state, self.horizon, learner.rows.advanced)


class Groups:
    """Reads groups of partitions for models that read the same blocks.

    Parameters
    ----------
    learners
        Of one model, or of several that `read_alike`. The first one has listed the lake.
    """

    def __init__(self, learners: Sequence[GroupLearner]) -> None:
        first, *others = self.learners = list(learners)
        self.workers = first.workers
        self.reading = first.reading
        self.share_memory = first.share_memory
        """See `GroupLearner.share_memory`."""
        if others:
            # All blocks and all learners are in memory at the same time.
            models = [(one.job, one.file.encoder) for one in others]
            own = (first.job, first.file.encoder, first.file.batch_rows)
            self.share_memory = fit_shares(*own, self.workers.n_threads_each, models)
            self.reading = replace(
                first.reading,
                whole_bytes=whole_bytes(*own, models),
                beside=tuple(_beside(one.reading, first.reading) for one in others),
            )

    def blocks_of(
        self, groups: Sequence[Group]
    ) -> AbstractContextManager[Iterator[Iterator[Streamed]]]:
        """Stream the blocks of groups, one iterator for each group; use as a context manager."""
        opened = [ReadGroup(partial(self._open, group), group.epoch) for group in groups]
        return closing(stream(opened, self.reading, self.workers, as_is))

    def learn(
        self, pupils: Sequence[Pupil], group: Group, blocks: Iterator[Streamed]
    ) -> list[Learnt]:
        """Learn a group from its blocks; see `learn_blocks`.

        Parameters
        ----------
        pupils
            The models of the learners, in the same order.
        """
        first = self.learners[0]
        lake = Lake(first.files_of(group), first.check)
        return learn_blocks([one.learning() for one in pupils], group, blocks, lake)

    def files_of(self, group: Group) -> Files:
        """Return the files of a group's partitions; see `GroupLearner.files_of`."""
        return self.learners[0].files_of(group)

    def _open(self, group: Group) -> Sequence[Source]:
        checks = [one.check for one in self.learners]
        return open_sources(group.partitions, self.files_of(group), checks)


def _beside(own: Reading, first: Reading) -> Beside:
    is_alike = first.encoder.is_like(own.encoder)
    return Beside(own.encoder, holds_out=own.holds_out, is_alike=is_alike)


def learn_again(pupil: Pupil, group: Group) -> Learnt:
    """Read a group and learn it; see `learn_blocks`."""
    groups = Groups([pupil.learner])
    with groups.blocks_of([group]) as blocks_of:
        (learnt,) = groups.learn([pupil], group, next(blocks_of))
        return learnt


def read_alike(one: GroupLearner, other: GroupLearner) -> bool:
    """Return whether two models of one lake read the same blocks, apart from the columns."""
    return _cut(one) == _cut(other)


def _cut(learner: GroupLearner) -> tuple[object, ...]:
    """Return all that decides which rows are in which block."""
    reading, job = learner.reading, learner.job
    return (
        (job.lake, job.as_files, job.lake_version, job.lake_timestamp),
        _common(reading),
        reading.selection,
        reading.encoder.schema.int96,
        {*reading.columns(), *reading.counted.names},
        {*reading.text_names(), *reading.counted.texts},
    )


def _common(reading: Reading) -> tuple[object, ...]:
    return (reading.batch_rows, reading.seed, reading.spread_bytes, reading.limits)
