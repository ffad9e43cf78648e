"""Choose the files of a lake that a rolling holdout holds out of training.

A file is held out only until some of it has been planned: what is planned is trained, even if the
window grows again, and is never taken for unseen. So each file is judged first and trained once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from onepass.conditions import holds, parse_conditions
from onepass.errors import BadPartition, JobError
from onepass.job import Job
from onepass.job_holdout import RollingHoldout
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.text import listed, printable

_MOST_NAMED = 8
"""Most keys that a message names."""


def utc_today() -> date:
    """Return the date in UTC, which a run asks for once."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class Window:
    """A rolling holdout on the date of a run."""

    rule: RollingHoldout
    today: date

    @classmethod
    def of_job(cls, job: Job, today: date) -> Window | None:
        """Return the window of a job; None if its holdout is no rolling one."""
        return cls(job.holdout, today) if isinstance(job.holdout, RollingHoldout) else None

    def keys(
        self,
        files: Sequence[LakeFile],
        is_usable: Callable[[LakeFile], bool] | None = None,
        *,
        is_ordered: bool = False,
    ) -> set[str]:
        """Return the keys of the files in the window.

        Parameters
        ----------
        files
            Files of the lake.
        is_usable
            Whether a file counts as one of the last files; all of them by default.
        is_ordered
            Whether the files are in the order in which they were added to the lake. Otherwise
            their names order them.

        Raises
        ------
        JobError
            If the value of a folder is not of the kind that it is compared with.
        """
        if self.rule.last is not None:
            ordered = files if is_ordered else sorted(files, key=lambda one: _natural(one.key))
            return set(_last(ordered, self.rule.last, is_usable))
        conditions = parse_conditions(self.rule.where or "")
        try:
            return {one.key for one in files if holds(conditions, _folders(one), self.today)}
        except ValueError as error:
            raise JobError(f"--holdout='{self.rule}': {error}") from None

    def check(self, files: Iterable[LakeFile]) -> None:
        """Check that the lake has the folders that the conditions name.

        Raises
        ------
        JobError
            If no file has such a folder.
        """
        if self.rule.where is None:
            return
        there = {key for one in files for key in _folders(one)}
        for key in (one.key for one in parse_conditions(self.rule.where)):
            if key not in there:
                names = listed([printable(one) for one in sorted(there)], _MOST_NAMED)
                raise JobError(
                    f"the lake has no key=value folder {key!r}, which --holdout='{self.rule}' "
                    f"compares; it has {names or 'none'}"
                )

    def before_survey(
        self, files: Sequence[LakeFile], *, is_ordered: bool = False
    ) -> list[LakeFile]:
        """Return the files of a lake that a new model may see.

        Parameters
        ----------
        files, is_ordered
            As for `keys`.

        Raises
        ------
        JobError
            If none is left, or the conditions do not suit the lake.
        """
        self.check(files)
        held = self.keys(files, _has_rows, is_ordered=is_ordered)
        left = [one for one in files if one.key not in held]
        if not left:
            raise self.nothing_left(len(held))
        return left

    def nothing_left(self, n_files: int) -> JobError:
        """Return the error for a window that leaves nothing to train."""
        return JobError(
            f"nothing to train outside the holdout: --holdout='{self.rule}' holds out all "
            f"{n_files:,} files of the lake\nChoose a smaller window, or wait for older files to "
            "leave it."
        )

    def empty(self) -> str:
        """Return the note about a window without a file to judge the model on."""
        return (
            f"no evaluation: --holdout='{self.rule}' fits no file that is not trained "
            f"(today is {self.today}, UTC)"
        )


def _last(
    files: Sequence[LakeFile], n: int, is_usable: Callable[[LakeFile], bool] | None
) -> Iterable[str]:
    for one in reversed(files):
        if not n:
            return
        if is_usable is None or is_usable(one):
            n -= 1
            yield one.key


def _folders(file: LakeFile) -> dict[str, str | None]:
    """Return the values that all rows of a file have, by the name of the folder or the column."""
    found: dict[str, str | None] = dict(file.hive)
    if file.view is not None:
        constants = file.view.constants.items()
        found |= {name: None if value is None else str(value) for name, value in constants}
    return found


def _natural(key: str) -> tuple[list[str | int], str]:
    """Return what sorts names with numbers in them by these numbers."""
    parts = re.split(r"(\d+)", key)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], key


def _has_rows(file: LakeFile) -> bool:
    try:
        return read_footer(file).fingerprint.rows > 0
    except BadPartition:
        return False
