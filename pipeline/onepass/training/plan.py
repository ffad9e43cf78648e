"""Plan a run: compare the lake with the log, and decide what to train, in which order.

Planning checks every file before any file is trained. A known file must still have the fingerprint
that it was trained with, and a new one must have the columns that the model reads. This module
commits nothing: a session commits the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onepass.errors import DataError
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.tables.table import Table
from onepass.ledger.history import History
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.workers import Workers
from onepass.training.known import Known
from onepass.training.planned import Plan, new_groups, rest_of
from onepass.training.planner import Planner
from onepass.training.rolling_holdout import Window
from onepass.training.settled_looks import SettledLooks
from onepass.training.table_plan import TablePlanner, plan_table
from onepass.training.table_unchanged import has_nothing_new


def _ignore(_: int) -> None:
    return None


def make_plan(
    history: History,
    files: Mapping[str, LakeFile],
    job: Job,
    check: ColumnCheck,
    *,
    workers: Workers,
    split_bytes: int,
    window: Window | None = None,
    table: Table | None = None,
    looks: SettledLooks | None = None,
    advanced: Callable[[int], None] = _ignore,
) -> Plan:
    """Decide which partitions to skip, and which new ones to train.

    Parameters
    ----------
    files
        All files of the lake, by key.
    check
        Compares the columns of new files with those that the model reads.
    workers
        Threads or a cluster to read footers with.
    split_bytes
        Size at which files are cut; see `onepass.lake.footer.partitions`.
    window
        Files of a rolling holdout, which are checked but not planned.
    table
        The table of the files, whose commits tell which of them are new.
    looks
        Looks of files, of which those known need not be read.
    advanced
        Called after each footer that has been read, with the number of footers to read.

    Raises
    ------
    ChangedPartition, BadPartition
        If a file has changed or is bad, and the job does not say to skip or retrain it.
    DataError
        If a table does not tell what is new, or the lake was a table before; see `table_news`.
    JobError
        If the holdout does not suit the lake, or leaves nothing to train.
    """
    if window is not None:
        window.check(files.values())
    if table is not None and has_nothing_new(history, table, job):
        return Plan(n_files=len(files))
    known = Known(history)
    if table is not None:
        by_commits = TablePlanner(known, job, check, split_bytes)
        return plan_table(history, files, table, by_commits, window, workers, advanced)
    if marks := history.table_marks():
        raise DataError(
            f"the lake was a {marks[-1].format} table when the model learnt it, and is none now\n"
            "Put the table back, or create a new model with another --model."
        )
    looks = looks or SettledLooks(None)
    planner = Planner(known, job, check, split_bytes, looks)
    planner.take(files.values(), workers, advanced)
    looks.save(files.keys())
    planner.warn_of_copies()
    planner.skip_removed(files.keys())
    held_out = [] if window is None else planner.hold_out(window)
    plan = Plan(planner.skips, planner.quarantines, held_out, len(files), planner.n_pruned)
    if planner.new and not rest_of(history, plan):
        plan.groups = new_groups(history, plan, planner.new, job)
    return plan
