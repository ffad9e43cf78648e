"""Give errors about files the advice of commands that cannot leave a file out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onepass.errors import BadPartition, ChangedPartition, first_line


@contextmanager
def advised(advice: str) -> Iterator[None]:
    """Replace the advice of errors about files, for commands without --on-bad.

    If the advice of an error ends in a hint at leaving the file out, only the hint is removed.

    Raises
    ------
    BadPartition, ChangedPartition
        The same error with the other advice.
    """
    try:
        yield
    except BadPartition as error:
        own, _, skip = error.advice.partition(", or leave the file out")
        raise BadPartition(
            error.reason,
            path=error.path,
            row_group=error.row_group,
            column=error.column,
            advice=f"{own}." if skip else advice,
        ) from None
    except ChangedPartition as error:
        raise ChangedPartition(f"{first_line(error)}\n{advice}", path=error.path) from None
