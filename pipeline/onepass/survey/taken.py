"""Survey the rows that a job takes: leave out files of which it takes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onepass.errors import BadPartition, EmptyLake, JobError
from onepass.lake.discover import LakeFile
from onepass.selection.rows import Selection
from onepass.stream.check_where import WhereCheck, like
from onepass.stream.workers import Workers
from onepass.survey.bad_files import BadFiles
from onepass.survey.footers import FooterSummary, read_summaries
from onepass.survey.naming import fields_of
from onepass.survey.sample import Sample
from onepass.text import counted


def take_files(
    files: Sequence[LakeFile],
    selection: Selection | None,
    bad: BadFiles,
    workers: Workers,
    lake: str | list[str],
    compared: Callable[[int], None] = lambda _: None,
) -> tuple[list[FooterSummary], int, float]:
    """Read all footers, and leave out the files of which no row can meet the condition of the job.

    Parameters
    ----------
    bad
        Files whose footer cannot be read, or that do not suit the condition, are added here.
    compared
        Called after each footer, with the number of files.

    Returns
    -------
    files
        The files that may have rows to take.
    n_ruled_out
        Number of the others.
    share
        Share of their rows in row groups that may have such rows.

    Raises
    ------
    JobError
        If the condition names a column that no file has.
    EmptyLake
        If no row of the lake can meet the condition.
    BadPartition
        If a file is bad and bad files are not skipped.
    """
    node = None if selection is None else selection.node
    found = read_summaries(files, bad, workers, node, compared)
    if selection is None or node is None:
        return found, 0, 1.0
    _check_names(selection, found, lake)
    check = WhereCheck(selection)
    left = [one for one in found if one.n_partitions or not one.fingerprint.rows]
    for one in left:
        try:
            check(one.file, one.schema, one.contradictions, is_empty=one.is_empty)
        except BadPartition as error:
            bad.add(error)
    if found and not any(one.n_partitions for one in left):
        raise EmptyLake(
            f"no row of the lake {lake!r} can meet --where={selection.where!r}: the folders and "
            f"statistics of its {counted(len(found), 'file')} rule it out"
        )
    n_rows = sum(one.fingerprint.rows for one in left)
    return left, len(found) - len(left), sum(one.n_read for one in left) / max(1, n_rows)


def _check_names(
    selection: Selection, found: Sequence[FooterSummary], lake: str | list[str]
) -> None:
    names = {name for one in found for name in one.schema.names}
    names |= {key for one in found for key, _ in one.file.hive}
    for name in selection.columns:
        if found and name not in names:
            near = fields_of([name], names) or like(name, sorted(names))
            near = near or f"; the columns are {sorted(names)}"
            raise JobError(f"--where names {name!r}, and no file of {lake!r} has it{near}")


def check_taken(sample: Sample, selection: Selection | None, lake: str | list[str]) -> None:
    """Raise `EmptyLake` if no row of the sample is taken."""
    if sample.rows.num_rows:
        return
    why = "has been deleted from its table"
    if selection is not None:
        why = f"is left out by --where={selection.where!r}"
        why = why if selection.where is not None else f"is left out by --sample {selection.sample}"
    raise EmptyLake(f"every row of the lake {lake!r} that was looked at {why}")


def known_nulls(
    label: str | None, shares: Mapping[str, float], selection: Selection | None
) -> float:
    """Return the share of null labels that the footers tell.

    They tell nothing of the rows that meet a condition, such as one that asks for a label.
    """
    selects = selection is not None and selection.where is not None
    return 0.0 if selects else shares.get(label or "", 0.0)
