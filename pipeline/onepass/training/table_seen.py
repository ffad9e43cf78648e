"""What commits of a table have done to its files, whatever a model has learnt of these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain

from onepass.lake.tables.table import Commit
from onepass.ledger.table_mark import Exchange, FileName
from onepass.training.table_commits import Settled, exchanged, has_same_rows, is_return
from onepass.training.table_lineage import Lineage


class SeenCommits:
    """Adds commits to a lineage, and notes which of them brought and removed which files.

    Parameters
    ----------
    commits
        The commits since a version that a model has settled, oldest first.
    active
        Files of the version after the last commit.
    lineage
        The steps of the commits before, to which those of these are added.
    settled
        What the model has settled before the commits.
    """

    def __init__(
        self,
        commits: Sequence[Commit],
        active: Iterable[FileName],
        lineage: Lineage,
        settled: Settled,
    ) -> None:
        self.commits = commits
        self.exchanges: list[Exchange] = []
        """What the commits have removed, and what they wrote from it."""
        self.brought: dict[FileName, Commit] = {}
        """The last commit that added each file."""
        self.removed: dict[FileName, Commit] = {}
        """The last commit that removed each file."""
        self.without_rows: list[FileName] = []
        """Removed files that have no row."""
        self._lineage = lineage
        self._settled = {*settled.waiting, *settled.planned, *settled.files}
        self._written: dict[int, tuple[FileName, ...]] = {}
        self._exchanged = {id(one): exchanged(one) for one in commits}
        self.before = self._before(active)
        """Files of the version before the commits."""
        for commit in commits:
            self._take(commit)
        self.written = {one for names in self._written.values() for one in names}
        """Files that are in no version before the commits."""
        self._places: dict[FileName, int] = {}
        files = (names for one in self._exchanged.values() for names in one[::-1])
        for name in chain(settled.waiting, *files):
            self._places.setdefault(name, len(self._places))

    def removed_by(self, commit: Commit) -> Collection[FileName]:
        """Return the files that a commit removed."""
        return self._exchanged[id(commit)][0].keys()

    def written_by(self, commit: Commit) -> tuple[FileName, ...]:
        """Return the files of a commit that are in no version before it, as far as is known."""
        return self._written[id(commit)]

    def in_order(self, names: Iterable[FileName]) -> list[FileName]:
        """Return files in the order in which the table got them, as far as it can tell."""
        return sorted(names, key=lambda one: (self._places.get(one, -1), one[0]))

    def _before(self, active: Iterable[FileName]) -> set[FileName]:
        found = set(active)
        for commit in reversed(self.commits):
            removed, added = self._exchanged[id(commit)]
            found -= added.keys()
            found |= removed.keys()
        return found

    def _take(self, commit: Commit) -> None:
        removed, added = self._exchanged[id(commit)]
        known = self._lineage.known
        fresh = [one for one in added if one not in known and one not in self._settled]
        self.brought |= dict.fromkeys(added, commit)
        self.removed |= dict.fromkeys(removed, commit)
        self.without_rows += [name for name, file in removed.items() if file.rows == 0]
        self._written[id(commit)] = tuple(fresh)
        if is_return(commit) and fresh:
            gone = [*removed, *self._lost()]
            self._note(Exchange(removed=gone, added=list(added), returned=True))
        elif removed:
            same_rows = has_same_rows(commit) and _is_all(fresh, added)
            self._note(Exchange(removed=list(removed), added=fresh, same_rows=same_rows))
        known.update(added)

    def _note(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._lineage.take(exchange)

    def _lost(self) -> list[FileName]:
        """Return settled files that the table had lost before the first known commit."""
        lost = self._settled - self.before - self._lineage.known
        return sorted(lost, key=lambda one: (one[0], one[1] or ""))


def _is_all(fresh: Collection[FileName], added: Collection[FileName]) -> bool:
    return bool(fresh) and len(fresh) == len(added)
