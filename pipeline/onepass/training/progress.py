"""The interface that receives the steps of a run as they happen."""

from __future__ import annotations

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry
from onepass.text import printable

COMPILING = "compiling loops for this processor, once, about 20 s"
"""Line for `Progress.compiling`."""


class Progress:
    """Receives the steps of a run and ignores them; subclasses override methods of interest."""

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Receive the size of the work that begins.

        Parameters
        ----------
        n_partitions
            Number of units of the work: partitions to train, once for each epoch, partitions of a
            batch pass, or files to evaluate, score or compare. All that is pending is announced
            again where training stops and goes on.
        n_rows
            Number of rows of these units.
        """

    def advanced(self, n_rows: int) -> None:
        """Receive the number of rows learnt, evaluated, scored or compared since the last call.

        It is negative where rows are to be learnt again, because a bad page came after them.
        """

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Receive an entry that trains or skips partitions, once it is durable.

        Parameters
        ----------
        entry
            The entry, as it is in the log.
        total
            Progressive metrics of the run so far.
        """

    def looked(self, n_rows: int, total: int) -> None:
        """Receive how far a look at the labels of the lake has come, before a model is created.

        Parameters
        ----------
        n_rows
            Number of rows looked at since the last call.
        total
            Number of rows to look at in all.
        """

    def compared(self, n_files: int) -> None:
        """Receive that the footer of one more file was read, of so many that are to be read."""

    def compiling(self) -> None:
        """Receive that loops have to be compiled first; at most once a session, from any thread."""

    def noted(self, message: str) -> None:
        """Receive a warning for the user."""

    def told(self, message: str) -> None:
        """Receive what a run has found that is no cause for concern."""

    def of_label(self, label: str) -> Progress:
        """Return what receives the steps of the model of one label, of several that are trained."""
        return OfLabel(self, label)


class Notes(Progress):
    """Passes on warnings alone, where another step has a progress of its own."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress or Progress()

    def noted(self, message: str) -> None:
        """Pass on a warning."""
        self._progress.noted(message)


class OfLabel(Progress):
    """Passes on the steps of the model of one label; its messages begin with the label."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress, self._label = progress, printable(label)

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Pass on the size of the work."""
        self._progress.started(n_partitions, n_rows)

    def advanced(self, n_rows: int) -> None:
        """Pass on the number of rows, which each model learns."""
        self._progress.advanced(n_rows)

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Pass on the entry."""
        self._progress.committed(entry, total)

    def looked(self, n_rows: int, total: int) -> None:
        """Pass on how far a look at the labels has come."""
        self._progress.looked(n_rows, total)

    def compared(self, n_files: int) -> None:
        """Pass on a footer that was read."""
        self._progress.compared(n_files)

    def compiling(self) -> None:
        """Pass on that loops are compiled."""
        self._progress.compiling()

    def noted(self, message: str) -> None:
        """Pass on the warning, with the label."""
        self._progress.noted(self._labelled(message))

    def told(self, message: str) -> None:
        """Pass on what a run has found, with the label."""
        self._progress.told(self._labelled(message))

    def _labelled(self, message: str) -> str:
        # Warnings about a column name it first, and this column may be the label.
        label = f"{self._label}: "
        return message if message.startswith(label) else label + message


class Together(Progress):
    """Passes each step on to several receivers, in their order.

    Parameters
    ----------
    receivers
        More may be added later.
    """

    def __init__(self, *receivers: Progress) -> None:
        self._receivers = list(receivers)

    def add(self, receiver: Progress) -> None:
        """Pass the steps to come on to one more receiver."""
        self._receivers.append(receiver)

    def of_label(self, label: str) -> Together:
        """Return what the receivers so far have for the model of one label, together."""
        return Together(*(one.of_label(label) for one in self._receivers))

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Pass on the size of the work."""
        for receiver in self._receivers:
            receiver.started(n_partitions, n_rows)

    def advanced(self, n_rows: int) -> None:
        """Pass on the number of rows."""
        for receiver in self._receivers:
            receiver.advanced(n_rows)

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Pass on the entry."""
        for receiver in self._receivers:
            receiver.committed(entry, total)

    def looked(self, n_rows: int, total: int) -> None:
        """Pass on how far a look at the labels has come."""
        for receiver in self._receivers:
            receiver.looked(n_rows, total)

    def compared(self, n_files: int) -> None:
        """Pass on a footer that was read."""
        for receiver in self._receivers:
            receiver.compared(n_files)

    def compiling(self) -> None:
        """Pass on that loops are compiled."""
        for receiver in self._receivers:
            receiver.compiling()

    def noted(self, message: str) -> None:
        """Pass on the warning."""
        for receiver in self._receivers:
            receiver.noted(message)

    def told(self, message: str) -> None:
        """Pass on what a run has found."""
        for receiver in self._receivers:
            receiver.told(message)
