"""Messages of states: they tell what a run has trained for which labels, or why it has not.

The labels of which the same is true stand together. Where a run has one label, it is left out:
``Trained 6 partitions: version 7``, ``Trained 6 partitions: paid version 7, churned version 7``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from onepass.errors import ModelBusy, ModelConflict, OnepassError
from onepass.text import counted, listed, printable
from onepass.training.report import TrainReport, nothing_to_train
from onepass.wording import spoken
from prefect_onepass.outcome import Outcome
from prefect_onepass.run_outcome import RunOutcome, Stopped

K = TypeVar("K")
T = TypeVar("T")

_MOST_NAMED = 8
"""Most files or labels that a message names."""


def told(error: BaseException) -> str:
    """Return the message of an error, in the words of whoever asked."""
    if isinstance(error, OSError) and not isinstance(error, OnepassError):
        where = f": {error.filename}" if error.filename else ""
        return printable(f"{error.strerror or error}{where}")
    return printable(spoken(str(error)), lines=True)


def summary(run: RunOutcome) -> str:
    """Return in a line what a run has trained, apart from models that have an error."""
    done = [one for one in run.models if one.error is None]
    newest = max((one.newest for one in done if one.newest and one.is_quiet), default=None)

    def what(outcome: Outcome) -> tuple[str, str]:
        did = _nothing_new(outcome, newest) if outcome.is_quiet else _trained(outcome.trained)
        return did, _published(outcome)

    parts = [
        f"{did}: {_versions(members, run)}{published}"
        for (did, published), members in _alike(sorted(done, key=lambda one: one.is_quiet), what)
    ]
    return ". ".join([*parts[:1], *(part[0].upper() + part[1:] for part in parts[1:])])


def quarantined(run: RunOutcome) -> str:
    """Return what a run has trained, and in a line each file that it has put in quarantine."""
    pairs = [(one.label, kept) for one in run.models for kept in one.trained.quarantined]
    faults = _alike(pairs, lambda pair: pair[1].reason)
    lines = [f"  {_whose([label for label, _ in of], run)}{printable(why)}" for why, of in faults]
    more = [f"  and {len(lines) - _MOST_NAMED:,} more"] if len(lines) > _MOST_NAMED else []
    n_files = len({kept.path for _, kept in pairs})
    head = f"{summary(run)}; {counted(n_files, 'file')} in quarantine until replaced:"
    return "\n".join([head, *lines[:_MOST_NAMED], *more])


def failed(run: RunOutcome) -> str:
    """Return the errors of a run, the gravest first, and what was trained all the same."""
    stopped = {one.label: one for one in run.conflicts}
    texts = [
        (label, _conflict(stopped[label]) if label in stopped else told(error))
        for label, error in run.errors.items()
    ]
    lines = [
        f"{_whose([label for label, _ in of], run)}{text}"
        for text, of in _alike(texts, lambda pair: pair[1])
    ]
    return "\n".join([*lines, *([rest] if (rest := summary(run)) else [])])


def another(error: ModelConflict, model: str, committed: int = 0) -> str:
    """Return why a run has left a model to another writer.

    Parameters
    ----------
    error
        The conflict with the other writer.
    model
        The model directory.
    committed
        Partitions that this run has committed before.
    """
    if isinstance(error, ModelBusy):
        return (
            f"process {error.holder} is training the model in {error.place!r}; this run did "
            "nothing. Files that the other run does not find any more are trained by the next run"
        )
    return (
        f"another run trains the model in {model!r} and has committed first; "
        f"{counted(committed, 'partition')} of this run were committed before and count. The other "
        "run goes on, and the next run trains what it leaves"
    )


def _conflict(stopped: Stopped) -> str:
    assert isinstance(stopped.error, ModelConflict)
    return another(stopped.error, stopped.model, stopped.committed)


def _trained(trained: TrainReport) -> str:
    left_out = f", {trained.skipped:,} left out (onepass log says why)" if trained.skipped else ""
    return f"Trained {counted(trained.partitions, 'partition')}{left_out}"


def _nothing_new(outcome: Outcome, newest: str | None) -> str:
    """Return why a run had nothing to train.

    Parameters
    ----------
    newest
        Time of the newest commit of all models that had nothing to train.
    """
    trained = outcome.trained
    if outcome.newest is None or newest is None:
        return nothing_to_train(trained.left_out, has_trained=False, n_pruned=trained.pruned_files)
    # The log has times in UTC, such as 2026-11-28T03:00:12.345+00:00.
    return f"nothing new since {newest[:16].replace('T', ' ')} UTC{_left(trained)}"


def _left(trained: TrainReport) -> str:
    """Return which partitions of the lake are not trained."""
    numbers = {
        "left out": trained.left_out,
        "in quarantine": trained.in_quarantine,
        "held out": len(trained.held_out),
        "left out by the condition": trained.pruned_files,
    }
    return "".join(f", {number:,} {what}" for what, number in numbers.items() if number)


def _published(outcome: Outcome) -> str:
    """Return the end of a message, if predictions use another version than the newest one."""
    publication = outcome.publication
    if publication is None or publication.outcome in {"published", "unchanged"}:
        return ""
    return f"; predictions use version {publication.current} ({publication.why})"


def _versions(outcomes: Sequence[Outcome], run: RunOutcome) -> str:
    named = [
        f"{printable(one.label) + ' ' if run.is_of_several else ''}version {one.trained.version}"
        for one in outcomes
    ]
    return listed(named, _MOST_NAMED)


def _whose(labels: Sequence[str], run: RunOutcome) -> str:
    """Return the beginning of a line about some labels; nothing if it is about all of the run."""
    if {*labels} == {*run.labels}:
        return ""
    return f"{listed([printable(one) for one in labels], _MOST_NAMED)}: "


def _alike(items: Iterable[T], what: Callable[[T], K]) -> list[tuple[K, list[T]]]:
    """Group items of which the same is true, in the order of the first of each group."""
    groups: dict[K, list[T]] = {}
    for one in items:
        groups.setdefault(what(one), []).append(one)
    return list(groups.items())
