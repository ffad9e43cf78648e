"""`onepass.tag` and `onepass tag`: list, set, move and delete names of versions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lakes import number_table, write_files
from onepass import Model, rewind, tag, verify
from onepass.errors import JobError, ModelConflict, ModelNotFound
from onepass.ledger.store import LocalStore
from onepass.model.directory import open_model
from small import plan, train


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """A model of five versions: a plan, and one for each of four files."""
    lake = write_files(tmp_path / "lake", {f"p{i}.parquet": number_table(200, i) for i in range(4)})
    job = {"lake": str(lake), "label": "y", "model": str(tmp_path / "model")}
    job |= {"order": "stored", "parallel": 1}
    train(job)
    return job


def test_model_without_tags_has_its_newest_version_as_current(job, onepass):
    report = tag(job["model"])
    [only] = report.tags
    assert (only.name, only.version, only.by, report.history) == ("current", 5, None, [])
    code, out, _ = onepass("tag", job["model"])
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [["tag", "version"], ["current", "5"]]
    assert "never set: the newest version that counts" in out
    assert not (Path(job["model"]) / "tags").exists()


def test_tag_is_set_moved_and_deleted(job, onepass):
    model = job["model"]
    says = {
        ("production",): "production is version 5",
        ("production", "--version", "4", "--reason", "the audit"): "production is version 4",
        ("2026-11-28", "--version", "production"): "2026-11-28 is version 4",
        ("production", "--version", "newest", "--expect", "4"): "production is version 5",
        ("fresh", "--expect", "none"): "fresh is version 5",
        ("fresh", "--delete"): "the tag fresh is deleted",
    }
    for arguments, expected in says.items():
        assert onepass("tag", model, *arguments) == (0, f"{expected}\n", "")
    named = {one.name: one.version for one in tag(model).tags}
    assert named == {"2026-11-28": 4, "current": 5, "production": 5}
    code, out, _ = onepass("tag", model, "--history")
    assert (code, len(out.splitlines())) == (0, 7)
    code, out, _ = onepass("tag", model, "production", "--history", "--json")
    moves = json.loads(out)["history"]
    assert [(move["version"], move["reason"]) for move in moves] == [
        (5, ""),
        (4, "the audit"),
        (5, ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("production", "--expect", "5"), 4, "to name version 5, but it names version 4"),
        (("production", "--expect", "none"), 4, "to be free, but it names version 4"),
        (("fresh", "--expect", "4"), 4, "to name version 4, but it does not exist"),
        (("fresh", "--delete"), 2, "has no tag 'fresh'"),
        (("production", "--delete", "--version", "4"), 2, "--delete takes no --version"),
        (("production", "--delete", "--expect", "5"), 4, "but it names version 4"),
        (("current",), 2, "--version must say which version 'current' is to name"),
        (("newest",), 2, "a tag has up to 100 letters"),
        (("12",), 2, "is no number"),
        (("fresh", "--version", "2"), 2, "the state of version 2 is no longer kept, so no tag"),
        (("fresh", "--version", "1"), 2, "version 1 is a plan and has no state"),
        (("--delete",), 2, "to set or delete a tag, give its name"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(job, onepass, arguments, code, says):
    tag(job["model"], "production", 4)
    found = onepass("tag", job["model"], *arguments)
    assert (found[0], found[1]) == (code, "")
    assert says in found[2]
    assert len(tag(job["model"]).history) == 1


def test_tags_are_shown_beside_their_versions_in_the_log(job, onepass):
    _, before, _ = onepass("log", job["model"])
    tag(job["model"], "production", 4)
    tag(job["model"], "audit", 4)
    code, out, _ = onepass("log", job["model"])
    assert code == 0
    assert "tags" not in before
    header, *rows = out.splitlines()
    assert header.split()[:2] == ["version", "tags"]
    assert [row for row in rows if "audit, production" in row] == [rows[3]]
    tags = json.loads(onepass("log", job["model"], "--json")[1])["tags"]
    assert tags == {"audit": 4, "production": 4}


def test_tag_can_be_set_while_another_process_trains(job, onepass):
    with LocalStore(job["model"]).exclusive():
        assert onepass("tag", job["model"], "production", "--version", "4")[0] == 0


def test_python_takes_an_expected_version(job):
    tag(job["model"], "production", 4, expect="none")
    with pytest.raises(ModelConflict, match="nothing was changed"):
        tag(job["model"], "production", 5, expect=3 + 2)
    assert tag(job["model"], "production", 5, expect=4).tags[-1].version == 5


def test_model_that_is_missing_or_untrained_has_nothing_to_tag(job, tmp_path):
    with pytest.raises(ModelNotFound):
        tag(tmp_path / "nothing", "production")
    untrained = job | {"model": str(tmp_path / "untrained")}
    plan(untrained)
    assert tag(untrained["model"]).tags == []
    with pytest.raises(ModelNotFound, match="train it first"):
        tag(untrained["model"], "production")


def test_rewind_takes_current_with_it_if_it_was_set(job):
    rewind(job["model"], 4)
    assert tag(job["model"]).history == []
    tag(job["model"], "current", 3)
    tag(job["model"], "production", 5)
    rewind(job["model"], 5)
    assert {one.name: one.version for one in tag(job["model"]).tags} == {
        "current": 5,
        "production": 5,
    }
    assert tag(job["model"], "current", 4, reason="by hand").history[-2].reason == (
        "followed the rewind to version 5"
    )
    train(job)
    assert Model.load(job["model"]).version == 4
    rewind(job["model"], 0)
    with pytest.raises(ModelNotFound):
        Model.load(job["model"])
    assert {one.name: one.counts for one in tag(job["model"]).tags} == {"production": False}


def test_current_follows_a_rewind_that_was_killed_before_it_moved(job, monkeypatch):
    tag(job["model"], "current", 5)
    with monkeypatch.context() as patch:
        patch.setattr("onepass.actions.rewind.follow_rewind", killed)
        with pytest.raises(KeyboardInterrupt):
            rewind(job["model"], 3)
    assert Model.load(job["model"]).version == 5
    train(job)
    moves = open_model(job["model"]).ledger.tags
    assert moves.get("current").version == 3
    assert Model.load(job["model"]).version == 3


def killed(*args: Any) -> None:
    raise KeyboardInterrupt


def test_verify_finds_altered_tags_and_missing_states(job, onepass):
    tag(job["model"], "production", 3)
    code, out, _ = onepass("verify", job["model"])
    assert (code, "tags        ok       1 tag, chain whole" in out) == (0, True)
    entry = Path(job["model"]) / "tags" / f"{1:020d}.json"
    sound = entry.read_bytes()
    entry.write_bytes(sound.replace(b'"version":3', b'"version":4'))
    report = verify(job["model"])
    [finding] = report.findings
    assert (report.exit_code, finding.level, finding.part) == (4, "damage", "tags")
    assert "its content does not fit its seal; put the entries back" in finding.text
    assert onepass("train", "--model", job["model"])[0] == 4
    assert onepass("summary", job["model"])[0] == 4
    entry.write_bytes(sound)
    [state] = (Path(job["model"]) / "state").glob("00000003-*.npz")
    state.unlink()
    [finding] = verify(job["model"]).findings
    assert (finding.part, finding.level) == ("state", "damage")
    assert (
        finding.text == "is missing, though the tag 'production' names it: move or delete the tag"
    )


def test_old_leftovers_of_killed_taggers_are_removed(job):
    tag(job["model"], "production", 4)
    left = Path(job["model"]) / "tags" / f"{2:020d}.json.{'a' * 32}.tmp"
    left.write_bytes(b"{")
    os.utime(left, (0, 0))
    assert [finding.part for finding in verify(job["model"]).findings] == ["leftover"]
    with pytest.raises(JobError):
        rewind(job["model"], 99)
    assert not left.exists()


def test_unreadable_record_of_an_evaluation_is_noted(job, onepass):
    assert onepass("evaluate", job["lake"], "--model", job["model"], "--record")[0] == 0
    [path] = (Path(job["model"]) / "evaluations").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    report = verify(job["model"])
    [finding] = report.findings
    assert (report.sound, finding.level, finding.part) == (True, "note", "evaluations")
