"""The fold of a table's commits: which files are new, rewritten, left out or read as they were."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from onepass.lake.tables.table import Commit, FileOfTable
from onepass.ledger.table_mark import Exchange
from onepass.training.table_changes import TableChanges
from onepass.training.table_commits import Settled

TRAINED, PLANNED = {"a", "b"}, {"p", "q"}


def name(file: str) -> tuple[str, str | None]:
    """``a`` is a file; ``a-x`` is that file without the rows x."""
    key, _, deleted = file.partition("-")
    return (key, deleted or None)


def commit(operation: str, removed: str = "", added: str = "", *, rows: int | None = 9) -> Commit:
    files = [
        tuple(FileOfTable(*name(one), rows=rows) for one in each.split())
        for each in (removed, added)
    ]
    is_rewrite = operation in {"OPTIMIZE", "ALTER"}
    return Commit(7, "version 7", operation, is_rewrite, added=files[1], removed=files[0])


def folded(
    *commits: Commit,
    active: str,
    retrains: bool = False,
    waiting: Iterable[str] = (),
    planned: Iterable[str] = PLANNED,
) -> TableChanges:
    settled = Settled(
        {name(one) for one in TRAINED},
        planned={name(one) for one in planned},
        waiting=[name(one) for one in waiting],
    )
    return TableChanges(
        settled, commits, {name(one): None for one in active.split()}, retrains=retrains
    )


def files(names: Iterable[tuple[str, str | None]]) -> str:
    return " ".join(key if deleted is None else f"{key}-{deleted}" for key, deleted in names)


CASES = {
    # what: (commits, files at the end, new, rewritten, left out)
    "append": ([commit("WRITE", "", "c d")], "a b c d", "c d", "", ""),
    "metadata": ([commit("ALTER")], "a b", "", "", ""),
    "named again": ([commit("ALTER", "a", "a")], "a b", "", "", ""),
    "compaction of trained": ([commit("OPTIMIZE", "a b", "c")], "c", "", "c", ""),
    "compaction of new": (
        [commit("WRITE", "", "c d"), commit("OPTIMIZE", "c d", "e")], "a b e", "e", "", "",
    ),
    "compaction of both": (
        [commit("WRITE", "", "c"), commit("OPTIMIZE", "a c", "d")], "b d", "c", "d", "",
    ),
    "compaction of an empty file": ([commit("OPTIMIZE", "a z", "d", rows=0)], "d", "", "d", ""),
    "compaction with a file of which no plan has taken a row": (
        [commit("OPTIMIZE", "a c", "d")], "b d", "", "d", "",
    ),
    "compaction of planned": ([commit("OPTIMIZE", "p q", "c")], "c", "", "c", ""),
    "rows deleted from trained": ([commit("DELETE", "a", "a-1")], "a-1 b", "", "", "a-1"),
    "rows deleted from new": (
        [commit("WRITE", "", "c"), commit("DELETE", "c", "c-1")], "a b c-1", "c-1", "", "",
    ),
    "rows deleted from both, by vectors": (
        [commit("WRITE", "", "c"), commit("DELETE", "a c", "a-1 c-1")],
        *("a-1 b c-1", "c-1", "", "a-1"),
    ),
    "rows deleted from both, written anew": (
        [commit("WRITE", "", "c"), commit("DELETE", "a c", "d e")], "b d e", "c", "", "d e",
    ),
    "overwrite of all": ([commit("WRITE", "a b", "c")], "c", "", "", "c"),
    "overwrite of new": (
        [commit("WRITE", "", "c"), commit("WRITE", "c", "d")], "a b d", "d", "", "",
    ),
    "restored before it was seen": (
        [commit("DELETE", "a", "c"), commit("RESTORE", "c", "a")], "a b", "", "", "",
    ),
    "compaction that is restored": (
        [commit("OPTIMIZE", "a b", "c"), commit("RESTORE", "c", "a b")], "a b", "", "c", "",
    ),
    "older files come back": ([commit("RESTORE", "a", "c")], "b c", "", "", "c"),
    "older files come back beside all trained ones": (
        [commit("RESTORE", "", "c")], "a b c", "c", "", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_operation_gives_the_files_that_are_new_and_those_that_are_not(case):
    commits, active, expected, rewritten, left_out = CASES[case]
    found = folded(*commits, active=active)
    assert files(found.new) == expected
    assert files(found.rewritten) == rewritten
    assert files(found.left_out) == left_out


@pytest.mark.parametrize("case", CASES)
def test_only_commits_that_settled_rows_have_not_survived_are_changes(case):
    commits, active, *_ = CASES[case]
    changes = folded(*commits, active=active).changes()
    silent = {
        "append",
        "metadata",
        "named again",
        "restored before it was seen",
        "overwrite of new",
        "older files come back beside all trained ones",
    }
    is_silent = case in silent or "compaction" in case or case == "rows deleted from new"
    assert bool(changes) == (not is_silent)


def test_older_file_may_have_rows_of_any_file_that_is_gone_also_of_one_with_its_key():
    found = folded(commit("RESTORE", "b c-1", "c"), active="a c", planned=())
    assert files(found.left_out) == "c"


def test_older_file_shares_no_row_with_a_trained_one_that_comes_back_with_it():
    commits = [commit("OPTIMIZE", "a", "d"), commit("RESTORE", "d", "a u")]
    found = folded(*commits, active="a b u", planned=())
    assert files(found.new) == "u"
    assert not found.changes()
    later = Settled({name("a"), name("b"), name("u")}, exchanges=found.exchanges)
    gone = [commit("OPTIMIZE", "a u", "e")]
    assert not TableChanges(later, gone, [name("b"), name("e")], retrains=False).new


def test_older_file_may_have_rows_of_a_trained_one_that_the_table_lost_before_its_known_commits():
    found = folded(commit("RESTORE", "", "c"), active="b c", planned=())
    assert files(found.left_out) == "c"
    assert len(found.changes()) == 1


def test_trained_file_that_comes_back_is_known_though_no_commit_is_known_to_have_removed_it():
    found = folded(commit("RESTORE", "", "a"), active="a b", planned=())
    assert not found.new
    assert not found.exchanges
    assert not found.changes()


def test_file_that_is_gone_is_not_read_because_an_older_one_may_have_its_rows():
    commits = [commit("WRITE", "", "r"), commit("WRITE", "a r", ""), commit("RESTORE", "", "c")]
    found = folded(*commits, active="b c", planned=())
    assert files(found.left_out) == "c"
    assert not found.new


def test_change_is_told_also_if_the_file_that_is_left_out_was_compacted_since():
    changed = [Exchange(removed=[name("x")], added=[name("a")]), Exchange(removed=[name("a")])]
    settled = Settled({name("a"), name("b")}, exchanges=changed)
    commits = [commit("RESTORE", "", "x"), commit("WRITE", "", "n"), commit("OPTIMIZE", "x n", "y")]
    found = TableChanges(settled, commits, [name("b"), name("y")], retrains=False)
    assert files(found.new) == "n"
    assert files(found.left_out) == "x"
    assert [one.commit for one in found.changes()] == [commits[0]]


def test_planned_files_are_replaced_by_those_that_changed_them():
    commits = [commit("OPTIMIZE", "p q", "c"), commit("DELETE", "c", "d")]
    found = folded(*commits, active="a b d")
    assert sorted(files(found.superseded).split()) == ["p", "q"]
    assert files(found.new) == "d"
    assert not found.changes()
    back = folded(commit("DELETE", "p", "d"), commit("RESTORE", "d", "p"), active="a b p q")
    assert not back.superseded
    assert not back.new


def test_planned_file_that_comes_back_is_planned_again_and_not_read_under_other_names():
    found = folded(
        commit("MERGE", "p", "d e"),
        commit("OPTIMIZE", "d a", "f"),
        commit("RESTORE", "f e", "a p"),
        active="a b p q",
    )
    assert not found.superseded
    assert not found.left_out
    assert not found.new


def test_retraining_takes_changed_files_whole_and_nothing_of_their_past():
    commits = [commit("WRITE", "", "c"), commit("OPTIMIZE", "a c", "d"), commit("DELETE", "d", "e")]
    assert files(folded(*commits, active="b e", retrains=True).new) == "e"
    assert files(folded(*commits, active="b e").new) == "c"


def test_change_of_one_of_several_files_that_a_compaction_wrote_loses_no_rows_of_the_others():
    commits = [commit("WRITE", "", "c d"), commit("OPTIMIZE", "a b c d", "e f")]
    commits.append(commit("WRITE", "e", "g"))
    assert files(folded(*commits, active="f g", retrains=True).new) == "c d g"
    rewritten = [*commits, commit("OPTIMIZE", "f", "h")]
    assert files(folded(*rewritten, active="g h", retrains=True).new) == "c d g"
    both = [*commits, commit("WRITE", "f", "h")]
    assert files(folded(*both, active="g h", retrains=True).new) == "g h"


def test_planned_files_are_new_as_all_files_that_a_compaction_wrote_if_one_of_these_changes():
    commits = [commit("OPTIMIZE", "p q", "c d"), commit("DELETE", "c", "e")]
    found = folded(*commits, active="a b d e")
    assert files(found.new) == "d e"
    assert sorted(files(found.superseded).split()) == ["p", "q"]
    assert name("d") not in found.rewritten
    assert files(folded(*commits, commit("OPTIMIZE", "d", "f"), active="a b e f").new) == "e f"
    back = folded(*commits, commit("RESTORE", "d e", "p q"), active="a b p q")
    assert not back.new
    assert not back.superseded


def test_held_out_files_stay_in_the_order_in_which_they_were_added():
    commits = [commit("WRITE", "", "y"), commit("OPTIMIZE", "h a", "c")]
    assert files(folded(*commits, active="b c g y", waiting=["h", "g"]).new) == "h g y"


def test_lost_file_of_the_past_is_left_out_or_trained_with_what_it_was_merged_into():
    commits = [
        commit("WRITE", "", "c"),
        commit("OPTIMIZE", "a c", "d"),
        commit("OPTIMIZE", "d b", "e"),
    ]
    found = folded(*commits, active="e", planned=())
    assert files(found.new) == "c"
    found.leave_out([name("c")])
    assert not found.new
    found = folded(*commits, active="e", planned=())
    found.train_whole([name("c")])
    assert files(found.new) == "e"


def test_file_shares_no_row_with_another_that_the_same_compaction_wrote():
    wrote = Exchange(removed=[name("x")], added=[name("c"), name("d")], same_rows=True)
    settled = Settled({name("c")}, planned={name("d")}, exchanges=[wrote])
    commits = [commit("OPTIMIZE", "d", "e")]
    found = TableChanges(settled, commits, [name("c"), name("e")], retrains=False)
    assert not found.new
    assert not found.superseded
    assert found.drop_plan()
    assert files(found.new) == "e"
    assert files(found.superseded) == "d"


@pytest.mark.parametrize("retrains", [True, False])
def test_row_in_one_file_with_trained_ones_is_learnt_or_left_out_with_what_else_came_back(retrains):
    wrote = Exchange(removed=[name("a"), name("x")], added=[name("c"), name("d")], same_rows=True)
    settled = Settled({name("a"), name("c")}, exchanges=[wrote], rewritten={name("d")})
    back = commit("RESTORE", "c d", "a x")
    found = TableChanges(settled, [back], [name("a"), name("x")], retrains=retrains)
    assert files(found.new if retrains else found.left_out) == "x"
    assert not (found.left_out if retrains else found.new)
    assert retrains or [one.commit for one in found.changes()] == [back]
