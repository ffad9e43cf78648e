"""Plan a run over a table: what its commits have added since the model has settled it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onepass.errors import DataError
from onepass.lake.discover import LakeFile
from onepass.lake.file_columns import table_names
from onepass.lake.tables.table import Table
from onepass.ledger.history import History
from onepass.ledger.table_mark import FileName, TableMark, file_of
from onepass.stream.workers import Workers
from onepass.text import listed
from onepass.training.compared import Found
from onepass.training.known import Known
from onepass.training.planned import Plan, new_groups, rest_of
from onepass.training.planner import Planner
from onepass.training.rolling_holdout import Window
from onepass.training.table_news import in_order, name_of, table_news

_MOST_NAMED = 3
"""Most columns that a message names."""


class TablePlanner(Planner):
    """Decides which partitions of the new files of a table are planned.

    A file of a table never changes in place, so there is no known file to compare.
    """

    def settled_content(self, file: LakeFile) -> None:
        """Return None: the commits have told that the file is new."""
        return None

    def decide(self, file: LakeFile, found: Found) -> None:
        """Add the partitions of a file that the log does not know."""
        new = [one for one in found.partitions if one not in self.known.partitions]
        self.add(new, found, is_known=False)


def plan_table(
    history: History,
    files: Mapping[str, LakeFile],
    table: Table,
    planner: TablePlanner,
    window: Window | None,
    workers: Workers,
    advanced: Callable[[int], None],
) -> Plan:
    """Plan the files that the commits of a table have added; see `onepass.training.plan.make_plan`.

    If commits have replaced planned files, the rest of the old plan is planned again without them.
    """
    known = planner.known
    news = table_news(table, files, history, known, planner.job)
    known.forget(news.replanned)
    is_first = not history.table_marks()
    orders = window is not None and window.rule.last is not None and is_first
    files_in_order = in_order(table, news.files) if orders else news.files
    _check_columns(table, files_in_order, planner)
    planner.take(files_in_order, workers, advanced)
    active = {name_of(file) for file in files.values()}
    planner.skip_removed(_readable(known, active, table))
    held_out = [] if window is None else planner.hold_out(window, is_ordered=True)
    plan = Plan(planner.skips, planner.quarantines, held_out, len(files), planner.n_pruned)
    rest = rest_of(history, plan, news.replanned)
    if rest and not news.replanned:
        # The run plans again when it has trained the rest.
        return plan
    plan.notes, plan.told = news.notes, news.told
    if news.mark is None:
        return plan
    new = sorted(planner.new, key=lambda one: (one.path, one.first_row_group))
    plan.groups = rest + (new_groups(history, plan, new, planner.job) if new else [])
    held = [name_of(file) for file in held_out]
    # What is read as it was gives rows now, or never.
    tried = [one for one in map(name_of, files_in_order) if one not in active]
    useful = {*map(file_of, new), *held}
    empty = [*news.mark.empty, *(one for one in tried if one not in useful)]
    mark = news.mark.model_copy(update={**_held(held, active), "empty": empty})
    before = next(reversed(history.table_marks()), None)
    if plan.groups or news.replanned or before is None or _says_more(mark, before):
        plan.table = mark
    return plan


def _check_columns(table: Table, new: Sequence[LakeFile], planner: TablePlanner) -> None:
    """Raise DataError if the table has lost a column that the model reads.

    Each file would be refused for it, although the files are as they were.
    """
    view = new[0].view if new else None
    absent = [] if view is None else planner.check.absent_from(table_names(view))
    if absent:
        raise DataError(
            f"{table.label} of the table has no column {listed(absent, _MOST_NAMED)}, which the "
            "model reads; it was renamed or dropped\nGive the column back its name, train up to an "
            "earlier version (--lake-version), or create a new model with another --model."
        )


def _readable(known: Known, active: set[FileName], table: Table) -> set[str]:
    """Return the paths of planned files that are in the table, or in the store as they were."""
    names = {path: [file_of(one) for one in parts] for path, parts in known.pending.items()}
    return {
        path
        for path, each in names.items()
        if all(one in active or table.file(*one) is not None for one in each)
    }


def _held(names: list[FileName], active: set[FileName]) -> dict[str, list[FileName]]:
    return {
        "waiting": [one for one in names if one in active],
        "past": [one for one in names if one not in active],
    }


def _says_more(mark: TableMark, before: TableMark) -> bool:
    """Return whether a mark says anything that the one before it does not."""
    now, then = ((one.version, one.waiting, one.past) for one in (mark, before))
    says_files = mark.exchanges or mark.left_out or mark.no_longer_left_out or mark.empty
    return bool(says_files) or now != then
