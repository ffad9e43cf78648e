"""Compare the files of a lake with what a model learnt from them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace

from onepass.actions.verify_report import Finding
from onepass.errors import DataError, JobError, first_line
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.lake.tables.open import open_lake
from onepass.lake.tables.table import Table, TableChoice
from onepass.ledger.entries import SkipEntry
from onepass.ledger.history import History
from onepass.partition import Fingerprint
from onepass.stream.each_file import each_file
from onepass.stream.workers import Workers
from onepass.text import counted
from onepass.training.looks import in_quarantine
from onepass.training.progress import Progress
from onepass.training.table_news import name_of


def compare_lake(
    history: History,
    lake: str | list[str],
    choice: TableChoice,
    workers: Workers,
    progress: Progress,
) -> tuple[int, list[Finding]]:
    """Compare each learnt file with the fingerprint in the log.

    Returns
    -------
    compared
        Number of files that were compared; 0 if the lake cannot be listed.
    findings
        Files that have changed or are gone, and a note about files that are new.
    """
    try:
        opened = open_lake(lake, choice)
    except (JobError, DataError) as error:
        return 0, [_finding(str(lake)[:500], str(error))]
    files = {file.key: file for file in opened.files}
    workers.see(opened.files)
    findings = []
    learnt = [_Learnt(path, files.get(path), was) for path, was in sorted(_learnt_files(history))]
    if opened.table is not None:
        learnt, n_gone = _in_table(learnt, opened.table)
        if n_gone:
            text = f"{counted(n_gone, 'learnt file')} replaced by the table, and no longer stored"
            findings.append(Finding(level="note", part="lake", where=opened.table.label, text=text))
    progress.started(len(learnt), sum(one.was.rows for one in learnt))
    each = each_file(_difference, None, learnt, workers, lambda one: one.file, is_bad=bool)
    with closing(each) as texts:
        for one, text in zip(learnt, texts, strict=True):
            if text:
                findings.append(_finding(one.path, text))
            progress.advanced(one.was.rows)
    kept = in_quarantine(history, files)
    findings += [_in_quarantine(path, kept[path]) for path in sorted(kept)]
    # A file that was replaced and not learnt since is new again.
    again = history.quarantined().keys() - kept.keys() - {one.path for one in learnt}
    named = {one.path for entry in history.line() for one in entry.all_partitions()} - again
    for mark in history.table_marks():
        named |= {path for path, _ in (*mark.rewritten, *mark.left_out)}
    if new := sorted(set(files) - named):
        more = f", as {len(new) - 1:,} more" if len(new) > 1 else ""
        text = f"not learnt yet{more}: new, held out, without rows, or without rows to take"
        findings.append(Finding(level="note", part="lake", where=new[0], text=text))
    return len(learnt), findings


def _in_table(learnt: list[_Learnt], table: Table) -> tuple[list[_Learnt], int]:
    """Find learnt files as the table had them; return the number of those that are gone.

    A table replaces files, and its VACUUM removes them, so a file that is gone is no fault.
    """
    found = []
    for one in learnt:
        file = one.file
        if file is None or name_of(file) != (one.path, one.was.deleted):
            file = table.file(one.path, one.was.deleted)
        if file is not None:
            found.append(replace(one, file=file))
    return found, len(learnt) - len(found)


def _in_quarantine(path: str, entry: SkipEntry) -> Finding:
    text = f"in quarantine since version {entry.version}: {entry.reason}"
    return Finding(level="note", part="lake", where=path, text=text)


def _finding(where: str, text: str) -> Finding:
    return Finding(level="lake", part="lake", where=where, text=text)


@dataclass(frozen=True, slots=True)
class _Learnt:
    """A learnt file, with the content that was learnt last."""

    path: str
    file: LakeFile | None
    """The file as it was listed; None if the lake no longer has it."""
    was: Fingerprint


def _learnt_files(history: History) -> Iterable[tuple[str, Fingerprint]]:
    """Return the path of each learnt file, with the content that was learnt last."""
    trained = (one for entry in history.trained() for one in entry.partitions)
    return {one.path: one.fingerprint for one in trained}.items()


def _difference(_: None, learnt: _Learnt) -> str:
    """Describe how a file differs from what was learnt; empty if it does not."""
    file, was = learnt.file, learnt.was
    if file is None:
        return "learnt, but no longer in the lake"
    try:
        now = read_footer(file).fingerprint
    except DataError as error:
        return f"cannot be read any more: {first_line(error)}"
    if was.etag is None or now.etag is None:
        # Only object stores give etags. A lake may have moved between a disk and a store.
        was, now = (replace(one, etag=None) for one in (was, now))
    if now == was:
        return ""
    return f"has changed since it was learnt: {was.brief} then; {now.brief} now"
