"""Each row of a table is learnt once, whatever its commits do to the files in which it lies.

Random walks mix operations of a table with runs, runs that are cut off, and rewinds. They plan with
the real planner over a table in memory, and "learn" a partition by noting the ids of its rows.
``WALKS`` and ``SEED`` choose how many, and which.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_table import FakeTable
from lakes import logged_training
from onepass import Job
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import ChangedPartition
from onepass.ledger.entries import Header, PlanEntry, RewindEntry, SkipEntry, StateRef, TrainEntry
from onepass.ledger.history import History
from onepass.ledger.table_mark import file_of
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.workers import Workers
from onepass.training.plan import make_plan
from onepass.training.planned import Plan

STATE = StateRef(key="state/x.npz", size=1, sha256="0" * 64)
SCHEMA = Schema(
    columns=[Numeric(name="x", center=0, scale=1, missing=False)],
    label=Label(name="y"),
    weight=None,
    hash_bits=10,
    hive={},
)
WORKERS = Workers()
"""Not entered: the files of a plain disk are looked at in this thread."""

SEED = int(os.environ.get("SEED", "0"))
WALKS = int(os.environ.get("WALKS", "40"))


class Model:
    """A model that plans over a fake table, with a log and no store."""

    def __init__(self, table: FakeTable, **fields: Any) -> None:
        self.table, self.history = table, History()
        self.fields = {"lake": "t", "label": "y", "model": "m", **fields}
        self.learnt_at: dict[int, int] = {}
        """Version of the table at which each training entry's plan was made."""

    def plan(self, **fields: Any) -> Plan:
        """Plan, and commit what was found, as a session does."""
        plan = self._made(**fields)
        for partition, reason in plan.skips:
            self.history.append(SkipEntry(**self._head(), partition=partition, reason=reason))
        if plan.groups or plan.table is not None:
            entry = PlanEntry(**self._head(), groups=plan.groups, table=plan.table)
            self.history.append(PlanEntry.model_validate_json(entry.model_dump_json()))
        return plan

    def is_refused(self, **fields: Any) -> bool:
        """Return whether a run ends with an error that names what commits have changed."""
        try:
            self._made(**fields | {"on_changed": "error"})
        except ChangedPartition:
            return True
        return False

    def _made(self, **fields: Any) -> Plan:
        pinned, job = self.table.pinned(), Job(**self.fields | fields)
        return make_plan(
            self.history,
            {one.key: one for one in pinned.files()},
            job,
            ColumnCheck(SCHEMA, label=True, selection=job.selection),
            workers=WORKERS,
            split_bytes=1 << 30,
            table=pinned,
        )

    def train(self, most: int | None = None) -> None:
        """Train the pending groups, as far as their files can be read."""
        for group in self.history.pending()[:most]:
            for one in group.partitions:
                name = file_of(one)
                assert name in self.table.active or self.table.pinned().file(*name)
            fields = dict(logged_training("x")) | {
                "partitions": group.partitions,
                "rows": group.rows,
                "epoch": group.epoch,
            }
            self.history.append(TrainEntry(**self._head(), **fields, state=STATE))

    def run(self, **fields: Any) -> Plan:
        """Train all that is new: as `Session.train` does, the rest of an old plan first."""
        had_pending = bool(self.history.pending())
        plan = self.plan(**fields)
        self.train()
        if had_pending:
            plan = self.plan(**fields)
            self.train()
        return plan

    def rewind(self, to: int) -> None:
        self.history.append(RewindEntry(**self._head(), to=to))

    def learnt(self) -> Counter[tuple[int, int]]:
        """How often each row is learnt, by id and value."""
        found: Counter[tuple[int, int]] = Counter()
        for entry in self.history.trained():
            if entry.epoch > 1:
                continue
            for one in entry.partitions:
                found.update(self.table.contents[file_of(one)].items())
        return found

    def _head(self) -> dict[str, Any]:
        fields = {"parent_sha256": "0" * 64, "attempt": "0" * 32, "time": "now"}
        return dict(Header(version=self.history.version + 1, **fields))


class Walk:
    """A random walk over the operations of a table and of a model.

    Parameters
    ----------
    on_changed
        ``skip`` or ``retrain``; see `Job.on_changed`.
    vacuums
        Whether the store may lose files that the newest version does not need. Then a run may find
        rows gone before they were trained.
    splits
        Whether a compaction may write several files, each with rows of all.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        on_changed: str,
        *,
        vacuums: bool = False,
        splits: bool = False,
    ) -> None:
        self.rng, self.on_changed, self.vacuums = random.Random(seed), on_changed, vacuums
        self.n_written = random.Random(seed) if splits else None
        self.table = FakeTable(folder)
        self.model = Model(self.table, epochs=self.rng.choice([1, 1, 2]))
        self.n_rows = 0
        self.mixed: set[int] = set()
        """Rows that came with a commit which also changed others: they may be left out."""
        self.told: set[int] = set()
        """Rows of versions that a run refuses which may leave out none, and of files left out."""
        self.done: list[str] = []
        self.table.append(self.rows(3), self.rows(2))

    def rows(self, n: int) -> dict[int, int]:
        self.n_rows += n
        return {i: 0 for i in range(self.n_rows - n, self.n_rows)}

    def some(self, items: Iterable[Any], least: int = 1) -> list[Any]:
        items = list(items)
        n = self.rng.randint(min(least, len(items)), min(4, len(items)))
        return self.rng.sample(items, n)

    def go(self, n_steps: int) -> None:
        """Walk, and end with a whole run."""
        steps = ["append"] * 4 + ["optimize"] * 5 + ["delete", "merge", "overwrite"] * 2
        steps += ["restore", "alter", "rewind"] + ["train"] * 4 + ["train_a_part"] * 3
        steps += ["vacuum"] * self.vacuums
        for step in [*self.rng.choices(steps, k=n_steps), "train"]:
            self.done.append(step)
            getattr(self, step)()
            self.check_nothing_is_learnt_twice()

    def append(self) -> None:
        n_files = self.rng.randint(1, 2)
        self.table.append(*(self.rows(self.rng.randint(1, 3)) for _ in range(n_files)))

    def optimize(self) -> None:
        if names := self.some(self.table.active):
            n_files = 1 if self.n_written is None else self.n_written.randint(1, 3)
            self.table.optimize(names, n_files)

    def delete(self) -> None:
        if ids := self.some(self.table.rows()):
            self.table.delete(ids, vectors=self.rng.random() < 0.5)

    def merge(self) -> None:
        present = self.table.rows()
        values = {i: present[i] + 1 for i in self.some(present, 0)}
        values |= self.rows(self.rng.choice((0, 2)))
        self.mixed.update(values)
        self.table.merge(values, vectors=self.rng.random() < 0.5)

    def overwrite(self) -> None:
        rows = self.rows(self.rng.choice((0, 2)))
        self.mixed.update(rows)
        self.table.overwrite(self.some(self.table.active), rows)

    def restore(self) -> None:
        version = self.rng.randrange(len(self.table.versions))
        if all(key in self.table.stored for key, _ in self.table.versions[version]):
            # Rows that no run has seen may come back in one file with rows that one has learnt.
            self.mixed.update(self.table.rows(version).keys() - self.table.rows().keys())
            self.table.restore(version)

    def alter(self) -> None:
        self.table.alter()

    def vacuum(self) -> None:
        self.table.vacuum()

    def rewind(self) -> None:
        self.model.rewind(self.rng.randint(0, self.model.history.version))

    def train_a_part(self) -> None:
        """A run that is killed after its plan, or after some groups."""
        self.note_what_is_told()
        self.model.plan(on_changed=self.on_changed, on_bad=self.on_bad)
        self.model.train(self.rng.randint(0, 2))

    def train(self) -> None:
        self.note_what_is_told()
        self.model.run(on_changed=self.on_changed, on_bad=self.on_bad)
        assert not self.model.history.pending()
        if not self.vacuums:
            self.check_all_is_learnt()
            self.check_what_counts_as_left_out()
        before = self.model.history.version
        self.model.run(on_changed=self.on_changed, on_bad=self.on_bad)
        assert self.model.history.version == before, "a run without news has committed"

    def note_what_is_told(self) -> None:
        if self.on_changed == "skip" and self.model.is_refused(on_bad=self.on_bad):
            self.told |= self.table.rows().keys()

    @property
    def on_bad(self) -> str:
        return "skip" if self.vacuums else "error"

    def check_all_is_learnt(self) -> None:
        learnt, present = self.model.learnt(), self.table.rows()
        if self.on_changed == "retrain":
            missing = {i for i, value in present.items() if (i, value) not in learnt}
        else:
            missing = present.keys() - {i for i, _ in learnt}
            for mark in self.model.history.table_marks():
                self.told.update(*(self.table.contents[one] for one in mark.left_out))
            assert missing <= self.told, f"left out in silence: {sorted(missing - self.told)}"
            missing -= self.mixed
        assert not missing, f"never learnt: {sorted(missing)}"

    def check_what_counts_as_left_out(self) -> None:
        n, learnt = self.model.history.n_left_out(), self.model.learnt()
        if any(one not in learnt for one in self.table.rows().items()):
            assert n, "rows that are not learnt do not count as left out"
        names = {file_of(one) for entry in self.model.history.trained() for one in entry.partitions}
        if self.on_changed == "retrain" or names.issuperset(self.table.active):
            assert not n, f"{n} files count as left out, and none is"

    def check_nothing_is_learnt_twice(self) -> None:
        if self.on_changed == "retrain":
            # Rows of changed files are, by intent; those that no commit has changed are not.
            return
        counts: Counter[int] = Counter()
        for (one, _), n in self.model.learnt().items():
            counts[one] += n
        twice = sorted(one for one, n in counts.items() if n > 1)
        assert not twice, f"learnt twice: {twice}"


def faults_of(folder: Path, seeds: Iterable[int], on_changed: str, **kinds: bool) -> list[str]:
    """Return what went wrong in each walk: a check of the walk that failed, or another error."""
    faults = []
    for seed in seeds:
        walk = Walk(folder, seed, on_changed, **kinds)
        try:
            walk.go(n_steps=25)
        except Exception as error:
            faults.append(f"seed {seed}: {' '.join(walk.done)}: {error!r}")
    return faults


@pytest.mark.parametrize(
    "kinds", [(), ("vacuums",), ("splits",)], ids=["kept", "vacuumed", "split"]
)
@pytest.mark.parametrize("on_changed", ["skip", "retrain"])
def test_each_row_of_a_table_is_learnt_once_across_all_orders_of_operations(
    tmp_path, on_changed, kinds
):
    seeds, kinds = range(SEED, SEED + WALKS), dict.fromkeys(kinds, True)
    assert faults_of(tmp_path, seeds, on_changed, **kinds) == []


ONCE_WRONG = {
    "skip": [362, 409, 1034, 1140, 1727, 1998, 2207, 2526, 2597, 3984, 4689, 20689],
    "skip vacuums": [3796],
    "skip splits": [3601],
    "skip vacuums splits": [291],
    "retrain": [105, 1074, 1322, 2933],
    "retrain splits": [963, 2275],
}
"""Walks on which a decision was wrong that looks right: a RESTORE or a rewind undid what it was
drawn from, or brought back rows of which a plan was under way, or left-out rows in another file."""


@pytest.mark.parametrize("walks", ONCE_WRONG)
def test_each_row_is_learnt_once_if_a_restore_or_a_rewind_undoes_what_a_plan_relied_on(
    tmp_path, walks
):
    on_changed, *kinds = walks.split()
    kinds = dict.fromkeys(kinds, True)
    assert faults_of(tmp_path, ONCE_WRONG[walks], on_changed, **kinds) == []


@pytest.mark.parametrize("on_changed", ["skip", "retrain"])
def test_plan_without_the_lineage_is_the_one_that_the_lineage_gives(
    tmp_path, monkeypatch, on_changed
):
    made = Model._made

    def made_both_ways(model: Model, **fields: Any) -> Plan:
        found = made(model, **fields)
        with monkeypatch.context() as patch:
            patch.setattr("onepass.training.plan.has_nothing_new", lambda *_: False)
            patch.setattr("onepass.training.table_news.only_added", lambda *_, **__: None)
            whole = made(model, **fields)
        assert replace(found, table=None) == replace(whole, table=None)
        assert (found.table is None) == (whole.table is None)
        return found

    monkeypatch.setattr(Model, "_made", made_both_ways)
    assert faults_of(tmp_path, range(SEED, SEED + WALKS // 2), on_changed) == []


@pytest.mark.parametrize("on_changed", ["skip", "retrain"])
def test_no_more_counts_as_left_out_than_the_table_has_and_the_model_has_not_learnt(
    table, on_changed
):
    model = Model(table, on_changed="skip")
    table.append({0: 0, 1: 0, 2: 0})
    model.run()
    for gone in (0, 1):
        table.delete([gone])
        model.run()
        assert model.history.n_left_out() == 1
    if on_changed == "skip":
        table.overwrite(table.active, {})
    model.run(on_changed=on_changed)
    table.append({3: 0})
    model.run()
    assert model.history.n_left_out() == 0


@pytest.fixture
def table(tmp_path) -> FakeTable:
    return FakeTable(tmp_path, is_real=True)


def check_learnt_once(model: Model, n_rows: int) -> None:
    assert sorted(model.learnt().items()) == [((i, 0), 1) for i in range(n_rows)]


def compact_all_but_the_first(table: FakeTable) -> None:
    table.optimize(one for one in table.active if 0 not in table.contents[one])


@pytest.mark.parametrize("n_compactions", [1, 2])
def test_files_that_come_back_are_learnt_if_what_was_compacted_from_them_is(table, n_compactions):
    model = Model(table)
    table.append({0: 0})
    model.run()
    table.append({1: 0}, {2: 0})
    before = len(table.versions) - 1
    for _ in range(n_compactions):
        compact_all_but_the_first(table)
    model.run()
    table.restore(before)
    assert not model.run(on_changed="error").groups
    table.append({3: 0})
    compact_all_but_the_first(table)
    assert len(model.run(on_changed="error").groups) == 1
    check_learnt_once(model, 4)


def test_file_without_a_row_to_learn_is_not_missed_once_it_is_vacuumed(table):
    model = Model(table, where="x < 100")
    table.append({0: 0})
    model.run()
    table.append({100: 0}, {1: 0})
    table.optimize(table.active)
    model.run()
    before = model.history.version
    model.run()
    assert model.history.version == before
    table.vacuum()
    table.append({2: 0})
    plan = model.run(on_changed="error")
    assert not plan.notes
    check_learnt_once(model, 3)


def test_marks_of_older_versions_settle_the_files_that_they_name(table):
    model = Model(table)
    table.append({0: 0, 1: 0}, {2: 0})
    model.run()
    table.append({3: 0})
    table.optimize(table.active)
    model.run()
    [*_, mark] = model.history.table_marks()
    assert (len(mark.exchanges), len(mark.rewritten)) == (1, 1)
    mark.exchanges.clear()
    table.append({4: 0})
    table.optimize(table.active)
    model.run()
    check_learnt_once(model, 5)


def test_files_that_marks_of_older_versions_call_replaced_are_left_out_if_they_come_back(table):
    model = Model(table)
    table.append({0: 0})
    model.run()
    table.append({1: 0})
    [gone] = (one for one in table.active if 1 in table.contents[one])
    before = len(table.versions) - 1
    table.overwrite([gone], {2: 0})
    model.run()
    [*_, mark] = model.history.table_marks()
    mark.exchanges.clear()
    mark.replaced.append(gone)
    table.restore(before)
    assert model.is_refused()
    model.run(on_changed="skip")
    assert model.history.table_marks()[-1].version == table.pinned().version
    assert (1, 0) not in model.learnt()
    model.run(on_changed="retrain")
    assert model.learnt()[1, 0] == 1
