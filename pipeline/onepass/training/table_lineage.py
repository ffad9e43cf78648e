"""Which files of a table were written from which, and how much of their rows is settled.

A file is written once, so this never changes: a RESTORE brings files back, and writes none. Two
files share rows only if one was written from the other, or both from a third that did not give
each of them other rows. So what is settled of a file follows from the files that are settled:

- *before* it, in the files from which it was written;
- *after* it, in the files that were written from it, also by commits that a RESTORE has undone.

A file of which nothing is settled on either side can be learnt, and no row is learnt twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from enum import Enum

from onepass.ledger.table_mark import Exchange, FileName


class Rows(Enum):
    """How many rows of a file are settled."""

    NONE = 0
    SOME = 1
    """Some of them may be; which ones cannot be told."""
    ALL = 2


class Step:
    """A commit that wrote files from others.

    Parameters
    ----------
    removed
        Files that the commit has removed.
    added
        Files that it has written.
    same_rows
        Whether the files that it wrote have the rows of those that it removed, all together.
    is_guess
        Whether it is not known which commits lie between the files, as where a RESTORE has brought
        back files that are older than the model. Any of the one side may have rows of any of the
        other.
    """

    def __init__(
        self,
        removed: Iterable[FileName],
        added: Iterable[FileName],
        *,
        same_rows: bool = False,
        is_guess: bool = False,
    ) -> None:
        self.removed, self.added = tuple(removed), tuple(added)
        self.same_rows, self.is_guess = same_rows, is_guess
        keys = {key: (key, deleted) for key, deleted in self.removed}
        # Where only rows were deleted, each file has rows of its own past alone.
        is_each = not (same_rows or is_guess) and all(key in keys for key, _ in self.added)
        self._was = {name: keys[name[0]] for name in self.added} if is_each else None

    def sources(self, name: FileName) -> Collection[FileName]:
        """Return the removed files that may have rows of one that was added."""
        return self.removed if self._was is None else (self._was[name],)

    def targets(self, name: FileName) -> Collection[FileName]:
        """Return the added files that may have rows of one that was removed."""
        if self._was is None:
            return self.added
        return [one for one, was in self._was.items() if was == name]

    def joined(self, parts: Iterable[Rows]) -> Rows:
        """Return how much is settled on one side of the step, if parts are on the other."""
        found = set(parts)
        if not found or found == {Rows.NONE}:
            return Rows.NONE
        return Rows.ALL if self.same_rows and found == {Rows.ALL} else Rows.SOME


class Lineage:
    """The steps of a table's commits, oldest first."""

    def __init__(self, exchanges: Iterable[Exchange] = ()) -> None:
        self.birth: dict[FileName, Step] = {}
        """The step that wrote each file; files that came with rows of their own have none."""
        self.ends: defaultdict[FileName, list[Step]] = defaultdict(list)
        """The steps that wrote others from each file. Some may have been undone."""
        self.steps: list[Step] = []
        self.known: set[FileName] = set()
        """Files that are known to have been in the table: written or removed by a commit."""
        self.unknown: set[FileName] = set()
        """Files that may have rows of settled ones, though no step tells."""
        self._replaced: dict[FileName, None] = {}
        """Removed files of which it is not known from which others they were written."""
        for one in exchanges:
            self.take(one)

    def take(self, exchange: Exchange) -> None:
        """Take the next exchange of files."""
        self._replaced |= {one: None for one in exchange.removed if self._is_guessed(one)}
        if exchange.returned:
            back = set(exchange.added)
            # Files of one version have no row in common.
            others = [one for one in self._replaced if one not in back]
            fresh = [one for one in exchange.added if one not in self.known]
            self._add(Step(others, fresh, is_guess=True))
        elif exchange.removed and exchange.added:
            self._add(Step(exchange.removed, exchange.added, same_rows=exchange.same_rows))
        self.known.update(exchange.removed, exchange.added)

    def descendants(self, names: Iterable[FileName]) -> list[FileName]:
        """Return the files that were written from any of these files, and those from them."""
        found: dict[FileName, None] = {}
        left = list(names)
        while left:
            file = left.pop()
            for one in (one for step in self.ends.get(file, ()) for one in step.targets(file)):
                if one not in found:
                    found[one] = None
                    left.append(one)
        return list(found)

    def origins(self, name: FileName) -> list[FileName]:
        """Return the files from which a file was rewritten; itself if it was not."""
        found: dict[FileName, None] = {}
        seen, left = {name}, [name]
        while left:
            file = left.pop()
            step = self.birth.get(file)
            if step is None or not step.same_rows:
                found[file] = None
                continue
            left += [one for one in step.removed if one not in seen]
            seen.update(step.removed)
        return list(found)

    def _is_guessed(self, name: FileName) -> bool:
        birth = self.birth.get(name)
        return birth is None or birth.is_guess

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self.birth |= dict.fromkeys(step.added, step)
        for name in step.removed:
            self.ends[name].append(step)


class SettledRows:
    """How much of each file's rows is settled, before and after it.

    Parameters
    ----------
    lineage
        The steps.
    settled
        Files of which all rows are settled.
    """

    def __init__(self, lineage: Lineage, settled: Collection[FileName]) -> None:
        self._lineage, self._settled = lineage, settled
        self._before: dict[FileName, Rows] = {}
        self._after: dict[tuple[int, FileName], Rows] = {}
        for step in reversed(lineage.steps):
            self._look_back(step)
        for step in lineage.steps:
            self._look_on(step)

    def of(self, name: FileName) -> Rows:
        """Return how much of a file is settled."""
        return _either([self._own(name), self.before(name), *self.after(name).values()])

    def before(self, name: FileName) -> Rows:
        """Return how much is settled by the files from which a file was written."""
        return self._before.get(name, Rows.SOME if name in self._lineage.unknown else Rows.NONE)

    def after(self, name: FileName) -> Mapping[Step, Rows]:
        """Return how much each step that wrote others from a file has let settle of it."""
        return {one: self._after[id(one), name] for one in self._lineage.ends.get(name, ())}

    def _own(self, name: FileName) -> Rows:
        return Rows.ALL if name in self._settled else Rows.NONE

    def _look_back(self, step: Step) -> None:
        parts = {one: _either([self._own(one), *self.after(one).values()]) for one in step.added}
        common = step.joined(parts.values()) if step.same_rows else None
        for name in step.removed:
            found = common or step.joined(parts[one] for one in step.targets(name))
            self._after[id(step), name] = found

    def _look_on(self, step: Step) -> None:
        parts = {name: self._without(name, step) for name in step.removed}
        common = step.joined(parts.values()) if step.same_rows else None
        for name in step.added:
            self._before[name] = common or step.joined(parts[one] for one in step.sources(name))

    def _without(self, name: FileName, step: Step) -> Rows:
        """Return how much of a file is settled, not counting what a step wrote from it."""
        steps = self._lineage.ends[name]
        after = [self._after[id(one), name] for one in steps if one is not step]
        return _either([self._own(name), self.before(name), *after])


def _either(parts: Iterable[Rows]) -> Rows:
    """Return how much is settled of a file of which several views tell something."""
    found = Rows.NONE
    for one in parts:
        if one is Rows.ALL:
            return one
        if one is Rows.SOME:
            found = one
    return found
