"""Remember what files looked like before they were read, and compare them with the quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from onepass.lake.discover import LakeFile
from onepass.lake.look import ABSENT, look_at
from onepass.ledger.entries import SkipEntry
from onepass.ledger.history import History
from onepass.partition import Group, Look
from onepass.training.learn_group import GroupLearner


class Looks:
    """Looks of the files of planned groups, each taken once in a run and before it is read.

    Parameters
    ----------
    learner
        Has the files of the lake as they were listed.
    """

    def __init__(self, learner: GroupLearner) -> None:
        self._learner = learner
        self._looks: dict[str, Look] = {}

    def take(self, groups: Iterable[Group]) -> None:
        """Look at the files of groups that are to be read."""
        files = self._learner.files
        for path in {one.path for group in groups for one in group.partitions} - self._looks.keys():
            self._looks[path] = look_at(files.get(path))

    def of(self, path: str) -> Look:
        """Return the look of a file."""
        return self._looks.get(path, ABSENT)


def in_quarantine(history: History, files: Mapping[str, LakeFile]) -> dict[str, SkipEntry]:
    """Return the files of a lake that are in quarantine, with the newest entry of each.

    A file that is gone, or that has been replaced, is not in quarantine any more.
    """
    found: dict[str, SkipEntry] = {}
    for path, kept in history.quarantined().items():
        if path not in files:
            continue
        now = look_at(files[path])
        same = [one for one in kept.values() if one.quarantine and one.quarantine == now]
        if same:
            found[path] = same[-1]
    return found
