"""Which files of a table a decision leaves out, and which of earlier plans still are.

A decision goes from the files of a version to older files in their place. So a file that is left
out may stand behind another one that is, and only the foremost of them counts: a table that changes
the same rows twice has one file that is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from onepass.ledger.table_mark import FileName


class LeftOut:
    """The files that a decision leaves out.

    Parameters
    ----------
    files
        Files of changed rows that the decision does not train.
    first
        Files with which the decision began.
    instead
        The files that were looked at in the place of each.
    present
        Files that the version has, or that one of the commits before it has brought.
    known
        Files that earlier plans have left out, and that still were before the decision.
    """

    def __init__(
        self,
        files: Iterable[FileName],
        *,
        first: Iterable[FileName],
        instead: Mapping[FileName, Collection[FileName]],
        present: Collection[FileName],
        known: Collection[FileName],
    ) -> None:
        self._files, self._first, self._instead = list(files), first, instead
        self._present, self._known = present, known
        self._in_place_of: defaultdict[FileName, list[FileName]] = defaultdict(list)
        for name, others in instead.items():
            for one in others:
                self._in_place_of[one].append(name)
        self.told = self._told()
        """Files that no earlier plan has left out, or that were trained or gone since."""
        still = self._foremost()
        self.new = self.told & still
        """Those of them that count."""
        self.over = set(known) - still
        """Files of earlier plans that are no longer left out: they are trained, or gone, or another
        file that is left out has their rows."""

    def _told(self) -> set[FileName]:
        found: set[FileName] = set()
        seen, left = set(self._known), list(self._files)
        while left:
            name = left.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self._present:
                found.add(name)
            else:
                # It is long gone, and its rows have come back in the files that it stands for.
                left += self._in_place_of[name]
        return found

    def _foremost(self) -> set[FileName]:
        """Return the named files with rows that are left out, without those behind another one."""
        has_rows = _reached(self._files, self._in_place_of)
        named = has_rows & {*self._known, *self.told}
        ahead = {name: () if name in named else others for name, others in self._instead.items()}
        return named & _reached(self._first, ahead)


def _reached(
    first: Iterable[FileName], following: Mapping[FileName, Collection[FileName]]
) -> set[FileName]:
    found: set[FileName] = set()
    left = list(first)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += following.get(name, ())
    return found
