"""Decide which files of a table are to be trained, so that each row of a version is settled once.

The decision goes from each file of that version back to files of which nothing is settled, through
the steps in which files were written from others (see `onepass.training.table_lineage`):

- a file of which all rows are settled needs nothing;
- one of which nothing is settled is trained;
- one of which some rows are settled is rewritten from files that are looked at in its place, or a
  commit has changed it, and then `Job.on_changed` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from onepass.ledger.table_mark import FileName
from onepass.training.table_lineage import Lineage, Rows, SettledRows, Step
from onepass.training.table_planned import Unchanged


class Decision:
    """The files that are needed, and those that are left out.

    Parameters
    ----------
    lineage
        The steps in which files were written.
    active
        Files of the version.
    files
        Files of which anything is trained, and those of which nothing is to be.
    planned
        Files of an unfinished plan of which nothing has been trained.
    waiting
        Files that are held out.
    whole
        Files to train whole, settled rows included.
    keeps_plan
        Whether planned files are trained in the place of those to which they were rewritten.
    retrains
        Whether to train the files of commits that change settled rows. Otherwise they are left out.
    """

    def __init__(
        self,
        lineage: Lineage,
        active: Collection[FileName],
        *,
        files: Collection[FileName],
        planned: Collection[FileName],
        waiting: Sequence[FileName],
        whole: Collection[FileName],
        keeps_plan: bool,
        retrains: bool,
    ) -> None:
        self._lineage, self._active, self._retrains = lineage, active, retrains
        self._files, self._planned, self._waiting = frozenset(files), planned, waiting
        self._whole = whole
        self.rows = SettledRows(lineage, files)
        """How much of each file is settled before the decision."""
        self._unchanged = Unchanged(lineage, self.rows, planned if keeps_plan else (), active)
        self.needed: dict[FileName, None] = {}
        """Files to train, planned ones included."""
        self.left_out: dict[FileName, None] = {}
        """Files of changed rows that are not trained."""
        self.instead: dict[FileName, Collection[FileName]] = {}
        """The files that were looked at in the place of each."""
        self._opened: dict[Step | None, list[FileName]] = {}
        self._has_guessed = False
        self.first = self._first()
        """The files with which the decision began."""
        self._decide()

    def _decide(self) -> None:
        left = list(self.first)
        while left:
            name = left.pop()
            if name not in self.instead:
                self.instead[name] = self._instead(name)
                left += self.instead[name]
        self._close_gaps()
        if self._has_guessed:
            self._keep_apart()

    def _close_gaps(self) -> None:
        """Decide about files of which some rows would be neither trained nor left out.

        In the place of a file come those that were written from it. One of these may have rows of
        trained files too, and then can only be learnt as the file that it comes in place of.
        """
        for names in reversed(self._opened.values()):
            decided = self._files | self.needed.keys() | self.left_out.keys()
            rows = SettledRows(self._lineage, decided)
            gaps = [one for one in names if rows.of(one) is not Rows.ALL]
            (self.needed if self._retrains else self.left_out).update(dict.fromkeys(gaps))

    def _keep_apart(self) -> None:
        """Keep planned files that share no row with the others.

        Files that were left out may have their rows, and no step tells.
        """
        others = SettledRows(self._lineage, self._files | self.needed.keys())
        kept = [one for one in self._planned if others.of(one) is Rows.NONE]
        self.needed |= dict.fromkeys(kept)

    def _first(self) -> list[FileName]:
        """Return the files to begin with: those of the version that a commit has touched."""
        touched = {*self._lineage.known, *self._planned, *self._waiting, *self._lineage.unknown}
        # Of files that the version does not have, the lineage tells where their rows are.
        lost = [*self._planned, *self._waiting]
        return [
            *(one for one in self._active if one in touched),
            *(one for one in lost if one not in self._active and one not in self._lineage.known),
        ]

    def _instead(self, name: FileName) -> Collection[FileName]:
        """Decide about a file; return those to look at in its place."""
        if name in self._files:
            return ()
        if name in self._whole or name in self._planned:
            self.needed[name] = None
            return ()
        match self.rows.of(name):
            case Rows.ALL:
                return ()
            case Rows.SOME:
                return self._parts(name)
            case Rows.NONE:
                step = self._lineage.birth.get(name)
                if step is not None and self._unchanged.is_planned(step):
                    return step.removed
                self.needed[name] = None
                return ()

    def _parts(self, name: FileName) -> Collection[FileName]:
        """Return the files to look at in the place of one of which some rows are settled."""
        rows, birth = self.rows, self._lineage.birth.get(name)
        steps: list[tuple[Step | None, Collection[FileName]]] = []
        if rows.before(name) is not Rows.NONE:
            steps.append((birth, () if birth is None else birth.sources(name)))
        for step, found in rows.after(name).items():
            if found is not Rows.NONE:
                steps.append((step, step.targets(name)))
        if all(step is not None and step.same_rows for step, _ in steps):
            if steps[-1][0] is not birth:
                self._opened.setdefault(steps[-1][0], []).append(name)
            return [one for _, files in steps for one in files]
        # A commit does not tell which of the removed rows the files have that it wrote.
        if self._retrains:
            self.needed[name] = None
            return ()
        self.left_out[name] = None
        told = [(step, files) for step, files in steps if step is not None and not step.is_guess]
        self._has_guessed |= len(told) < len(steps)
        return [one for _, files in told for one in files]
