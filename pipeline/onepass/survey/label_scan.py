"""Look at the labels of a whole lake, to name all classes before anything is trained.

A sample misses rare classes, which would end a training when they come. The column of the label
alone is cheap to read: it is decoded slice by slice, and only the rows of each class are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np

from onepass.encode.classes import MAX_CLASSES, Kind, class_counts, sort_classes
from onepass.errors import BadColumn, BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.selection.rows import Selection
from onepass.stream.each_file import each_file
from onepass.stream.label_slices import MOST_ROWS, label_slices
from onepass.stream.workers import Workers
from onepass.survey.bad_files import BadFiles
from onepass.survey.footers import FooterSummary

SCAN_ROWS = MOST_ROWS
"""Maximum number of labels that are looked at."""

SCAN_REMOTE_FILES = 1024
"""Maximum number of files of an object store that are looked at: each takes two requests."""


class Scan(Protocol):
    """Looks at the labels of a lake; see `LabelScan.take`."""

    def __call__(self, kind: Kind, *, blank_is_null: bool = True) -> ScannedLabel:
        """Return the classes of the lake."""
        ...


@dataclass(frozen=True, slots=True)
class ScannedLabel:
    """The classes of the labels of a lake."""

    counts: dict[str, int]
    """Rows of each class, in the order of `sort_classes`; empty if there are too many classes."""
    is_complete: bool
    """Whether all labels of the lake were looked at, rather than those of evenly spaced files."""
    n_null: int = 0
    """Rows without a label."""
    has_too_many: bool = False
    """Whether there are more than `MAX_CLASSES`; the look ended there."""


@dataclass(frozen=True, slots=True)
class LabelScan:
    """A look at the labels of a lake that has not been taken yet.

    Parameters
    ----------
    files
        Files that have rows.
    name
        Column of the label.
    bad
        Files whose labels cannot be decoded are added here.
    workers
        Threads or cluster that decode the labels.
    advanced
        Called with the number of rows of each file that has been looked at, and the number of rows
        to look at in all.
    selection
        Rows that the job takes.
    """

    files: Sequence[FooterSummary]
    name: str
    bad: BadFiles
    workers: Workers
    advanced: Callable[[int, int], None] | None = None
    selection: Selection | None = None

    def take(self, kind: Kind, *, blank_is_null: bool = True) -> ScannedLabel:
        """Look at the labels.

        Memory is bounded by a slice of rows and `MAX_CLASSES`. At most `SCAN_ROWS` labels, in at
        most `SCAN_REMOTE_FILES` files of an object store, are looked at. Of a larger lake, evenly
        spaced files are, and the beginning of a file that is larger by itself. Neither the time nor
        the memory limit decides which.

        Parameters
        ----------
        kind
            Family of the labels.
        blank_is_null
            Whether an empty or blank text is no class.

        Raises
        ------
        BadPartition
            If labels cannot be decoded and bad files are not skipped.
        """
        usable = [one for one in self.files if one.file.key not in self.bad]
        chosen = _affordable(usable)
        total = sum(one.fingerprint.rows for one in chosen)
        counts: Counter[str] = Counter()
        n_null = 0
        look = _Look(self.name, kind, blank_is_null, self.selection)
        tasks = [_Task(one.file, one.fingerprint.rows, one.is_empty(self.name)) for one in chosen]
        each = each_file(
            _count_or_fail,
            look,
            tasks,
            self.workers,
            lambda task: task.file,
            decodes=True,
            is_bad=lambda found: isinstance(found, BadPartition),
        )
        with closing(each) as counted:
            for one, found in zip(chosen, counted, strict=True):
                if isinstance(found, BadPartition):
                    self.bad.add(found)
                    continue
                counts.update(found.counts)
                n_null += found.n_null
                if len(counts) > MAX_CLASSES:
                    return ScannedLabel({}, False, has_too_many=True)
                if self.advanced is not None:
                    self.advanced(one.fingerprint.rows, total)
        ordered = {text: counts[text] for text in sort_classes(list(counts), kind)}
        is_complete = len(chosen) == len(usable) and total <= SCAN_ROWS
        return ScannedLabel(ordered, is_complete, n_null)


@dataclass(slots=True)
class _Counts:
    """Rows of each class of a file, and rows without a label."""

    counts: Counter[str] = field(default_factory=Counter)
    n_null: int = 0


_Counted: TypeAlias = _Counts | BadPartition


@dataclass(frozen=True, slots=True)
class _Look:
    """Settings that are the same for all files."""

    name: str
    kind: Kind
    blank_is_null: bool
    selection: Selection | None


@dataclass(frozen=True, slots=True)
class _Task:
    """A file to look at."""

    file: LakeFile
    n_rows: int
    is_empty: bool
    """Whether no row has a label."""


def _affordable(files: Sequence[FooterSummary]) -> list[FooterSummary]:
    """Return the files to look at: all, or evenly spaced ones."""
    n_rows = sum(one.fingerprint.rows for one in files)
    most = len(files) if n_rows <= SCAN_ROWS else max(1, len(files) * SCAN_ROWS // n_rows)
    if any(one.file.remote is not None for one in files):
        most = min(most, SCAN_REMOTE_FILES)
    chosen = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    return [files[i] for i in chosen]


def _count_or_fail(look: _Look, one: _Task) -> _Counted:
    """Count the classes of a file, or of its beginning if it has more than `MAX_CLASSES`."""
    if one.is_empty:
        return _Counts(n_null=one.n_rows)
    found = _Counts()
    try:
        footer = read_footer(one.file)
        slices = label_slices(one.file, footer, look.name, look.kind, SCAN_ROWS, look.selection)
        for labels in slices:
            counts = class_counts(labels, look.kind, blank_is_null=look.blank_is_null)
            found.counts.update(counts)
            found.n_null += len(labels) - sum(counts.values())
            if len(found.counts) > MAX_CLASSES:
                break
    except BadColumn as error:
        return BadPartition(error.reason, path=one.file.key, column=look.name)
    except BadPartition as error:
        return error
    return found
