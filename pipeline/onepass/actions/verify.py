"""Verify: look at everything that a model directory claims, and say what can still be used.

Nothing is changed, no lock is taken, and the first fault does not end it. That the end of a log has
been cut off is told by the states that it leaves behind. What nothing tells is whether these have
been removed as well: for that, whoever cares keeps a `head_sha256` elsewhere and asks for it with
`head`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from onepass.actions.advice import advice
from onepass.errors import DataError, ForeignModel, JobError, first_line
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import read_footer
from onepass.ledger.chain import NO_ENTRY
from onepass.ledger.consistency import inconsistencies
from onepass.ledger.entries import LearntEntry
from onepass.ledger.ledger import Ledger
from onepass.ledger.leftovers import leftovers, strangers
from onepass.ledger.store import LOCK_KEY, open_store
from onepass.model.directory import OpenModel, open_model
from onepass.partition import Partition
from onepass.training.progress import Progress
from onepass.training.retrace import retrace

Level: TypeAlias = Literal["damage", "lake", "note"]
Part: TypeAlias = Literal["model.json", "log", "state", "lock", "lake", "leftover"]

_FOLDERS: tuple[Literal["log", "state"], ...] = ("log", "state")

_MOST_LOOKS = 10
"""Looks at the states beside a writer, who may let go of another one during each."""


class Finding(BaseModel):
    """Something that is not as it should be, or that should be known."""

    level: Level
    """``damage``: the directory is not what was committed; ``lake``: the lake is not what was
    learnt; ``note``: no harm."""
    part: Part
    where: str
    """Key of the file in the model directory or the lake."""
    text: str


class VerifyReport(BaseModel):
    """What verifying has found."""

    model: str
    sound: bool
    """Whether the directory and the lake are as they were committed and learnt."""
    exit_code: int
    """0 sound; 3 the lake has changed; 4 the directory is damaged."""
    version: int
    """Newest version up to which the log is sound."""
    head_sha256: str
    """Digest of its entry, which seals all entries before it and `model.json`."""
    usable_version: int | None
    """Newest version that counts, is sound and has a sound state; None if there is none."""
    states: int
    """States that are there and sound."""
    let_go: int
    """States that are not there, most of them by retention."""
    lake_files: int | None
    """Files that have been learnt and were compared with the lake; None if it was not asked for."""
    retrained: int | None
    """Version that was learnt again and gave the same numbers; None if it was not asked for."""
    findings: list[Finding]
    advice: str
    """What can still be used, and what to do."""
    seconds: float


def verify(
    model: str | Path,
    *,
    lake: str | list[str] | None = None,
    check_lake: bool = True,
    retrain: bool = False,
    head: str | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check the chain of the log, the states, and the files that were learnt.

    Parameters
    ----------
    model
        Model directory.
    lake
        Where the lake is now; by default where the model says.
    check_lake
        Whether the footers of the files that were learnt are compared with the log. Of a stranger's
        model, mind that its `model.json` says where to look.
    retrain
        Whether the newest version is learnt once more, from the state before it: its state, rows,
        loss and metrics must come out again.
    head
        A `head_sha256` of an earlier report, which must still be in the chain.
    progress
        Told about files that are compared.

    Raises
    ------
    ModelNotFound
        If there is no model at all.
    StoreError
        If an object store does not answer or denies access, which says nothing about the model or
        the lake.
    """
    began = time.perf_counter()
    check = _Check(str(model), progress or Progress())
    opened = check.states_beside_a_writer()
    if opened is not None:
        check.log(opened.ledger, head)
        check.lock(opened)
        if check_lake:
            check.lake(opened, lake)
        if retrain:
            check.retrain(opened, lake)
        check.leftovers(opened)
    return check.report(opened, time.perf_counter() - began)


class _Check:
    """Findings of one look at a directory."""

    def __init__(self, path: str, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self.findings: list[Finding] = []
        self.sound: list[LearntEntry] = []
        self.let_go = 0
        self.lake_files: int | None = None
        self.retrained: int | None = None

    def opened(self) -> OpenModel | None:
        """The model, with its log as far as it is sound."""
        try:
            return open_model(self.path, strict=False)
        except ForeignModel as error:
            self._unopened(error)
            return None

    def _unopened(self, error: ForeignModel) -> None:
        store = open_store(self.path)
        for name in _FOLDERS:
            try:
                store.check_folders(name)
            except ForeignModel as misplaced:
                self._add("damage", name, name, str(misplaced))
        if not self.findings:
            self._add("damage", "model.json", "model.json", str(error))

    def log(self, ledger: Ledger, head: str | None) -> None:
        """The chain, what entries say of each other, and the head that is asked for."""
        if ledger.fault is not None:
            key = f"log/{ledger.version + 1:020d}.json"
            self._add("damage", "log", key, first_line(ledger.fault))
        for key in ledger.strays:
            self._add("damage", "log", "log", f"{key[:200]!r} {NO_ENTRY}")
        for entry, text in inconsistencies(ledger.history.line()):
            self._add("damage", "log", f"log/{entry.version:020d}.json", text)
        known = {entry.parent_sha256 for entry in ledger.entries} | {ledger.head_sha256}
        if head is not None and head not in known:
            text = f"no entry has the sha256 {head[:64]!r}: the log has been cut or altered since"
            self._add("damage", "log", "log", text)
        if ledger.entries and not ledger.sealed:
            text = "has no seal, as an older onepass wrote it: a change in it would not be seen"
            self._add("note", "log", f"log/{ledger.version:020d}.json", text)

    def lock(self, opened: OpenModel) -> None:
        """What every writer would refuse to hold."""
        try:
            opened.store.check_lock()
        except ForeignModel as error:
            text = f"{error}; remove it, and the next run makes its own"
            self._add("damage", "lock", LOCK_KEY, text)

    def states_beside_a_writer(self) -> OpenModel | None:
        """The model and its states; a writer that goes on meanwhile lets some of them go."""
        opened = self.opened()
        if opened is None:
            return None
        for _ in range(_MOST_LOOKS):
            before, self.findings = self.findings, []
            self.states(opened)
            # What is missed by a log may have been let go since; by two logs in turn, it is not.
            if not self.findings or self.findings == before or not opened.ledger.catch_up():
                break
        return opened

    def states(self, opened: OpenModel) -> None:
        """Every state that is there, and those that must be; the newest first, lest it go."""
        ledger = opened.ledger
        self.sound, self.let_go = [], 0
        there = set(opened.store.list("state"))
        counting = {entry.version for entry in ledger.history.learnt()}
        for entry in reversed([e for e in ledger.entries if isinstance(e, LearntEntry)]):
            counts = entry.version in counting
            if entry.state.key in there:
                self._state(opened, entry, counts)
                continue
            self.let_go += 1
            # Versions behind a fault in the log have let go of states before it.
            if ledger.fault is None and _is_due(ledger, entry):
                self._missing(entry, counts)

    def _state(self, opened: OpenModel, entry: LearntEntry, counts: bool) -> None:
        key = entry.state.key
        try:
            data = opened.ledger.read_state(entry)
            opened.file.trainee(len(data)).restore(data, key)
            self.sound.append(entry)
        except (ForeignModel, PermissionError) as error:
            text = str(error).removeprefix(key).lstrip(": ")
            if isinstance(error, PermissionError):
                text = f"cannot be read: {error.strerror}"
            undone = "" if counts else "; its version has been undone, so it may be removed as well"
            self._add("damage", "state", key, text + undone)

    def _missing(self, entry: LearntEntry, counts: bool) -> None:
        if counts:
            text = "is missing: it was removed, or the end of the log has been cut off"
            self._add("damage", "state", entry.state.key, text)
        else:
            text = "is missing, of a version that has been undone: going back to it retrains it"
            self._add("note", "state", entry.state.key, text)

    def lake(self, opened: OpenModel, lake: str | list[str] | None) -> None:
        """Each file that was learnt against its fingerprint."""
        self.lake_files = 0
        learnt = _learnt_files(opened.ledger)
        try:
            files = {file.key: file for file in discover(lake or opened.file.job.lake)}
        except (DataError, JobError) as error:
            self._add("lake", "lake", str(lake or opened.file.job.lake)[:500], str(error))
            return
        self.progress.started(len(learnt), sum(one.fingerprint.rows for one in learnt.values()))
        for path, partition in sorted(learnt.items()):
            self.lake_files += 1
            text = _difference(files.get(path), partition)
            if text:
                self._add("lake", "lake", path, text)
            self.progress.advanced(partition.fingerprint.rows)
        named = {p.path for e in opened.ledger.history.line() for p in e.all_partitions()}
        if new := sorted(set(files) - named):
            more = f", as {len(new) - 1:,} more" if len(new) > 1 else ""
            text = f"not learnt yet{more}: new, or without rows"
            self._add("note", "lake", new[0], text)

    def retrain(self, opened: OpenModel, lake: str | list[str] | None) -> None:
        """The newest version once more."""
        newest = opened.ledger.history.learnt()[-1:]
        if not newest:
            return
        key = f"log/{newest[0].version:020d}.json"
        try:
            differences = retrace(opened, lake, self.progress)
        except ForeignModel as error:
            self._add("note", "log", key, f"cannot be learnt again: {first_line(error)}")
        except (DataError, JobError) as error:
            self._add("lake", "lake", key, f"cannot be learnt again: {first_line(error)}")
        else:
            self.retrained = None if differences else newest[0].version
            for text in differences:
                self._add("damage", "log", key, text)

    def leftovers(self, opened: OpenModel) -> None:
        """Files that no version names."""
        store, ledger = opened.store, opened.ledger
        for one in leftovers(store, ledger):
            text = f"{one.what}, {one.nbytes:,} bytes, left by a killed run; training removes it"
            self._add("note", "leftover", one.key, f"{text} when it is a day old")
        for key, version in strangers(store, ledger):
            if version is None:
                text = "not of this model; left alone"
            elif ledger.fault is not None:
                text = f"state of version {version}, which is behind the fault in the log"
            else:
                text = (
                    f"state of version {version}, which the log does not have: a run was killed "
                    "before its commit, or the end of the log has been cut off"
                )
            self._add("note", "leftover", key, text)

    def report(self, opened: OpenModel | None, seconds: float) -> VerifyReport:
        """Everything together."""
        levels = {finding.level for finding in self.findings}
        damaged = {finding.part for finding in self.findings if finding.level == "damage"}
        ledger = None if opened is None else opened.ledger
        counting = set() if ledger is None else {entry.version for entry in ledger.history.learnt()}
        usable = max((e.version for e in self.sound if e.version in counting), default=None)
        return VerifyReport(
            model=self.path,
            sound=not levels & {"damage", "lake"},
            exit_code=4 if "damage" in levels else 3 if "lake" in levels else 0,
            version=0 if ledger is None else ledger.version,
            head_sha256="" if ledger is None else ledger.head_sha256,
            usable_version=usable,
            states=len(self.sound),
            let_go=self.let_go,
            lake_files=self.lake_files,
            retrained=self.retrained,
            findings=self.findings,
            advice=advice(self.path, ledger, usable, damaged),
            seconds=seconds,
        )

    def _add(
        self,
        level: Level,
        part: Part,
        where: str,
        text: str,
    ) -> None:
        self.findings.append(Finding(level=level, part=part, where=where, text=text))


def _is_due(ledger: Ledger, entry: LearntEntry) -> bool:
    """Whether the state of a version must be there."""
    if not ledger.retention.keeps(entry):
        return False
    if ledger.retention.keeps_for_good(entry) or entry in ledger.history.learnt()[-1:]:
        return True
    # Where a rewind has gone back to, the states before it had been let go already.
    return all(later.action != "rewind" for later in ledger.entries[entry.version :])


def _learnt_files(ledger: Ledger) -> dict[str, Partition]:
    """One partition of each file that was learnt, of the content learnt last."""
    found = {}
    for entry in ledger.history.trained():
        for partition in entry.partitions:
            found[partition.path] = partition
    return found


def _difference(file: LakeFile | None, partition: Partition) -> str:
    was = partition.fingerprint
    if file is None:
        return "learnt, but no longer in the lake"
    try:
        now = read_footer(file).fingerprint
    except (DataError, JobError) as error:
        return f"cannot be read any more: {first_line(error)}"
    if was.etag is None or now.etag is None:
        # A lake that has moved between a disk and a store is the same lake.
        was, now = (replace(one, etag=None) for one in (was, now))
    if now == was:
        return ""
    return f"has changed since it was learnt: {was.brief} then; {now.brief} now"
