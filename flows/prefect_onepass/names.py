"""Names of runs, by what they do: ``train 12 of 60: date=2026-03-04..07``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from prefect import runtime
from prefect.context import TaskRunContext

from onepass.actions.evaluate import EvaluateReport
from onepass.partition import Group, Partition
from onepass.text import counted, listed, printable
from onepass.training.report import PlanReport, TrainReport
from prefect_onepass.figures import rounded

_MOST_LETTERS = 100
"""Longest description of partitions."""

_MOST_NAMED = 3
"""Most partitions or folders that a name lists."""

_MOST_COMPARED = 10_000
"""Most names of a plan that are compared, so that naming a task of a huge plan takes no time."""

_EDGES = "=/-_. "
"""Characters after which the common beginning of two names may end."""


def model_name(model: str) -> str:
    """Return the last two folders of a model directory or URL, such as ``nightly/clicks``."""
    parts = [part for part in re.split(r"[/\\]+", model) if part not in {"", ".", ".."}]
    # The scheme of a URL is no folder; its bucket is one.
    parts = [part for part in parts if not part.endswith(":")]
    return printable("/".join(parts[-2:])) or "model"


def run_name(verb: str, model: str) -> str:
    """Return the name of a flow run: what it does, the model, when it was due.

    Examples
    --------
    ``train nightly/clicks 2026-11-29 03:00``; times are UTC.
    """
    due = runtime.flow_run.scheduled_start_time
    return f"{verb} {_clipped(model_name(model))} {due:%Y-%m-%d %H:%M}"


def of_labels(labels: Sequence[str], run: Sequence[str]) -> str:
    """Return which of the labels of a run a step is about; nothing where a run has one label.

    Examples
    --------
    >>> [of_labels(*one) for one in (("a", "a"), ("b", "ab"), ("ab", "abc"))]
    ['', ' for b', ' for 2 labels']
    """
    if len(run) == 1:
        return ""
    return f" for {_clipped(labels[0]) if len(labels) == 1 else f'{len(labels):,} labels'}"


def before_training(n_done: int, pending: Sequence[Group], who: str = "") -> str:
    """Return the name of a task that is about to train.

    Parameters
    ----------
    n_done
        Partitions that the run has trained so far.
    pending
        What is left of the plan. How much of it the task trains until its time is over is not known
        yet, so only the first group is named.
    who
        See `of_labels`.
    """
    first, total = pending[0].partitions, n_done + len(_partitions(pending))
    last = n_done + len(first)
    word = "train" if last >= total else "train from"
    return f"{word} {_place(n_done, last, total)}{who}: {describe(first)}"


def after_training(
    n_done: int,
    pending: Sequence[Group],
    trained: Sequence[Partition],
    plan: Sequence[Group],
    who: str = "",
) -> str:
    """Return the name of a task that has trained some partitions.

    Parameters
    ----------
    n_done, pending
        As they were before; see `before_training`.
    plan
        The whole plan, of which these partitions are a part.
    who
        See `of_labels`.
    """
    total = n_done + len(_partitions(pending))
    if not trained:
        return f"train nothing{who}: {n_done:,} of {total:,} done"
    place = _place(n_done, n_done + len(trained), total)
    return f"train {place}{who}: {describe(trained, _partitions(plan))}"


def planned_name(planned: PlanReport, who: str = "") -> str:
    """Return the name of a task that has planned; see `of_labels`."""
    if not planned.partitions:
        return "plan: nothing new"
    rows = counted(planned.rows, "row")
    return f"plan{who}: {counted(planned.partitions, 'partition')}, {rows}"


def evaluated_name(report: EvaluateReport, who: str = "") -> str:
    """Return the name of a task that has evaluated a version; see `of_labels`."""
    return f"evaluate version {report.version:,}{who}: holdout loss {rounded(report.loss, 5)}"


def published_name(trained: TrainReport, who: str = "") -> str:
    """Return the name of a task that has published a version.

    The page of a key in Prefect lists its artifacts by the names of their task runs, so these names
    make it a ledger.
    """
    loss, rows = rounded(trained.loss, 5), counted(trained.rows, "row")
    return f"publish version {trained.version:,}{who}: loss {loss}, {rows}"


def rename_task_run(name: str) -> None:
    """Give another name to the task run that is under way; without effect outside of one.

    Prefect sends the name with the next change of the run's state, so this takes no call.
    """
    context = TaskRunContext.get()
    if context is not None:
        context.task_run.name = name


def describe(partitions: Sequence[Partition], planned: Sequence[Partition] = ()) -> str:
    """Describe partitions by their ``key=value`` folders, or else by the names of their files.

    Parameters
    ----------
    planned
        Partitions among which these are. If they follow each other in it, sorted by name, the
        first and the last are named as a range; otherwise the first few.
    """
    names = _names(partitions)
    if len(names) == 1:
        return _clipped(names[0])
    if _follow_each_other(names, planned):
        return span(partitions)
    edge = min(_edge(names[0], name) for name in names[1:])
    return _clipped(listed([names[0], *(name[edge:] for name in names[1:])], _MOST_NAMED))


def _follow_each_other(names: Sequence[str], planned: Sequence[Partition]) -> bool:
    """Return whether no other name of a plan lies between the first and the last of some names."""
    first, last = names[0], names[-1]
    begin = first[: _edge(first, last)]
    near = {name for one in planned if (name := _name(one.path)).startswith(begin)}
    if len(near) > _MOST_COMPARED:
        return False
    low, high = _by_numbers(first), _by_numbers(last)
    return not any(low <= _by_numbers(name) <= high for name in near.difference(names))


def span(partitions: Sequence[Partition]) -> str:
    """Name the first and the last partition by name; others than these may lie in between."""
    names = _names(partitions)
    first, last = names[0], names[-1]
    return _clipped(first if first == last else f"{first}..{last[_edge(first, last) :]}")


def _partitions(groups: Sequence[Group]) -> list[Partition]:
    return [partition for group in groups for partition in group.partitions]


def _place(n_done: int, last: int, n_total: int) -> str:
    numbers = f"{n_done + 1:,}" if last == n_done + 1 else f"{n_done + 1:,}-{last:,}"
    return f"{numbers} of {n_total:,}"


def _names(partitions: Sequence[Partition]) -> list[str]:
    """Return the names of folders or files, each once, in the order of people."""
    if len({one.path for one in partitions}) == 1:
        names = {_without_ending(one.name) for one in partitions}
        return [names.pop()] if len(names) == 1 else [_without_ending(partitions[0].path)]
    found = {_name(one.path) for one in partitions}
    return sorted(found, key=_by_numbers if len(found) <= _MOST_COMPARED else None)


def _name(path: str) -> str:
    folders = path.rpartition("/")[0]
    if "=" in folders:
        return "/".join(part for part in folders.split("/") if "=" in part)
    return _without_ending(path)


def _without_ending(path: str) -> str:
    return path.replace(".parquet", "")


def _by_numbers(name: str) -> list[Any]:
    """Return a key that sorts ``part-9`` before ``part-10``."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _edge(one: str, other: str) -> int:
    """Return where two names begin to differ, at the edge of a word or a number."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    common = "".join(letter for letter, _ in pairs)
    return 1 + max(common.rfind(character) for character in _EDGES)


def _clipped(text: str) -> str:
    """Return a printable text whose middle is cut out if it is long."""
    text = printable(text)
    half = (_MOST_LETTERS - 3) // 2
    return text if len(text) <= _MOST_LETTERS else f"{text[:half]}...{text[-half:]}"
