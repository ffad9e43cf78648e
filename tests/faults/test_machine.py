"""Whatever happens to a model and its lake, in any order: the ledger stays true.

A state machine draws the steps: files land, change and go; runs train, stop, are killed within a
commit, or meet another writer; versions are rewound; the newest state or entry is damaged. After
each step the log must extend what it was, no content may count twice, and `verify` must find what
is damaged and nothing else. Where a run got through, its state must be that of the same entries
learnt afresh, from copies of the files as they were.

A kill is an exception at the n-th step on the disk, after which no other step is possible, so that
nothing is cleaned up. ``REPEAT`` multiplies the number of cases, ``SEED`` changes them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lakes import number_table
from onepass import rewind, verify
from onepass.errors import (
    BadPartition,
    ChangedPartition,
    DataError,
    EmptyLake,
    ForeignModel,
    JobError,
    ModelConflict,
)
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.ledger.entries import LearntEntry, TrainEntry
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore
from onepass.model.directory import OpenModel, open_model
from onepass.model.state import ModelState
from onepass.partition import Group, Partition
from onepass.stream.workers import Workers
from onepass.training.groups import Pupil, learn_again
from onepass.training.learn_group import GroupLearner
from onepass.training.progress import Progress
from processes import STEPS_OF_A_COMMIT
from recording import At, Recorder
from small import train, train_pending

REPEAT = int(os.environ.get("REPEAT", "1"))
SEED = int(os.environ.get("SEED", "0"))

NAMES = [f"part-{i}.parquet" for i in range(4)]
WISHES = ["error", "skip", "retrain"]

STEPS: Counter[str] = Counter()
"""Steps taken, and those that ended in a refusal, over all cases."""


class Killed(BaseException):
    """Stands for the end of the process."""


class Mortal:
    """While it is entered, the process dies at its n-th step on the disk."""

    def __init__(self, steps: int) -> None:
        self.left, self.patch = steps, pytest.MonkeyPatch()

    def __enter__(self) -> Mortal:
        for name in STEPS_OF_A_COMMIT:
            self.patch.setattr(os, name, self._telling(getattr(os, name)))
        return self

    def __exit__(self, *exc: object) -> None:
        self.patch.undo()

    def _telling(self, real: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Killed
            return real(*args, **kwargs)

        return wrapped


class Machine(RuleBasedStateMachine):
    """One model, its lake, and all that was ever in it."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="onepass-machine-"))
        self.lake, self.model = self.root / "lake", self.root / "model"
        self.lake.mkdir()
        self.n_contents, self.log = 0, []
        self.harmed: Path | None = None
        self.torn: tuple[Path, bytes] | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    # -- the lake ---------------------------------------------------------------------------------

    @initialize()
    def create(self) -> None:
        for name in NAMES[:2]:
            self._write(name)
        job = {"lake": str(self.lake), "label": "y", "model": str(self.model), "solver": "sgd"}
        train_pending(job)

    @rule(name=st.sampled_from(NAMES))
    def write_file(self, name: str) -> None:
        """Add a file, or rewrite it."""
        self._count("rewrite" if (self.lake / name).exists() else "add")
        self._write(name)

    @precondition(lambda self: len(os.listdir(self.lake)) > 1)
    @rule(data=st.data())
    def remove_file(self, data: st.DataObject) -> None:
        self._count("remove")
        (self.lake / data.draw(st.sampled_from(sorted(os.listdir(self.lake))))).unlink()

    # -- runs -------------------------------------------------------------------------------------

    @rule(on_changed=st.sampled_from(WISHES), on_bad=st.sampled_from(WISHES[:2]))
    def train(self, on_changed: str, on_bad: str) -> None:
        """A whole run: all that is there is settled afterwards, once."""
        done = self._run(train, "train", on_changed=on_changed, on_bad=on_bad)
        if done:
            self._check_settled()
            self._check_fresh_replay()

    @precondition(lambda self: self.torn is None)
    @rule(steps=st.integers(0, 30), on_changed=st.sampled_from(["retrain", *WISHES]))
    def killed(self, steps: int, on_changed: str) -> None:
        with Mortal(steps):
            self._run(train, "kill", on_changed=on_changed, on_bad="skip")

    @rule()
    def some(self) -> None:
        """The next group of the plan."""
        self._run(train_pending, "some", max_seconds=0)

    @rule(by_lock=st.booleans())
    def second_writer(self, by_lock: bool) -> None:
        """Another run while this one is under way: one of them stops, nothing counts twice."""
        self._count("second writer")
        job = {"model": str(self.model), "on_changed": "retrain", "on_bad": "skip"}
        ends: list[str] = []

        def other() -> None:
            try:
                train(job)
                ends.append("other went through")
            except (ModelConflict, *REFUSALS) as error:
                ends.append(type(error).__name__)

        with pytest.MonkeyPatch.context() as patch:
            if not by_lock:
                patch.setattr(LocalStore, "exclusive", lambda self: nullcontext())
            try:
                train(job, progress=At("committed", lambda _: other()))
            except ModelConflict:
                assert not by_lock
                assert ends == ["other went through"]
            except REFUSALS as error:
                self._check_cause(error)
        assert not (by_lock and ends) or ends[0] == "ModelBusy"

    @rule(data=st.data(), exclude=st.booleans())
    def rewind(self, data: st.DataObject, exclude: bool) -> None:
        newest = self._ledger().version if self.torn is None else 2
        to = data.draw(st.integers(0, max(0, newest - 1)))
        pattern = [data.draw(st.sampled_from(NAMES))] if exclude else []
        line = [] if self.torn else self._ledger().history.line(to)
        if self._run(lambda job, **_: rewind(job["model"], to, exclude=pattern), "rewind"):
            now = self._ledger()
            assert [e for e in now.history.line() if e.version <= newest] == line
            if now.history.learnt():
                now.read_state(now.history.learnt()[-1])

    # -- damage -----------------------------------------------------------------------------------

    @precondition(lambda self: self.torn is None and self.harmed is None)
    @rule()
    def corrupt_newest_state(self) -> None:
        learnt = self._ledger().history.learnt()
        path = self.model / learnt[-1].state.key if learnt else None
        if path is not None and path.exists():
            self._count("corrupt state")
            path.write_bytes(_flipped(path.read_bytes()))
            self.harmed = path

    @precondition(lambda self: self.torn is None and self.log)
    @rule()
    def corrupt_newest_entry(self) -> None:
        self._count("corrupt entry")
        path = sorted(self.model.glob("log/*.json"))[-1]
        self.torn = path, path.read_bytes()
        path.write_bytes(_flipped(self.torn[1]))

    @precondition(lambda self: self.torn is not None)
    @rule()
    def put_entry_back(self) -> None:
        assert self.torn is not None
        self.torn[0].write_bytes(self.torn[1])
        self.torn = None

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def log_extends_what_it_was(self) -> None:
        if self.torn is None:
            now = [path.read_bytes() for path in sorted(self.model.glob("log/*.json"))]
            assert now[: len(self.log)] == self.log
            self.log = now

    @invariant()
    def no_content_counts_twice(self) -> None:
        if self.torn is None and self.log:
            counts = Counter(
                (p.path, str(p.fingerprint))
                for e in self._ledger().history.trained()
                for p in e.partitions
            )
            assert not counts or max(counts.values()) == 1

    @invariant()
    def verify_finds_what_is_damaged_and_nothing_else(self) -> None:
        if not self.log:
            return
        report = verify(self.model, check_lake=False)
        damaged = {finding.where for finding in report.findings if finding.level == "damage"}
        if self.torn is not None:
            assert f"log/{self.torn[0].name}" in damaged
            return
        if self.harmed is not None and self._is_sound(self.harmed):
            self.harmed = None
        # A state that was damaged when it fell out of retention or a rewind is no longer looked at.
        expected = {self.harmed.relative_to(self.model).as_posix()} if self.harmed else set()
        assert damaged <= expected, report.findings
        assert report.sound or damaged

    # -- how --------------------------------------------------------------------------------------

    def _run(self, action: Any, what: str, **fields: Any) -> bool:
        """Whether it got through; if it did not, there must be a cause."""
        progress, bound = Recorder(), {}
        if "max_seconds" in fields:
            bound["max_seconds"] = fields.pop("max_seconds")
        self._count(what)
        try:
            action({"model": str(self.model), **fields}, progress=progress, **bound)
            assert self.torn is None, "trained on a damaged log"
            return True
        except Killed:
            self._count("killed in time")
            return False
        except REFUSALS as error:
            self._count(f"{what} refused")
            self._check_cause(error)
            return False
        finally:
            if self.torn is None:
                assert self._ledger().version >= progress.version

    def _check_cause(self, error: Exception) -> None:
        if self.torn is not None:
            assert isinstance(error, ForeignModel)
            return
        if not isinstance(error, BadPartition | ChangedPartition | JobError):
            # A state has been deleted, and the file to retrain it from has changed.
            assert isinstance(error, DataError), error
            assert str(error).startswith("nothing has been rewound: "), error
        if isinstance(error, ChangedPartition):
            path = error.path
            known = {
                str(p.fingerprint)
                for e in self._ledger().entries
                for p in e.all_partitions()
                if p.path == path and isinstance(p, Partition)
            }
            assert len(known | {self._content(path)}) > 1, error

    def _check_settled(self) -> None:
        """Every content of the lake is learnt or left out, and nothing is waiting."""
        found = self._ledger()
        assert not found.history.pending()
        settled = {
            (p.path, str(p.fingerprint))
            for e in found.history.decided()
            for p in e.all_partitions()
            if isinstance(p, Partition)
        }
        assert {(name, self._content(name)) for name in os.listdir(self.lake)} <= settled

    def _check_fresh_replay(self) -> None:
        """The newest state is what the entries that count say, learnt from the beginning."""
        ledger = self._ledger()
        if not ledger.history.learnt():
            return
        model = open_model(self.model)
        state = model.file.new_state()
        for entry in ledger.history.trained():
            data = self._learn_again(model, state, entry)
            state.restore(data, entry.state.key)
        assert data == ledger.read_state(ledger.history.learnt()[-1])
        self._count("replayed")

    def _learn_again(self, model: OpenModel, state: ModelState, entry: TrainEntry) -> bytes:
        """Learn what an entry has learnt from files as they were then; return the state."""
        with tempfile.TemporaryDirectory() as lake, Workers() as workers:
            for partition in entry.partitions:
                content = self.root / _folder(str(partition.fingerprint))
                shutil.copytree(content, lake, dirs_exist_ok=True)
            job = model.file.job.model_copy(update={"lake": lake})
            learner = GroupLearner(model.file, job, workers, Progress())
            horizon = model.ledger.history.planned_rows(entry.version)
            learn_again(Pupil(learner, state, horizon), Group(entry.epoch, entry.partitions))
        return state.dump()

    def _write(self, name: str) -> None:
        self.n_contents += 1
        table = number_table(40 + self.n_contents, self.n_contents)
        path = self.lake / name
        path.unlink(missing_ok=True)
        pq.write_table(table, path, row_group_size=30)
        archive = self.root / _folder(self._content(name))
        archive.mkdir()
        shutil.copy(path, archive / name)

    def _content(self, name: str) -> str:
        [file] = [file for file in discover(str(self.lake)) if file.key == name]
        return str(read_footer(file).fingerprint)

    def _ledger(self) -> Ledger:
        return open_model(str(self.model)).ledger

    def _is_sound(self, path: Path) -> bool:
        ledger = self._ledger()
        for entry in ledger.entries:
            if isinstance(entry, LearntEntry) and Path(entry.state.key).name == path.name:
                try:
                    ledger.read_state(entry)
                except ForeignModel:
                    return not path.exists()
        return True

    def _count(self, what: str) -> None:
        STEPS[what] += 1


REFUSALS = (DataError, EmptyLake, ForeignModel, JobError)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def _folder(fingerprint: str) -> str:
    return "content-" + hashlib.sha256(fingerprint.encode()).hexdigest()


def test_ledger_stays_true_whatever_happens_in_any_order():
    STEPS.clear()
    machine = seed(SEED)(Machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=6 * REPEAT,
            stateful_step_count=20,
            database=None,
            deadline=None,
            phases=[Phase.generate, *([Phase.shrink] if REPEAT > 1 else [])],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    print(f"SEED={SEED}", dict(STEPS))
    assert STEPS["train"] > STEPS["train refused"]
