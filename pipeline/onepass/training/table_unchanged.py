"""Tell without the lineage of files that a table has nothing new, or only files that were added.

The last plan has decided about every file of its version, by the lineage and by what was trained.
If nothing of that plan is left to do, and no commit has removed or brought back a file since, the
same decision would come out again. So most plans build no lineage, whose cost grows with all that
the table has ever rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence

from onepass.job import Job
from onepass.lake.tables.table import Commit, Table
from onepass.ledger.history import History
from onepass.ledger.table_mark import FileName
from onepass.training.table_commits import Settled, exchanged, is_return


def has_nothing_new(history: History, table: Table, job: Job) -> bool:
    """Return whether the last plan has settled the pinned version, and nothing of it is left."""
    marks = history.table_marks()
    if not marks or not marks[-1].is_same_table(table.format, table.id):
        return False
    is_left = marks[-1].waiting or marks[-1].past or history.pending() or history.quarantined()
    return (
        marks[-1].version == table.version
        and not is_left
        and not (job.on_changed == "retrain" and any(one.left_out or one.replaced for one in marks))
    )


def only_added(
    settled: Settled, commits: Sequence[Commit], *, retrains: bool
) -> list[FileName] | None:
    """Return the files to train, if commits have only added files that the model does not know.

    Parameters
    ----------
    settled
        What the model has settled as of the first of the commits.
    commits
        The commits since then, oldest first.
    retrains
        Whether files that were left out are to be trained.

    Returns
    -------
    The files in the order in which the table got them, after those that are held out; None if the
    lineage of files must tell what is new.
    """
    if not settled.is_marked or settled.planned or (retrains and settled.left_out):
        return None
    touched = {name for one in settled.exchanges for name in (*one.removed, *one.added)}
    if not touched.isdisjoint(settled.waiting):
        return None
    found = dict.fromkeys(one for one in settled.waiting if one not in settled.files)
    touched |= settled.files | settled.left_out
    for commit in commits:
        removed, added = exchanged(commit)
        if removed or is_return(commit) or not touched.isdisjoint(added):
            return None
        found |= dict.fromkeys(added)
    return list(found)
