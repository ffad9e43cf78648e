"""Where the groups of one model are read from, and how: its lake, its settings, its memory."""

from __future__ import annotations

from onepass.encode.encoder import Encoder
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.lake.tables.open import open_lake
from onepass.lake.tables.table import Table
from onepass.ledger.table_mark import file_of
from onepass.model.file import ModelFile
from onepass.model.memory import fit_shares, whole_bytes
from onepass.model.table_choice import trained_choice
from onepass.partition import Group, Partition
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.reading import Reading
from onepass.stream.sources import Files, past_key
from onepass.stream.workers import Workers
from onepass.training.learnt_rows import LearntRows
from onepass.training.progress import Progress
from onepass.training.table_news import name_of


class GroupLearner:
    """The lake of one model, and the settings by which its groups of partitions are read.

    `onepass.training.groups` reads them with it, and learns them.

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
        self.file, self.job, self.workers, self.progress = file, job, workers, progress
        self.rows = LearntRows(progress)
        """Receives the rows that are learnt."""
        self.selection = file.job.selection
        self.check = ColumnCheck(file.encoder, label=True, selection=self.selection)
        self.reading = Reading(
            Encoder(file.encoder, drop_null_label=file.job.on_null_label == "drop"),
            batch_rows=file.batch_rows,
            seed=file.job.seed if file.job.order == "shuffled" else None,
            holds_out=file.job.has_candidates,
            whole_bytes=whole_bytes(job, file.encoder, file.batch_rows),
            spread_bytes=file.spread_bytes,
            counted=file.counted,
            selection=self.selection,
            limits=limits,
        )
        self.share_memory = fit_shares(job, file.encoder, file.batch_rows, workers.n_threads_each)
        """Shares of a round in one process at the same time, and `Reading.whole_bytes` of each."""
        self._choice = trained_choice(job)
        self._files: dict[str, LakeFile] | None = None
        self._past: dict[str, LakeFile | None] = {}
        self.table: Table | None = None
        """The table of the lake, as of the version that was listed last; None for plain files."""

    @property
    def is_on_cluster(self) -> bool:
        """Whether groups are read, and the shares of rounds learnt, by other processes."""
        return self.workers.is_cluster

    @property
    def files(self) -> dict[str, LakeFile]:
        """Files of the lake by key, as they were when the lake was listed last."""
        return self._files if self._files is not None else self.list_lake()

    def list_lake(self) -> dict[str, LakeFile]:
        """List the lake again, and return its files by key.

        Raises
        ------
        JobError, EmptyLake, StoreError
            If `open_lake` raises it, or a worker does not see the files.
        """
        found = open_lake(self.job.lake, self._choice)
        self.workers.see(found.files)
        return self._take({file.key: file for file in found.files}, found.table)

    def share_lake(self, other: GroupLearner) -> dict[str, LakeFile]:
        """Take the files of the same lake as another learner has listed them."""
        return self._take(other.files, other.table)

    def _take(self, files: dict[str, LakeFile], table: Table | None) -> dict[str, LakeFile]:
        self._files, self.table, self._past = files, table, {}
        return files

    def files_of(self, group: Group) -> Files:
        """Return the files of a group's partitions; a file that is gone is not among them.

        A table may have replaced a planned file. It is read as it was, while it is in the store.
        """
        found: dict[str, LakeFile] = {}
        for partition in group.partitions:
            file = self.file_of(partition)
            if file is not None:
                key = partition.path if file is self.files.get(partition.path) else None
                found[key or past_key(partition)] = file
        return found

    def file_of(self, partition: Partition) -> LakeFile | None:
        """Return the file of a partition; None if it is gone."""
        file, name = self.files.get(partition.path), file_of(partition)
        if self.table is None or (file is not None and name_of(file) == name):
            return file
        key = past_key(partition)
        if key not in self._past:
            self._past[key] = self.table.file(*name)
        return self._past[key] or file

    def forget_lake(self) -> None:
        """Forget the files of the lake; they are listed again when they are needed."""
        self._files = None
