"""Every error that onepass raises on purpose.

::

    OnepassError                      exit code
    ├── JobError (ValueError)              2     the job cannot be run as written
    │   ├── ModelNotFound                  2     no model directory there
    │   └── Diverged                       2     the learner's state became infinite or NaN
    ├── DataError (ValueError)             3     the lake is not what the job needs
    │   ├── EmptyLake                      3     no Parquet file, or no row
    │   ├── BadColumn                      3     one column cannot be used; its file is not known
    │   ├── BadPartition                   3     one file cannot be trained
    │   ├── HistoryGone                    3     a table no longer tells what has changed
    │   └── ChangedPartition               3     a known file has other content now
    ├── StoreError (RuntimeError)          2     an object store did not do what was requested
    │   ├── StoreRefused                   2     it denies the request, or has no such bucket
    │   └── StoreUnavailable               2     it does not answer; run again later
    ├── ClusterError (RuntimeError)        2     a Dask cluster could not finish its calls
    │   └── ClusterUnavailable             2     it has no scheduler or no worker; run again later
    ├── VersionRefused (RuntimeError)      5     a new version is worse than the current one
    ├── LossTooHigh (RuntimeError)         5     an evaluation is above the bound that was given
    ├── ModelConflict (RuntimeError)       4     another writer has changed this model
    │   └── ModelBusy                      4     another process holds it now
    ├── OutputTaken (RuntimeError)         4     another run scores to the same output
    └── ForeignModel (ValueError)          4     the directory is not (or no longer) a sound model
    KeyboardInterrupt
    └── Interrupted                      130     the user has interrupted a session

A message has one or two lines: what was expected, what was found, where, and what to do. It is
written with the flags of the command; as text it has the words of whoever asked
(`onepass.wording`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onepass.text import printable
from onepass.wording import spoken


class OnepassError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        return spoken(super().__str__())


class JobError(OnepassError, ValueError):
    """Raised when a job is incomplete, contradicts its model, or names something missing."""

    exit_code = 2


class ModelNotFound(JobError, FileNotFoundError):
    """Raised when a command needs a model directory and finds none."""


class Diverged(JobError):
    """Raised when the weights, or other numbers of a learner's state, become infinite or NaN."""


class StoreError(OnepassError, RuntimeError):
    """Base of errors that concern only an object store, and not the job, the lake or the model.

    It is no `OSError`: code that skips an unreadable file must not skip a file whose store does not
    answer for a while.
    """

    exit_code = 2


class StoreRefused(StoreError):
    """Raised when an object store refuses a request for good: credentials, rights, bucket."""


class StoreUnavailable(StoreError):
    """Raised when an object store has not answered by the deadline."""


class ClusterError(OnepassError, RuntimeError):
    """Raised when a Dask cluster cannot finish calls; what has been committed is kept."""

    exit_code = 2


class ClusterUnavailable(ClusterError):
    """Raised when no scheduler or no worker of a cluster has answered by the deadline."""


class DataError(OnepassError, ValueError):
    """Raised when a lake cannot be used as the job asks."""

    exit_code = 3


class EmptyLake(DataError):
    """Raised when a lake holds no Parquet file or no row."""


class BadColumn(DataError):
    """Raised when a column cannot be used, by code that does not know the file of the column.

    A caller that knows the file raises a `BadPartition` instead.

    Parameters
    ----------
    reason
        Sentence that says what was expected and what was found.
    column
        Name of the column.
    advice
        Remedy, if there is a better one than the general hint of `BadPartition`.
    """

    def __init__(self, reason: str, column: str, advice: str | None = None) -> None:
        self.reason, self.column, self.advice = reason, column, advice
        super().__init__(reason, column, advice)

    def __str__(self) -> str:
        advice = f"\n{self.advice}" if self.advice else ""
        return spoken(f"column {self.column!r}: {self.reason}{advice}")


class BadPartition(DataError):
    """Raised when one file is corrupt, truncated, or not of the expected columns and types.

    Parameters
    ----------
    reason
        Sentence that says what was expected and what was found.
    path
        Key of the file within its lake.
    row_group, column
        Place of the fault in the file, as far as it is known.
    advice
        Remedy; a general hint by default.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str,
        row_group: int | None = None,
        column: str | None = None,
        advice: str | None = None,
    ) -> None:
        # Messages of the libraries below may have several lines.
        self.reason = " ".join(reason.split())
        self.path, self.row_group, self.column = path, row_group, column
        self.advice = advice or "Repair or remove the file, or go on without it: --on-bad skip."
        super().__init__(f"{self.where()}: {self.reason}\n{self.advice}")

    def where(self) -> str:
        """Return file, row group and column in one phrase."""
        parts = [printable(self.path)]
        if self.row_group is not None:
            parts.append(f"row group {self.row_group}")
        if self.column is not None:
            parts.append(f"column {self.column!r}")
        return ", ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between Dask workers.
        return (_bad_partition, (self.reason, self.path, self.row_group, self.column, self.advice))


def _bad_partition(
    reason: str, path: str, row_group: int | None, column: str | None, advice: str | None
) -> BadPartition:
    return BadPartition(reason, path=path, row_group=row_group, column=column, advice=advice)


class HistoryGone(DataError):
    """Raised when a table no longer has the commits that tell what is new in it."""


def first_line(error: Exception) -> str:
    """Return the first line of a message: the place and the fault, without the advice."""
    return str(error).splitlines()[0]


@contextmanager
def located(place: object) -> Iterator[None]:
    """Set the file name of an `OSError` that has none.

    A write to a full disk, for example, raises an error that does not tell which file it was.

    Parameters
    ----------
    place
        Path that the block reads or writes.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(place)
        raise


class ChangedPartition(DataError):
    """Raised when a file that the ledger knows has another fingerprint now.

    Parameters
    ----------
    path
        Key of the file within its lake.
    """

    def __init__(self, message: str, *, path: str) -> None:
        self.path = path
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        # As for `BadPartition`. The first argument is the message before it is spoken.
        return (_changed_partition, (self.args[0], self.path))


def _changed_partition(message: str, path: str) -> ChangedPartition:
    return ChangedPartition(message, path=path)


class VersionRefused(OnepassError, RuntimeError):
    """Raised when a version is worse than the current one by more than a run allows.

    The version is kept, and the tag ``current`` stays where it was.

    Parameters
    ----------
    version, current
        The version that is refused, and the one that `current` names.
    outcome
        Report of the run: a `Publication`, or a `TrainOutcome` or `LabelsOutcome` that holds it.
    """

    exit_code = 5

    def __init__(self, message: str, *, version: int, current: int, outcome: object = None) -> None:
        self.version, self.current, self.outcome = version, current, outcome
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return (_version_refused, (self.args[0], self.version, self.current, self.outcome))


def _version_refused(message: str, version: int, current: int, outcome: object) -> VersionRefused:
    return VersionRefused(message, version=version, current=current, outcome=outcome)


class ModelConflict(OnepassError, RuntimeError):
    """Raised when another writer holds the model or has committed the same version first."""

    exit_code = 4


class ModelBusy(ModelConflict):
    """Raised when another process holds the lock of the model.

    Parameters
    ----------
    holder
        Process id of the other process, as a text; ``unknown`` if the lock does not tell.
    place
        The model directory.
    """

    def __init__(self, holder: str, place: str) -> None:
        self.holder, self.place = holder, place
        super().__init__(holder, place)

    def __str__(self) -> str:
        return (
            f"process {self.holder} is training the model in {self.place!r}; "
            "wait until it has finished, then run again"
        )


class LossTooHigh(OnepassError, RuntimeError):
    """Raised when the loss of an evaluated version is above the bound that was given."""

    exit_code = 5


class OutputTaken(OnepassError, RuntimeError):
    """Raised when another run has begun to score to the same output and goes on there."""

    exit_code = 4


class ForeignModel(OnepassError, ValueError):
    """Raised when a model directory is damaged, of another format, or not a model at all."""

    exit_code = 4


class Interrupted(KeyboardInterrupt):
    """Raised when the user interrupts a session; the message says which version is kept."""
