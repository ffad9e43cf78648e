"""Which planned files a table has only rewritten, so that their plan can be trained as it was."""

from __future__ import annotations

from collections.abc import Collection

from onepass.ledger.table_mark import FileName
from onepass.training.table_lineage import Lineage, Rows, SettledRows, Step


class Unchanged:
    """Finds steps whose rows can be learnt from planned files, as these were before them.

    That needs that a version has all the rows of the step: each file that it wrote is there, or was
    rewritten in turn.
    """

    def __init__(
        self,
        lineage: Lineage,
        rows: SettledRows,
        planned: Collection[FileName],
        active: Collection[FileName],
    ) -> None:
        self._found: set[Step] = set()
        if not planned:
            return
        whole: set[Step] = set()
        for step in reversed(lineage.steps):
            if step.same_rows and all(
                one in active or any(later in whole for later in lineage.ends.get(one, ()))
                for one in step.added
            ):
                whole.add(step)
        for step in lineage.steps:
            if step not in whole or any(rows.of(one) is not Rows.NONE for one in step.removed):
                continue
            births = (lineage.birth.get(one) for one in step.removed)
            if any(one in planned for one in step.removed) or any(
                birth in self._found for birth in births
            ):
                self._found.add(step)

    def is_planned(self, step: Step) -> bool:
        """Return whether the files that a step wrote are learnt from those that it removed."""
        return step in self._found
