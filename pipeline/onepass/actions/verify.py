"""Verify a model directory: check log, states and learnt files, and report what can be used.

Verifying changes nothing, takes no lock, and continues after a fault. States of versions that the
log lacks show that its end has been cut off. If these states are gone as well, only a digest that
the user kept elsewhere (`head`) can show it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from onepass.actions.advice import advice
from onepass.actions.verify_lake import compare_lake
from onepass.actions.verify_records import record_faults, tag_faults
from onepass.actions.verify_report import Finding, Level, Part, VerifyReport
from onepass.actions.verify_states import must_exist
from onepass.errors import DataError, ForeignModel, JobError, first_line
from onepass.ledger.chain import NO_ENTRY, log_key
from onepass.ledger.consistency import inconsistencies
from onepass.ledger.entries import LearntEntry
from onepass.ledger.ledger import Ledger
from onepass.ledger.leftovers import leftovers, strangers
from onepass.ledger.store import LOCK_KEY, open_store
from onepass.model.directory import OpenModel, open_model
from onepass.model.table_choice import table_choice
from onepass.stream.workers import Workers
from onepass.training.learn_group import GroupLearner
from onepass.training.progress import Progress
from onepass.training.restore import Restorer

_FOLDERS: tuple[Literal["log", "state"], ...] = ("log", "state")

_MOST_LOOKS = 10
"""Maximum number of attempts to check the states while another process trains and deletes some."""


def verify(
    model: str | Path,
    *,
    lake: str | list[str] | None = None,
    check_lake: bool = True,
    retrain: bool = False,
    head: str | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check the chain of the log, the states, and the files that were learnt.

    Parameters
    ----------
    model
        Model directory.
    lake
        Present place of the lake; by default the place in the job of the model.
    check_lake
        Whether to compare the footers of the learnt files with the log. This reads the paths that
        the model names, also if the model comes from a stranger.
    retrain
        Whether to learn the newest version again, from the state before it: its state, rows, loss
        and metrics must come out the same.
    head
        The `head_sha256` of an earlier report, which must still be the digest of an entry.
    dask
        Address of a Dask scheduler, whose workers read the lake; threads of this process by
        default.
    progress
        Receives files that are compared.

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
    opened = check.open()
    if opened is not None:
        opened.ledger.retention.allow_for_runs()
        tagged = list(tag_faults(opened.ledger))
        check.states_during_training(opened)
        check.findings += [*tagged, *record_faults(opened.store)]
        check.log(opened.ledger, head)
        check.lock(opened)
        where = lake or opened.file.job.lake
        with Workers(dask, mixed=not retrain) as workers:
            if check_lake:
                check.lake(opened, where, workers)
            if retrain:
                check.retrain(opened, where, workers)
        check.leftovers(opened)
    return check.report(opened, time.perf_counter() - began)


class _Check:
    """Checks the parts of one model directory and collects the findings."""

    def __init__(self, path: str, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self.findings: list[Finding] = []
        self.sound: list[LearntEntry] = []
        self.let_go = 0
        self.lake_files: int | None = None
        self.retrained: int | None = None

    def open(self) -> OpenModel | None:
        """Open the model, with its log as far as it is sound; None if that is impossible."""
        try:
            return open_model(self.path, strict=False)
        except ForeignModel as error:
            self._unopened(error)
            return None

    def log(self, ledger: Ledger, head: str | None) -> None:
        """Check the chain, the consistency of its entries, and the head that is asked for."""
        history = ledger.history
        if ledger.fault is not None:
            self._add("damage", "log", log_key(ledger.version + 1), first_line(ledger.fault))
        for key in ledger.strays:
            self._add("damage", "log", "log", f"{key[:200]!r} {NO_ENTRY}")
        for entry, text in inconsistencies(history.line()):
            self._add("damage", "log", log_key(entry.version), text)
        known = {entry.parent_sha256 for entry in history.entries} | {ledger.head_sha256}
        if head is not None and head not in known:
            text = f"no entry has the sha256 {head[:64]!r}: the log has been cut or altered since"
            self._add("damage", "log", "log", text)
        if history.entries and not ledger.sealed:
            text = "has no seal, as an older onepass wrote it: a change in it would not be seen"
            self._add("note", "log", log_key(ledger.version), text)

    def lock(self, opened: OpenModel) -> None:
        """Check that the lock is a plain file; every writer would refuse anything else."""
        try:
            opened.store.check_lock()
        except ForeignModel as error:
            text = f"{error}; remove it, and the next run makes its own"
            self._add("damage", "lock", LOCK_KEY, text)

    def states_during_training(self, opened: OpenModel) -> None:
        """Check the states while another process may train and delete old ones."""
        for _ in range(_MOST_LOOKS):
            before, self.findings = self.findings, []
            self.states(opened)
            # A writer may have committed new versions since the log was read, and have deleted the
            # state of an old one. Read the new entries, and check again by them.
            if not self.findings or self.findings == before or not opened.ledger.catch_up():
                break

    def states(self, opened: OpenModel) -> None:
        """Check every state that exists, and find those that must exist.

        The newest state comes first, because a writer may delete it during the check.
        """
        ledger, history = opened.ledger, opened.ledger.history
        self.sound, self.let_go = [], 0
        with suppress(ForeignModel):
            ledger.tags.catch_up()
        there = set(opened.store.list("state"))
        counting = {entry.version for entry in history.learnt()}
        tags = ledger.tags.named()
        for entry in reversed([e for e in history.entries if isinstance(e, LearntEntry)]):
            counts = entry.version in counting
            if entry.state.key in there:
                self._state(opened, entry, counts)
                continue
            self.let_go += 1
            # If the log has a fault, commits after it may have deleted older states.
            if ledger.fault is None and must_exist(ledger, entry):
                names = [name for name, tag in tags.items() if tag.version == entry.version]
                self._missing(entry, counts, names)

    def lake(self, opened: OpenModel, lake: str | list[str], workers: Workers) -> None:
        """Compare the files of the lake with what was learnt from them."""
        history, choice = opened.ledger.history, table_choice(opened.file.job)
        self.lake_files, findings = compare_lake(history, lake, choice, workers, self.progress)
        self.findings += findings

    def retrain(self, opened: OpenModel, lake: str | list[str], workers: Workers) -> None:
        """Learn the newest version again, and compare the result with its log entry."""
        newest = opened.ledger.history.newest_states(1)
        if not newest:
            return
        key = log_key(newest[0].version)
        job = opened.file.job.model_copy(update={"dask": None, "lake": lake})
        try:
            learner = GroupLearner(opened.file, job, workers, self.progress)
            differences = Restorer(opened, learner).differences()
        except ForeignModel as error:
            self._add("note", "log", key, f"cannot be learnt again: {first_line(error)}")
        except (JobError, DataError) as error:
            self._add("lake", "lake", key, f"cannot be learnt again: {first_line(error)}")
        else:
            self.retrained = None if differences else newest[0].version
            for text in differences:
                self._add("damage", "log", key, text)

    def leftovers(self, opened: OpenModel) -> None:
        """Find files that no version names."""
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
        """Return the report of all checks."""
        levels = {finding.level for finding in self.findings}
        damaged = {finding.part for finding in self.findings if finding.level == "damage"}
        ledger = None if opened is None else opened.ledger
        counting = set() if ledger is None else {e.version for e in ledger.history.learnt()}
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
            tags=0 if ledger is None else len(ledger.tags.named()),
            lake_files=self.lake_files,
            retrained=self.retrained,
            findings=self.findings,
            advice=advice(self.path, ledger, usable, damaged),
            seconds=seconds,
        )

    def _unopened(self, error: ForeignModel) -> None:
        """Report why the model could not be opened: misplaced folders, or else `model.json`."""
        store = open_store(self.path)
        for name in _FOLDERS:
            try:
                store.check_folders(name)
            except ForeignModel as misplaced:
                self._add("damage", name, name, str(misplaced))
        if not self.findings:
            self._add("damage", "model.json", "model.json", str(error))

    def _state(self, opened: OpenModel, entry: LearntEntry, counts: bool) -> None:
        key = entry.state.key
        try:
            opened.state_of(entry)
            self.sound.append(entry)
        except (ForeignModel, PermissionError) as error:
            text = str(error).removeprefix(key).lstrip(": ")
            if isinstance(error, PermissionError):
                text = f"cannot be read: {error.strerror}"
            undone = "" if counts else "; its version has been undone, so it may be removed as well"
            self._add("damage", "state", key, text + undone)

    def _missing(self, entry: LearntEntry, counts: bool, tags: Sequence[str]) -> None:
        if tags:
            text = f"is missing, though the tag {tags[0]!r} names it: move or delete the tag"
            self._add("damage", "state", entry.state.key, text)
        elif counts:
            text = "is missing: it was removed, or the end of the log has been cut off"
            self._add("damage", "state", entry.state.key, text)
        else:
            text = "is missing, of a version that has been undone: going back to it retrains it"
            self._add("note", "state", entry.state.key, text)

    def _add(self, level: Level, part: Part, where: str, text: str) -> None:
        self.findings.append(Finding(level=level, part=part, where=where, text=text))
