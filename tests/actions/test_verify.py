"""Verify: whatever is damaged is named, with what can still be used; nothing is changed."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Model, VerifyReport, refine, rewind, train, verify
from onepass.actions import verify as verifying
from onepass.errors import ForeignModel, ModelNotFound
from onepass.ledger.entries import StateRef, digest, dump_entry
from onepass.ledger.npz import dump_state, load_state
from onepass.ledger.store import LocalStore
from onepass.ledger.trained import Trained
from onepass.model.directory import open_model
from onepass.partition import Group


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    job = {"lake": str(make_lake(4)), "label": "y", "model": str(tmp_path / "model")}
    train(job)
    return job


def state(job: dict[str, Any], version: int) -> Path:
    return Path(job["model"]) / open_model(job["model"]).ledger.entries[version - 1].state.key


def entry(job: dict[str, Any], version: int) -> Path:
    return Path(job["model"]) / f"log/{version:020d}.json"


def found(report: VerifyReport, level: str) -> dict[str, str]:
    return {f.where: f.text for f in report.findings if f.level == level}


def forge(job: dict[str, Any], version: int, **fields: Any) -> None:
    """Change the newest entry, with a seal that fits."""
    entries = open_model(job["model"]).ledger.entries
    assert version == len(entries)
    entry(job, version).write_bytes(dump_entry(entries[-1].model_copy(update=fields)))


def test_sound_model_is_sound_and_left_as_it_is(job, onepass):
    root = Path(job["model"])
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    code, out, err = onepass("verify", job["model"])
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "model.json  ok       read",
        "log         ok       5 versions, chain whole",
        "states      ok       3 states sound, 1 not kept",
        "lake        ok       4 files",
        f"head {digest(entry(job, 5).read_bytes())}",
        "sound: version 5 can be used",
    ]
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    assert after == before


def test_no_model_is_another_matter_than_a_damaged_one(tmp_path, onepass):
    with pytest.raises(ModelNotFound):
        verify(tmp_path / "nothing")
    assert onepass("verify", tmp_path / "nothing")[0] == 2


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_damaged_newest_state_is_named_and_the_one_before_recommended(job, onepass, harm):
    path = state(job, 5)
    data = path.read_bytes()
    match harm:
        case "flipped":
            path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
        case "cut":
            path.write_bytes(data[:-1])
        case "gone":
            path.unlink()
    code, out, _ = onepass("verify", job["model"])
    assert code == 4
    assert "states      DAMAGED  1 fault" in out
    assert f"damage: state/{path.name}: is " in out
    assert out.splitlines()[-1] == (
        "NOT SOUND: version 4 can be used; training retrains what came after, or go back for good: "
        f"onepass rewind {job['model']} --to 4"
    )
    assert verify(job["model"]).usable_version == Model.load(job["model"]).version == 4
    train(job)
    assert verify(job["model"]).sound
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no state", "not a sound state file"),
        (pickle.dumps(object()), "not a sound state file"),
        (dump_state({"w": np.zeros(3)}), "does not fit the model"),
    ],
    ids=["other", "pickle", "arrays"],
)
def test_unsound_state_that_fits_its_digest_is_one_that_is_damaged(job, caplog, content, says):
    path, reference = state(job, 5), open_model(job["model"]).ledger.entries[4].state
    path.write_bytes(content)
    size, sha256 = len(content), digest(content)
    forge(job, 5, state=reference.model_copy(update={"size": size, "sha256": sha256}))
    report = verify(job["model"])
    assert (report.exit_code, report.usable_version) == (4, 4)
    assert says in found(report, "damage")[f"state/{path.name}"]
    assert Model.load(job["model"]).version == 4
    assert f"version 5 cannot be used: state/{path.name} " in caplog.text
    assert says in caplog.text
    with pytest.raises(ForeignModel, match=r"did not reproduce its state(.|\n)*--to 4"):
        train(job)
    rewind(job["model"], 4)
    assert Model.load(job["model"]).version == 4


@pytest.mark.parametrize("failure", [errno.EIO, errno.EACCES])
def test_state_that_cannot_be_read_is_named_and_the_others_are_looked_at(job, monkeypatch, failure):
    path, real = state(job, 5), LocalStore.get

    def get(self: LocalStore, key: str, **options: Any) -> bytes:
        if key.endswith(path.name):
            raise OSError(failure, os.strerror(failure), str(path))
        return real(self, key, **options)

    monkeypatch.setattr(LocalStore, "get", get)
    report = verify(job["model"])
    assert (report.exit_code, report.usable_version, report.states) == (4, 4, 2)
    text = f"cannot be read: {os.strerror(failure)}"
    assert found(report, "damage") == {f"state/{path.name}": text}


@pytest.mark.parametrize("version", [4, 5])
def test_state_that_is_not_finite_is_named_though_digests_and_seals_fit(job, version):
    entries, path = open_model(job["model"]).ledger.entries, state(job, version)
    arrays = load_state(path.read_bytes())
    data = dump_state(arrays | {"0.w": np.full_like(arrays["0.w"], np.nan)})
    path.write_bytes(data)
    key = entries[version - 1].state.key
    change = {"state": StateRef(key=key, size=len(data), sha256=digest(data))}
    for one in entries[version - 1 :]:
        entry(job, one.version).write_bytes(dump_entry(one.model_copy(update=change)))
        change = {"parent_sha256": digest(entry(job, one.version).read_bytes())}
    report = verify(job["model"])
    assert (report.exit_code, report.usable_version) == (4, 9 - version)
    assert "'0.w': expected finite numbers" in found(report, "damage")[key]


def test_broken_chain_is_named_with_what_is_sound_before_it(job, onepass):
    entry(job, 4).write_bytes(entry(job, 4).read_bytes().replace(b'"rows":', b'"rows": '))
    report = verify(job["model"])
    assert (report.exit_code, report.version, report.usable_version) == (4, 3, 3)
    assert list(found(report, "damage")) == ["log/00000000000000000004.json"]
    assert "leaves versions 1 to 3, with the sound state of version 3" in report.advice
    assert set(found(report, "note").values()) == {
        f"state of version {version}, which is behind the fault in the log" for version in (4, 5)
    }
    assert onepass("train", "--model", job["model"])[0] == 4
    for version in (4, 5):
        entry(job, version).unlink()
    left = sorted((Path(job["model"]) / "state").iterdir())
    left[2].unlink()
    assert Model.load(job["model"]).version == 3
    assert found(verify(job["model"]), "note").keys() == {f"state/{left[1].name}"}


@pytest.mark.parametrize("name", [".DS_Store", "00000000000000000004.json.bak", "zzz"])
def test_stray_file_in_the_log_is_named_and_the_log_is_read_all_the_same(job, onepass, name):
    stray = Path(job["model"]) / "log" / name
    stray.write_bytes(b"x")
    report = verify(job["model"])
    assert (report.exit_code, report.version, report.usable_version) == (4, 5, 5)
    text = f"'log/{name}' is no entry of a log: move it out of the model directory"
    assert found(report, "damage") == {"log": text}
    assert report.advice == "move the files that are no entries out of log/, and verify again"
    assert text in onepass("train", "--model", job["model"])[2]
    stray.unlink()
    assert verify(job["model"]).sound


def test_advice_about_a_log_that_is_damaged_from_its_start_names_no_version(job):
    entry(job, 1).write_bytes(b"")
    report = verify(job["model"])
    assert report.version == 0
    assert report.advice.endswith("leaves no version: training starts anew")


def test_advice_about_a_damaged_log_without_states_before_it_is_true(job):
    expected = [one.state.sha256 for one in open_model(job["model"]).ledger.history.learnt()]
    folder = Path(job["model"])
    state(job, 3).unlink()
    entry(job, 4).write_bytes(b"")
    report = verify(job["model"])
    assert report.advice.endswith("leaves versions 1 to 3, with no state: training retrains them")
    for path in [*folder.glob("log/*0[45].json"), *folder.glob("state/*")]:
        path.unlink()
    train(job)
    assert [
        one.state.sha256 for one in open_model(job["model"]).ledger.history.learnt()
    ] == expected


@pytest.mark.parametrize("version", [1, 3])
def test_missing_entry_is_named(job, version):
    entry(job, version).unlink()
    report = verify(job["model"])
    assert (report.exit_code, report.version) == (4, version - 1)
    assert list(found(report, "damage")) == [f"log/{version:020d}.json"]


def test_unreadable_model_file_is_named(job):
    (Path(job["model"]) / "model.json").write_text("{")
    report = verify(job["model"])
    assert (report.exit_code, report.version, report.usable_version) == (4, 0, None)
    assert "put it back from a copy" in report.advice


@pytest.mark.parametrize("harm", ["link", "file"])
@pytest.mark.parametrize("name", ["log", "state"])
def test_what_stands_in_the_place_of_a_folder_is_named_for_what_it_is(job, name, harm):
    folder = Path(job["model"]) / name
    shutil.move(folder, folder.with_name("elsewhere"))
    if harm == "link":
        folder.symlink_to("elsewhere")
    else:
        folder.write_text("")
    report = verify(job["model"])
    assert (report.exit_code, report.usable_version) == (4, None)
    what = "a symbolic link" if harm == "link" else "no folder"
    assert f"{str(folder)!r} is {what}" in found(report, "damage")[name]
    assert len(report.findings) == 1
    assert report.advice.startswith("nothing here can be used without plain folders")


@pytest.mark.parametrize("harm", ["a symbolic link", "a hard link", "no file"])
def test_lock_that_no_run_would_take_is_named(job, onepass, harm):
    lock, other = Path(job["model"]) / "writer.lock", Path(job["model"]).with_name("other")
    assert lock.is_file()
    other.write_text("kept")
    lock.unlink()
    match harm:
        case "a symbolic link":
            lock.symlink_to(other)
        case "a hard link":
            lock.hardlink_to(other)
        case "no file":
            lock.mkdir()
    assert onepass("train", "--model", job["model"])[0] == 4
    code, out, _ = onepass("verify", job["model"])
    assert (code, other.read_text()) == (4, "kept")
    assert f"damage: writer.lock: {str(lock)!r} is {harm}: " in out
    assert out.splitlines()[-1] == "NOT SOUND: version 5 can be used"
    lock.rmdir() if harm == "no file" else lock.unlink()
    assert verify(job["model"]).sound
    assert train(job).version == 5


def test_changed_missing_torn_and_new_files_of_the_lake_are_named(job, onepass):
    lake = Path(job["lake"])
    pq.write_table(number_table(50, 77), lake / "part-1.parquet")
    (lake / "part-2.parquet").unlink()
    (lake / "part-3.parquet").write_bytes(b"PAR1")
    pq.write_table(number_table(50, 78), lake / "part-new.parquet")
    report = verify(job["model"])
    assert (report.exit_code, report.lake_files, report.usable_version) == (3, 4, 5)
    faults = found(report, "lake")
    assert faults.keys() == {f"part-{i}.parquet" for i in (1, 2, 3)}
    assert faults["part-1.parquet"].startswith("has changed since it was learnt: 437 rows, ")
    assert faults["part-2.parquet"] == "learnt, but no longer in the lake"
    assert "cannot be read any more" in faults["part-3.parquet"]
    assert "part-new.parquet" in found(report, "note")
    code, out, _ = onepass("verify", job["model"])
    assert code == 3
    assert "lake        CHANGED  3 faults" in out
    assert onepass("verify", job["model"], "--no-lake")[0] == 0


def test_lake_that_has_moved_can_be_named_and_one_that_is_gone_is_told(job, onepass):
    shutil.move(job["lake"], job["lake"] + "-moved")
    code, out, _ = onepass("verify", job["model"])
    assert code == 3
    assert "does not exist" in out
    assert onepass("verify", job["model"], job["lake"] + "-moved")[0] == 0


def test_json_has_every_finding_and_damage_outweighs_the_lake(job, onepass):
    state(job, 4).unlink()
    (Path(job["lake"]) / "part-2.parquet").unlink()
    code, out, _ = onepass("verify", job["model"], "--json")
    report = json.loads(out.splitlines()[-1])
    assert code == report["exit_code"] == 4
    assert {f["level"] for f in report["findings"]} == {"damage", "lake"}
    assert report["head_sha256"] == digest(entry(job, 5).read_bytes())


def test_states_that_retention_or_a_rewind_has_let_go_are_no_damage(job):
    refine({"model": job["model"]}, n_passes=2)
    for version in (5, 2, 0):
        rewind(job["model"], version)
        assert verify(job["model"]).sound
        train(job)
        assert verify(job["model"]).sound
    newest = open_model(job["model"]).ledger.history.learnt()[-1]
    os.unlink(state(job, newest.version))
    report = verify(job["model"])
    assert report.exit_code == 4
    assert found(report, "damage").keys() == {newest.state.key}


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_model_is_sound_again_after_the_advised_rewind(job, harm):
    lost = state(job, 5)
    os.truncate(lost, 100)
    if harm == "gone":
        lost.unlink()
    assert "onepass rewind" in verify(job["model"]).advice
    rewind(job["model"], 4)
    if harm == "cut":
        # It is reported as long as it is there.
        report = verify(job["model"])
        assert report.exit_code == 4
        assert "may be removed" in found(report, "damage")[f"state/{lost.name}"]
        lost.unlink()
    report = verify(job["model"])
    assert (report.sound, report.usable_version) == (True, 4)
    assert "has been undone" in found(report, "note")[f"state/{lost.name}"]
    train(job)
    assert verify(job["model"]).sound


def test_states_that_are_there_but_damaged_do_not_count_as_let_go(job):
    os.truncate(state(job, 5), 100)
    report = verify(job["model"])
    assert (report.states, report.let_go) == (2, 1)


# -- refinements, which training does not repeat -------------------------------------------------


def test_sound_refinement_cannot_be_learnt_again_and_is_not_called_lost(job):
    refined = refine({"model": job["model"]}, n_passes=2)
    report = verify(job["model"], retrain=True)
    assert (report.sound, report.retrained) == (True, None)
    assert found(report, "note") == {
        f"log/{refined.version:020d}.json": "cannot be learnt again: it is a refinement, and batch "
        "passes are not repeated by training"
    }


@pytest.mark.parametrize("lost", [[6], [4, 5, 6]])
def test_advice_about_a_lost_refinement_is_what_training_does(job, lost):
    refine({"model": job["model"]}, n_passes=2)
    for version in lost:
        state(job, version).unlink()
    can = "version 5" if lost == [6] else "no version"
    advice = verify(job["model"]).advice
    assert advice == (
        f"{can} can be used now; version 6 is a refinement, which training does not repeat: put "
        f"its state back from a copy, or go back for good: onepass rewind {job['model']} --to 5"
    )
    with pytest.raises(ForeignModel, match="--to 5"):
        train(job)
    rewind(job["model"], 5)
    assert verify(job["model"]).usable_version == 5


# -- the newest entry, which nothing follows -----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rows": 1}, "says that 1 rows were learnt of"),
        ({"epoch": 2}, "is not in its plan"),
    ],
)
def test_forged_entry_that_contradicts_others_is_noticed(job, fields, says):
    forge(job, 5, **fields)
    report = verify(job["model"])
    assert report.exit_code == 4
    assert any(says in text for text in found(report, "damage").values())


def test_entry_that_trains_a_partition_twice_is_noticed(job):
    entries = open_model(job["model"]).ledger.entries
    forge(job, 5, partitions=entries[3].partitions, rows=entries[3].rows)
    assert "again in epoch 1" in verify(job["model"]).findings[0].text


def test_partition_that_is_trained_by_two_plans_is_noticed(job):
    ledger = open_model(job["model"]).ledger
    twice = ledger.history.trained()[-1]
    ledger.commit_plan([Group(1, twice.partitions)])
    trained = Trained(**{name: getattr(twice, name) for name in Trained.model_fields})
    ledger.commit_train(ledger.read_state(twice), trained)
    report = verify(job["model"])
    text = f"trains {twice.partitions[0].path} again in epoch 1"
    assert found(report, "damage") == {f"log/{7:020d}.json": text}


def test_epochs_and_rewinds_train_a_partition_again_by_right(job, tmp_path):
    rewind(job["model"], 2)
    train(job)
    assert verify(job["model"]).sound
    train(job | {"model": str(tmp_path / "epochs"), "epochs": 2})
    assert verify(tmp_path / "epochs").sound


def test_forged_numbers_are_noticed_by_learning_again_and_by_nothing_else(job, onepass):
    sound = verify(job["model"], retrain=True)
    assert (sound.exit_code, sound.retrained) == (0, 5)
    forge(job, 5, loss=0.001)
    assert verify(job["model"]).exit_code == 0
    report = verify(job["model"], retrain=True)
    assert (report.exit_code, report.retrained) == (4, None)
    assert "says loss 0.001, but learning it again gives" in report.findings[0].text
    assert onepass("verify", job["model"], "--retrain")[0] == 4


def test_log_that_is_gone_is_damage_and_nothing_is_trained_as_if_it_had_never_been(job, onepass):
    folder = Path(job["model"])
    shutil.move(folder / "log", folder.with_name("log"))
    report = verify(job["model"])
    assert (report.exit_code, report.version, report.usable_version) == (4, 0, None)
    text = f"is missing, though state/{max(os.listdir(folder / 'state'))} is there"
    assert text in found(report, "damage")[f"log/{1:020d}.json"]
    assert report.advice.endswith("leaves no version: training starts anew")
    score = ("score", job["lake"], "--model", job["model"], "--out", folder.with_name("out"))
    for command in (("train", "--model", job["model"]), score, ("log", job["model"])):
        code, _, err = onepass(*command)
        assert (code, text in err, len(err.splitlines())) == (4, True, 2)
    shutil.move(folder / "state", folder.with_name("state"))
    assert train(job).partitions == 4


def test_log_that_was_cut_is_noticed_by_a_head_kept_elsewhere(job, onepass):
    head = verify(job["model"]).head_sha256
    train(job)
    pq.write_table(number_table(50, 78), Path(job["lake"]) / "part-new.parquet")
    train(job)
    assert onepass("verify", job["model"], "--head", head)[0] == 0
    for version in (5, 6, 7):
        entry(job, version).unlink()
    # Its writer had deleted states that a log of this length still has.
    report = verify(job["model"])
    assert report.exit_code == 4
    assert all("has been cut off" in text for text in found(report, "damage").values())
    assert onepass("verify", job["model"], "--head", head)[0] == 4
    assert "has been cut or altered" in str(found(verify(job["model"], head=head), "damage"))


def test_short_log_that_was_cut_is_seen_by_its_head_alone(make_lake, tmp_path):
    job = {"lake": str(make_lake(2)), "label": "y", "model": str(tmp_path / "model")}
    train(job)
    head = verify(job["model"]).head_sha256
    entry(job, 3).unlink()
    report = verify(job["model"])
    assert report.sound
    assert any("has been cut off" in text for text in found(report, "note").values())
    assert verify(job["model"], head=head).exit_code == 4


def test_verifying_beside_a_writer_does_not_take_what_it_lets_go_for_damage(job, monkeypatch):
    pq.write_table(number_table(50, 78), Path(job["lake"]) / "part-new.parquet")
    real, done = verifying.open_model, []

    def overtaken(*args: Any, **options: Any) -> Any:
        opened = real(*args, **options)
        if not done:
            done.append(train(job))
        return opened

    monkeypatch.setattr(verifying, "open_model", overtaken)
    report = verify(job["model"])
    assert (report.sound, report.version) == (True, 7)


def test_verifying_a_damaged_model_beside_a_busy_writer_ends(job, monkeypatch):
    os.truncate(state(job, 4), 100)
    ledger = open_model(job["model"]).ledger
    damaged = ledger.entries[3].state.key
    real, looks = LocalStore.get, []

    def overtaken(self: LocalStore, key: str, **options: Any) -> bytes:
        if key == damaged:
            looks.append(key)
            assert len(looks) < 20
            ledger.commit_plan([])
        return real(self, key, **options)

    monkeypatch.setattr(LocalStore, "get", overtaken)
    report = verify(job["model"], check_lake=False)
    assert len(looks) == 2
    assert list(found(report, "damage")) == [damaged]
