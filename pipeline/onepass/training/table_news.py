"""Find what is new in a table since a model has settled it, and what to do with what has changed.

`onepass.training.table_changes` decides by the commits alone. This module gives it what the ledger
knows, looks whether the store still has files of the past, and acts as `Job.on_changed` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onepass.errors import ChangedPartition, HistoryGone, first_line
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.tables.table import Commit, Table
from onepass.ledger.entries import PlanEntry
from onepass.ledger.history import History
from onepass.ledger.table_mark import Exchange, FileName, TableMark
from onepass.text import counted, listed, printable
from onepass.training.known import Known
from onepass.training.table_changes import TableChanges
from onepass.training.table_commits import Settled, named
from onepass.training.table_unchanged import only_added
from onepass.training.table_words import (
    MOST_NAMED,
    another_table,
    changed_rows,
    gone_before,
    told_change,
)


@dataclass(slots=True)
class News:
    """What a table has that a model has not settled."""

    files: list[LakeFile] = field(default_factory=list)
    """Files that may be new, in the order in which the table got them."""
    replanned: set[FileName] = field(default_factory=set)
    """Planned files that are no longer to be trained as they were planned."""
    notes: list[str] = field(default_factory=list)
    """Warnings about what commits have changed."""
    told: list[str] = field(default_factory=list)
    """What commits were that have changed no row."""
    mark: TableMark | None = None
    """What a plan of these files settles, without the files that are held out; None if the table
    is older than what the model has settled."""


def name_of(file: LakeFile) -> FileName:
    """Return the name of a file of a table."""
    deleted = None if file.view is None else file.view.deleted
    return (file.key, None if deleted is None else deleted.identity)


def in_order(table: Table, files: Iterable[LakeFile]) -> list[LakeFile]:
    """Return files in the order in which their table got them, as far as it can tell.

    The files of commits that the table has forgotten come first, by name.
    """
    try:
        commits = table.commits_since(None)
    except HistoryGone:
        return list(files)
    names = [one.identity for commit in commits for one in commit.added]
    places = {name: place for place, name in enumerate(names)}
    return sorted(files, key=lambda one: places.get(name_of(one), -1))


def table_news(
    table: Table, files: Mapping[str, LakeFile], history: History, known: Known, job: Job
) -> News:
    """Find what is new in a table.

    Parameters
    ----------
    files
        Files of the pinned version, by key.

    Raises
    ------
    ChangedPartition
        If a commit has changed trained rows, and the job does not say to skip or retrain them.
    HistoryGone
        If the table no longer tells what is new, and the job does not say what to do then.
    DataError
        If it is another table, or the store lacks a file that must be read as it was.
    """
    return _Finder(table, files, history, known, job).find()


class _Finder:
    """Finds the news of one table."""

    def __init__(
        self,
        table: Table,
        files: Mapping[str, LakeFile],
        history: History,
        known: Known,
        job: Job,
    ) -> None:
        self._table, self._known, self._job = table, known, job
        self._active = {name_of(one): one for one in files.values()}
        self._marks = history.table_marks()
        plans = [one for one in history.line() if isinstance(one, PlanEntry)]
        self._is_fresh = not any(one.groups for one in plans) and not self._marks
        self._news = News()

    def find(self) -> News:
        """Return the news."""
        mark = self._marks[-1] if self._marks else None
        if mark is not None and not mark.is_same_table(self._table.format, self._table.id):
            raise another_table(mark, self._table)
        settled = self._settled(mark)
        if self._is_fresh:
            known = settled.files | settled.planned
            return self._found([one for one in self._active if one not in known])
        try:
            commits = self._table.commits_since(None if mark is None else mark.version)
        except HistoryGone as gone:
            return self._without_history(settled, gone, is_marked=mark is not None)
        if not commits and mark is not None and mark.version != self._table.version:
            self._news.told.append(
                f"{self._table.label} of the table is older than what the model has seen: "
                "nothing is new"
            )
            return self._news
        new = only_added(settled, commits, retrains=self._job.on_changed == "retrain")
        return self._fold(settled, commits) if new is None else self._found(new)

    def _settled(self, mark: TableMark | None) -> Settled:
        planned = self._known.waiting_files()
        files = self._known.settled_files() - planned
        left_out: set[FileName] = set()
        still_left_out: set[FileName] = set()
        exchanges: list[Exchange] = []
        for one in self._marks:
            files.update(one.empty)
            left_out.update(one.left_out)
            still_left_out.difference_update(one.no_longer_left_out)
            still_left_out.update(one.left_out)
            exchanges += one.exchanges
            if not one.exchanges:
                # Marks of older versions hold conclusions, and not what these follow from.
                files.update(one.rewritten)
                left_out.update(one.replaced)
        left_out -= files | planned
        still_left_out &= left_out
        waiting = [] if mark is None else [*mark.past, *mark.waiting]
        rewritten = {name for one in self._marks for name in one.rewritten}
        return Settled(
            files=files,
            left_out=left_out,
            still_left_out=still_left_out,
            planned=planned,
            waiting=waiting,
            exchanges=exchanges,
            rewritten=rewritten,
            is_marked=mark is not None,
        )

    def _is_stored(self, name: FileName) -> bool:
        return self._table.file(*name) is not None

    def _fold(self, settled: Settled, commits: list[Commit]) -> News:
        on_changed, news = self._job.on_changed, self._news
        for commit in commits:
            self._tell_of_quarantine(commit)
        folded = TableChanges(settled, commits, self._active, retrains=on_changed == "retrain")
        changes = folded.changes()
        if changes and on_changed == "error":
            raise changed_rows(changes)
        lost = self._lost(folded)
        if lost and folded.drop_plan():
            lost = self._lost(folded)
        if lost:
            self._give_up(folded, lost)
        news.told += folded.rewrites()
        news.notes += [told_change(one, folded.told_left_out) for one in changes]
        news.replanned.update(folded.superseded)
        if on_changed == "retrain":
            news.replanned |= {
                name for one in changes for name in one.changed if name not in self._active
            }
        return self._found(
            folded.new,
            exchanges=folded.exchanges,
            rewritten=folded.rewritten,
            left_out=folded.left_out,
            no_longer_left_out=folded.no_longer_left_out,
            empty=list(folded.empty),
        )

    def _lost(self, folded: TableChanges) -> list[FileName]:
        return [
            one for one in folded.needed if one not in self._active and not self._is_stored(one)
        ]

    def _tell_of_quarantine(self, commit: Commit) -> None:
        """Warn of files in quarantine that a commit has replaced: nothing can be trained of them.

        Rows that could be read are in the files that took their place, beside trained ones.
        """
        still = {one.key for one in commit.added}
        gone = {one.key for one in commit.removed} & self._known.quarantined.keys() - still
        if gone:
            names = listed([printable(key) for key in sorted(gone)], MOST_NAMED)
            self._news.notes.append(
                f"{named(commit)} replaced {counted(len(gone), 'file')} in quarantine, whose rows "
                f"stay untrained: {names}"
            )

    def _give_up(self, folded: TableChanges, lost: Sequence[FileName]) -> None:
        """Decide what becomes of files that are to be read as they were, and are gone."""
        told = [gone_before(name, folded.remover(name)) for name in lost]
        match self._job.on_changed:
            case "error":
                raise ChangedPartition(
                    f"{told[0]}, and the file is no longer in the store\nTo go on without its "
                    "rows, choose --on-changed skip; to learn the merged files whole, trained rows "
                    "included, --on-changed retrain.",
                    path=lost[0][0],
                )
            case "skip":
                folded.leave_out(lost)
                then = "its rows are left out"
            case "retrain":
                folded.train_whole(lost)
                then = "the merged files are trained whole"
        self._news.notes += [f"{what}, and the file is gone: {then}" for what in told]

    def _without_history(self, settled: Settled, gone: HistoryGone, *, is_marked: bool) -> News:
        """Decide what is new by the names of the files alone."""
        known = settled.files | settled.planned
        unknown = [one for one in self._active if one not in known]
        files = counted(len(unknown), "file")
        if is_marked and self._job.on_changed == "error":
            raise HistoryGone(
                f"{first_line(gone)}\nIt has {files} that the model does not know, which may be "
                "new, or rows that are trained and were rewritten. --on-changed skip leaves them "
                "out and goes on from here, --on-changed retrain trains all of them."
            )
        if is_marked and self._job.on_changed == "skip":
            self._news.notes.append(f"{first_line(gone)}: {files} left out")
            still = settled.still_left_out
            return self._found(
                [],
                left_out=[one for one in unknown if one not in still],
                no_longer_left_out=[one for one in sorted(still) if one not in self._active],
            )
        self._news.notes.append(
            f"{first_line(gone)}: {files} that the model does not know by name are taken for new"
        )
        return self._found(unknown, no_longer_left_out=sorted(settled.still_left_out))

    def _found(self, new: list[FileName], **said: Any) -> News:
        """Return the news with these new files, and what else their mark says."""
        table, again = self._table, self._in_quarantine()
        self._news.files = [self._file(one) for one in dict.fromkeys([*new, *again])]
        self._news.mark = TableMark(format=table.format, id=table.id, version=table.version, **said)
        return self._news

    def _in_quarantine(self) -> list[FileName]:
        """Return the files in quarantine, which are looked at again."""
        return [one for one in self._active if one[0] in self._known.quarantined]

    def _file(self, name: FileName) -> LakeFile:
        found = self._active.get(name) or self._table.file(*name)
        assert found is not None
        return found
