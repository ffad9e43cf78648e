"""Handle files that cannot be used: raise the first error, or note each one and go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onepass.errors import BadPartition


class BadFiles:
    """Errors of files that cannot be used, in the order in which they were found.

    Parameters
    ----------
    skip
        Whether bad files are noted and skipped. Otherwise their first error is raised.

    Notes
    -----
    The class is not thread-safe: workers return their errors, and one thread adds them.

    Examples
    --------
    >>> bad = BadFiles(skip=True)
    >>> with bad.caught():
    ...     raise BadPartition("truncated", path="b.parquet")
    >>> "b.parquet" in bad, "a.parquet" in bad
    (True, False)
    """

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self._errors: dict[str, BadPartition] = {}

    def __contains__(self, path: object) -> bool:
        """Whether the file with this path has been noted as bad."""
        return path in self._errors

    def __iter__(self) -> Iterator[BadPartition]:
        """Iterate over the errors noted: the first one of each file."""
        return iter(self._errors.values())

    def add(self, error: BadPartition) -> None:
        """Note that a file is bad; a second error of the same file is ignored.

        Raises
        ------
        BadPartition
            The error itself, unless bad files are skipped.
        """
        if not self._skip:
            raise error
        # The frames of a traceback, and of the error before it, would keep what was decoded.
        error.__context__ = None
        self._errors.setdefault(error.path, error.with_traceback(None))

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Add the `BadPartition` that the body may raise, and skip the rest of the body."""
        try:
            yield
        except BadPartition as error:
            self.add(error)
