"""What the commits of a table have changed since the version that a model has settled.

A table replaces files by others, so what is new does not follow from the names of its files. This
module adds the commits to the lineage of the files, lets `onepass.training.table_decision` decide
by it, and says what was decided. What an earlier plan has concluded does not count, only what is
trained. A file is named by its key and the identity of its deleted rows. The module reads no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from onepass.lake.tables.table import Commit
from onepass.ledger.table_mark import FileName
from onepass.text import counted
from onepass.training.table_commits import Change, Settled, has_same_rows, named
from onepass.training.table_decision import Decision
from onepass.training.table_left_out import LeftOut
from onepass.training.table_lineage import Lineage, Rows, SettledRows
from onepass.training.table_seen import SeenCommits


class TableChanges:
    """Decides which files are to be trained, so that each row of a version is settled once.

    Parameters
    ----------
    settled
        What the model has settled as of the first of the commits.
    commits
        The commits since then, oldest first.
    active
        Files of the version after the last commit.
    retrains
        Whether to train the files of commits that change settled rows. Otherwise they are left out.
    """

    def __init__(
        self,
        settled: Settled,
        commits: Sequence[Commit],
        active: Collection[FileName],
        *,
        retrains: bool,
    ) -> None:
        self._active, self._retrains = active, retrains
        self._files, self._planned = set(settled.files), set(settled.planned)
        self._waiting, self._once_left_out = settled.waiting, settled.left_out
        self._still_left_out = settled.still_left_out
        self._lineage = Lineage(settled.exchanges)
        self._lineage.unknown |= settled.left_out - self._lineage.birth.keys()
        self._seen = SeenCommits(commits, active, self._lineage, settled)
        self.exchanges = self._seen.exchanges
        self.empty: dict[FileName, None] = {}
        """Files without a row to learn that a commit has touched."""
        self._whole: set[FileName] = set()
        self._keeps_plan = True
        self._empty(self._seen.without_rows)
        if settled.is_marked:
            self._rows = SettledRows(self._lineage, self._files | self._planned)
            self._empty(self._never_planned(settled.rewritten))
        self._decide()

    @property
    def new(self) -> list[FileName]:
        """Files to train that are not planned yet, in the order in which the table got them.

        Those that the version does not have are read as they were.
        """
        return [one for one in self._seen.in_order(self._needed) if one not in self._planned]

    @property
    def needed(self) -> Collection[FileName]:
        """Files to train, planned ones included."""
        return self._needed.keys()

    @property
    def superseded(self) -> list[FileName]:
        """Planned files that are not to be trained any more: others have their rows."""
        return [one for one in self._planned if one not in self._needed]

    @property
    def rewritten(self) -> list[FileName]:
        """Files that the commits have written whose rows are settled or planned as they were."""
        return [
            name
            for step in self._lineage.steps
            for name in step.added
            if step.same_rows and name in self._seen.written and name not in self._needed
            if name in self._active or self._is_touched(name)
        ]

    @property
    def left_out(self) -> list[FileName]:
        """Files that are left out from now on, in the order in which the table got them."""
        return self._seen.in_order(self._left_out.new)

    @property
    def no_longer_left_out(self) -> list[FileName]:
        """Files that earlier plans have left out, and that no longer are."""
        return self._seen.in_order(self._left_out.over)

    @property
    def told_left_out(self) -> list[FileName]:
        """Files that commits have brought or changed and that are not trained, also if later ones
        have changed them again."""
        return self._seen.in_order(self._left_out.told)

    def changes(self) -> list[Change]:
        """Return the commits that have removed or changed settled rows, oldest first.

        A change that a later commit has taken back, as a RESTORE does, is none.
        """
        found = [one for commit in self._seen.commits for one in self._changes_of(commit)]
        told = {name for one in found for name in one.added}
        for name in self.told_left_out:
            if name not in told and name in self._seen.brought:
                found.append(Change(self._seen.brought[name], (), (name,)))
        return found

    def rewrites(self) -> list[str]:
        """Return one line for each commit that rewrote settled or planned rows."""
        found = []
        for commit in filter(has_same_rows, self._seen.commits):
            removed = self._seen.removed_by(commit)
            if all(one in self._needed for one in self._seen.written_by(commit)):
                continue
            past = [one for one in removed if one in self._needed and one not in self._planned]
            if len(past) < len(removed):
                text = f"{named(commit)}: {counted(len(removed), 'file')} rewritten"
                rest = f"{len(past):,} of them not trained yet, which are read as they were"
                found.append(f"{text}, {rest if past else 'nothing to train'}")
        return found

    def remover(self, name: FileName) -> Commit | None:
        """Return the last of the commits that removed a file; None if an earlier one did."""
        return self._seen.removed.get(name)

    def drop_plan(self) -> bool:
        """Train what planned files were rewritten to in their place; return whether any were."""
        had, self._keeps_plan = self._keeps_plan, False
        before = self._needed
        self._decide()
        return had and before != self._needed

    def leave_out(self, names: Iterable[FileName]) -> None:
        """Leave files of the past out, because the store no longer has them."""
        self._empty(names)
        self._decide()

    def train_whole(self, names: Sequence[FileName]) -> None:
        """Train the files that have the rows of lost files of the past, settled rows included."""
        found = set(self._lineage.descendants(names))
        self._whole.update(found.intersection(self._active) - self._files)
        self.leave_out(names)

    def _never_planned(self, rewritten: Collection[FileName]) -> list[FileName]:
        """Return the files of the version before the commits that have no row to learn.

        All of that version that could be trained was trained, planned or held out.
        """
        settled = self._files.union(self._planned, self._waiting, rewritten)
        return [
            one
            for one in self._seen.before
            if one in self._lineage.known and one not in settled and not self._is_touched(one)
        ]

    def _empty(self, names: Iterable[FileName]) -> None:
        found = dict.fromkeys(names)
        self.empty |= found
        self._files |= found.keys()

    def _decide(self) -> None:
        """Find the files that are needed to settle each row of the version."""
        found = Decision(
            self._lineage,
            self._active,
            files=self._files,
            planned=self._planned,
            waiting=self._waiting,
            whole=self._whole,
            keeps_plan=self._keeps_plan,
            retrains=self._retrains,
        )
        self._needed, self._rows = found.needed, found.rows
        self._left_out = LeftOut(
            found.left_out,
            first=found.first,
            instead=found.instead,
            present={*self._active, *self._seen.brought},
            known=self._still_left_out,
        )

    # -- what is told ----------------------------------------------------------------------------

    def _changes_of(self, commit: Commit) -> list[Change]:
        if has_same_rows(commit):
            return []
        removed = self._seen.removed_by(commit)
        changed = tuple(one for one in removed if one not in self.empty and self._is_touched(one))
        written = self._seen.written_by(commit)
        if not changed and not any(map(self._is_guessed, written)):
            return []
        if not written and all(map(self._was_left_out, changed)):
            # A RESTORE takes back what was left out.
            return []
        is_back = all(map(self._is_back, changed))
        if is_back and (changed or not any(one in self._active for one in written)):
            return []
        return [Change(commit, changed, written)]

    def _is_touched(self, name: FileName) -> bool:
        return name in self._files or self._rows.of(name) is not Rows.NONE

    def _is_guessed(self, name: FileName) -> bool:
        birth = self._lineage.birth.get(name)
        is_guess = name in self._lineage.unknown if birth is None else birth.is_guess
        return is_guess and self._rows.of(name) is not Rows.NONE

    def _was_left_out(self, name: FileName) -> bool:
        birth = self._lineage.birth.get(name)
        is_changed = birth is not None and not birth.same_rows
        return name not in self._files and (is_changed or name in self._once_left_out)

    def _is_back(self, name: FileName) -> bool:
        """Return whether the version has a file, or all files that it was rewritten from."""
        return name in self._active or all(
            one in self._active for one in self._lineage.origins(name)
        )
