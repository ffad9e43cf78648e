"""What the commits of a table have changed since the version that a model has settled.

A table replaces files by others, so what is new does not follow from the names of its files. This
module goes through the commits one by one, and decides for each file what its rows are:

- *settled*: they are trained or left out, under this name or another;
- *planned*: they wait in an unfinished plan, and none of them is trained;
- *new*: nothing of them is trained or planned, so they are to be.

A file is named by its key and the identity of its deleted rows. The module reads no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from onepass.lake.tables.table import Commit, FileOfTable
from onepass.ledger.table_mark import FileName
from onepass.text import counted
from onepass.training.table_commits import Change, Settled, exchanged, is_return, named, reached


class TableChanges:
    """Folds the commits of a table, oldest first, with what a model has settled.

    Parameters
    ----------
    settled
        What the model has settled as of the first of the commits.
    retrains
        Whether to train the files of commits that change settled rows. Otherwise they are left out.
    """

    def __init__(self, settled: Settled, *, retrains: bool) -> None:
        self._files, self._planned = settled.files, settled.planned
        self._untrained, self._retrains = settled.left_out, retrains
        self.rewritten: dict[FileName, Commit] = {}
        """Files whose rows are those of the files that they were written from."""
        self.left_out: dict[FileName, Commit] = {}
        """Files of commits that changed settled rows, which are not trained."""
        self.past: dict[FileName, Commit | None] = dict.fromkeys(settled.past)
        """New files that a commit has merged with others: they are read as they were."""
        self.superseded: dict[FileName, Commit] = {}
        """Planned files that others have replaced before anything of them was trained."""
        self.changes: list[Change] = []
        """Commits that have removed or changed settled rows, oldest first."""
        self.rewrites: list[str] = []
        """One line for each commit that rewrote settled or planned rows."""
        self._added: dict[FileName, None] = dict.fromkeys([*settled.past, *settled.waiting])
        self._unsettled: set[FileName] = set()
        self._roots_of: dict[FileName, list[FileName]] = {}
        self._sources: dict[FileName, tuple[FileName, ...]] = {}
        self._targets: dict[FileName, tuple[FileName, ...]] = {}

    def take(self, commit: Commit) -> None:
        """Take the next commit."""
        removed, added = exchanged(commit)
        self._reinstate(added)
        # A file that comes back is no news: all its rows are new, as they were before.
        unknown = [one for one in added if self._is_new(one) and one not in self._added]
        self._trace(removed, added, unknown)
        if self._is_rewrite(commit) and not all(map(self._is_new, removed)):
            self._rewrite(commit, removed, added, unknown)
        elif any(map(self._is_settled, removed)) or self._may_repeat(commit, unknown):
            self._change(commit, removed, added, unknown)
        else:
            self._supersede(commit, removed)
            self._added |= dict.fromkeys(unknown)
        self._reinstate(added)
        self._return(commit, added)

    def new(self, active: Collection[FileName]) -> list[FileName]:
        """Return the files to train, in the order in which the table got them.

        Parameters
        ----------
        active
            Files of the version after the last commit. The others are files of the past.
        """
        new = filter(self._is_new, self._added)
        return [one for one in new if one in active or one in self.past]

    def replaced(self, active: Collection[FileName]) -> list[FileName]:
        """Return the new files whose rows are in files that took their place."""
        new = [
            one
            for one, to in self._targets.items()
            if to and self._is_new(one) and one not in active and one not in self.past
        ]
        written = {*filter(self._is_superseded, self.rewritten)} - {*self.new(active)}
        return [*new, *(one for one in self.rewritten if one in written)]

    def same_rows(self) -> list[FileName]:
        """Return the files whose rows are settled by the files that they were written from."""
        return [one for one in self.rewritten if not self._is_superseded(one)]

    def _is_superseded(self, name: FileName) -> bool:
        return name in self._unsettled or any(
            root in self.superseded for root in self._roots_of[name]
        )

    def true_changes(self, active: Collection[FileName]) -> list[Change]:
        """Return the changes that no later commit has taken back, as a RESTORE does."""
        return [
            change
            for change in self.changes
            if not all(self._is_back(one, active) for one in change.changed)
            or (not change.changed and any(one in active for one in change.added))
        ]

    def leave_out(self, name: FileName) -> None:
        """Leave a file of the past out, because the store no longer has it."""
        del self.past[name]

    def train_whole(self, name: FileName, active: Collection[FileName]) -> None:
        """Take the files that have the rows of a lost file of the past for new."""
        del self.past[name]
        for one in self._descendants(name):
            if one in active and one not in self._files:
                self.rewritten.pop(one, None)
                self.left_out.pop(one, None)
                self._added[one] = None

    def _trace(
        self,
        removed: Iterable[FileName],
        added: Collection[FileName],
        unknown: Iterable[FileName],
    ) -> None:
        """Note from which files a commit wrote which."""
        for name in unknown:
            self._sources[name] = tuple(removed)
        for name in removed:
            self._targets[name] = tuple(added)

    def _is_rewrite(self, commit: Commit) -> bool:
        # A RESTORE may call itself a commit without new data, but the rows are others after it.
        return commit.is_rewrite and not is_return(commit)

    def _may_repeat(self, commit: Commit, unknown: list[FileName]) -> bool:
        """Return whether a commit brings files back that may have rows of settled ones.

        They are older than the commits that this object has seen.
        """
        return is_return(commit) and bool(unknown) and bool(self._files)

    def _rewrite(
        self,
        commit: Commit,
        removed: dict[FileName, FileOfTable],
        added: Collection[FileName],
        unknown: list[FileName],
    ) -> None:
        new = self._keep(commit, removed, added)
        roots: dict[FileName, None] = {}
        if all(map(self._is_planned, removed)):
            roots = {root: None for one in removed for root in self._roots(one)}
        for name in unknown:
            self.rewritten[name] = commit
            self._roots_of[name] = list(roots)
        if unknown:
            text = f"{named(commit)}: {counted(len(removed), 'file')} rewritten"
            rest = f"{len(new):,} of them not trained yet, which are read as they were"
            self.rewrites.append(f"{text}, {rest if new else 'nothing to train'}")

    def _change(
        self,
        commit: Commit,
        removed: dict[FileName, FileOfTable],
        added: Collection[FileName],
        unknown: list[FileName],
    ) -> None:
        settled = [one for one in removed if self._is_settled(one)]
        if all(one in self.left_out or one in self._untrained for one in settled) and not unknown:
            # A RESTORE takes back what was left out.
            return
        self.changes.append(Change(commit, tuple(settled), tuple(unknown)))
        if self._retrains:
            self._forget_past(removed)
            self._supersede(commit, removed)
            self._added |= dict.fromkeys(unknown)
            return
        before = {name[0]: name for name in removed}
        if unknown and all(name[0] in before for name in unknown):
            self._shrink(commit, before, unknown)
            return
        # The commit does not tell which of the removed rows the new files have.
        self._keep(commit, removed, added)
        self.left_out |= dict.fromkeys(unknown, commit)

    def _keep(
        self, commit: Commit, removed: dict[FileName, FileOfTable], added: Collection[FileName]
    ) -> list[FileName]:
        """Read the new files that a commit removes as they were; return them."""
        new = [
            name
            for name, file in removed.items()
            if self._is_new(name)
            and file.rows != 0
            # Their rows come back in the files that they were written from.
            and not any(one in added for one in reached(name, self._sources_of))
        ]
        self.past |= dict.fromkeys(new, commit)
        self._added |= {one: None for one in new if one not in self._added}
        return new

    def _forget_past(self, removed: Iterable[FileName]) -> None:
        """Do not read files as they were if all of what was written from them is trained."""
        merged: dict[FileName, None] = {}
        for name in removed:
            found = [name, *self._ancestors(name)]
            if past := {one: None for one in found if one in self.past}:
                merged |= past
                self._unsettled.update(one for one in found if one in self.rewritten)
        for one in merged:
            if not any(map(self._is_kept, self._descendants(one))):
                del self.past[one]

    def _is_kept(self, name: FileName) -> bool:
        is_known = name in self.rewritten and name not in self._unsettled
        return is_known and name not in self._targets

    def _shrink(self, commit: Commit, before: dict[str, FileName], unknown: list[FileName]) -> None:
        """Take files of which only rows were deleted: each has rows of its own past alone."""
        for name in unknown:
            was = before[name[0]]
            if self._is_settled(was):
                self.left_out[name] = commit
            else:
                self._supersede(commit, [was])
                self._added[name] = None

    def _supersede(self, commit: Commit, removed: Iterable[FileName]) -> None:
        planned = [one for one in removed if self._is_planned(one)]
        for name in planned:
            self.superseded |= dict.fromkeys(self._roots(name), commit)
        # A compaction writes several files, and does not tell which has the rows of which. So all
        # of them are new, in the place of all the files that they were written from.
        while planned and (found := [*filter(self._is_orphaned, self.rewritten)]):
            for name in found:
                self.superseded |= dict.fromkeys(self._roots_of[name], commit)
                self._added[name] = None

    def _is_orphaned(self, name: FileName) -> bool:
        left = [root not in self.superseded for root in self._roots_of[name]]
        return not all(left) and (any(left) or name not in self._added)

    def _reinstate(self, added: Iterable[FileName]) -> None:
        """Plan files again that a commit brings back."""
        for name in added:
            for root in self._roots_of.get(name, [name]):
                self.superseded.pop(root, None)

    def _return(self, commit: Commit, added: Iterable[FileName]) -> None:
        """Undo what was noted of files that a commit brings back."""
        for name in added:
            self.past.pop(name, None)
            if not self._is_settled(name):
                # What was written from it has no rows any more that it does not have.
                for one in self._descendants(name):
                    self.past.pop(one, None)
            if name in self.rewritten:
                lost = [one for one in self._sources[name] if self._is_new(one)]
                self.past |= dict.fromkeys(lost, commit)

    def _is_new(self, name: FileName) -> bool:
        return not self._is_settled(name) and not self._is_planned(name)

    def _is_settled(self, name: FileName) -> bool:
        if name in self._files or name in self.left_out:
            return True
        return name in self.rewritten and self._planned.isdisjoint(self._roots_of[name])

    def _is_planned(self, name: FileName) -> bool:
        roots = self._roots(name)
        return bool(roots) and all(one in self._planned for one in roots)

    def _roots(self, name: FileName) -> list[FileName]:
        """Return the planned files that a file is, or was rewritten from; none if it is settled."""
        roots = self._roots_of.get(name, [name])
        return [one for one in roots if one not in self.superseded]

    def _is_back(self, name: FileName, active: Collection[FileName]) -> bool:
        """Return whether a version has a file, or all files that it was rewritten from."""
        if name in active:
            return True
        found = self._ancestors(name)
        leaves = [one for one in found if one not in self.rewritten]
        return bool(leaves) and all(one in active for one in leaves)

    def _ancestors(self, name: FileName) -> list[FileName]:
        """Return the files that a file was rewritten from, and those that these were."""
        return reached(name, lambda one: self._sources[one] if one in self.rewritten else ())

    def _sources_of(self, name: FileName) -> tuple[FileName, ...]:
        return self._sources.get(name, ())

    def _descendants(self, name: FileName) -> list[FileName]:
        """Return the files that commits have put in the place of a file, and of those."""
        return reached(name, lambda one: self._targets.get(one, ()))
