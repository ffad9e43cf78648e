"""Compare the columns of a file with the condition that says which of its rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import pyarrow as pa

from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer_checks import Contradiction, check_claims
from onepass.lake.pruning import folders_of
from onepass.selection.evaluate import check_type
from onepass.selection.folders import folder_holds
from onepass.selection.rows import Selection
from onepass.selection.tree import leaves
from onepass.selection.types import CannotCompare


class WhereCheck:
    """Compares files with the condition of a selection."""

    def __init__(self, selection: Selection | None) -> None:
        self._selection = selection

    def __call__(
        self,
        file: LakeFile,
        schema: pa.Schema,
        contradictions: Sequence[Contradiction],
        *,
        is_empty: Callable[[str], bool],
    ) -> None:
        """Compare a file.

        Parameters
        ----------
        schema, contradictions
            Columns of the file, and claims of its footer that cannot be true.
        is_empty
            Returns whether a column has no value, so that its type means nothing.

        Raises
        ------
        BadPartition
            If the file lacks a column, or its type cannot be compared as the condition does.
        """
        selection = self._selection
        if selection is None or selection.node is None:
            return
        folders, present = folders_of(file), schema.names
        for leaf in leaves(selection.node):
            name = leaf.column
            try:
                if name in folders:
                    folder_holds(leaf, folders[name])
                elif present.count(name) == 1:
                    if not is_empty(name):
                        check_type(leaf, schema.field(name).type)
                elif name in present or not selection.missing_is_null:
                    raise _missing(name, [*present, *folders], file)
            except CannotCompare as error:
                raise not_comparable(error, file) from None
        read = [name for name in selection.columns if name in present]
        check_claims(contradictions, read, file.key)


def not_comparable(error: CannotCompare, file: LakeFile) -> BadPartition:
    """Return the error for a file whose column cannot be compared as the condition does."""
    return BadPartition(
        f"--where: {error}",
        path=file.key,
        column=error.column,
        advice="Change the condition, or go on without such files: --on-bad skip.",
    )


def _missing(name: str, present: list[str], file: LakeFile) -> BadPartition:
    if present.count(name) > 1:
        return BadPartition(
            "--where: the column is there more than once", path=file.key, column=name
        )
    return BadPartition(
        f"--where: the column is missing{like(name, present)}",
        path=file.key,
        column=name,
        advice="Repair the file, or read the column as null: --on-missing-column null.",
    )


def like(name: str, present: list[str]) -> str:
    """Return a hint at columns with similar names; empty if there is none."""
    close = get_close_matches(name, present, n=3)
    return f"; it has {', '.join(map(repr, close))}" if close else ""
