"""The guard: a version worse than the current one is kept, and predictions do not use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import onepass.actions.publish as publishing
from lakes import number_table, write_files
from onepass import Model, refine, rewind, tag, train, verify
from onepass.actions import evaluate as evaluating
from onepass.actions.publish import publish
from onepass.actions.trained import TrainOutcome
from onepass.errors import ModelConflict, VersionRefused
from onepass.model.directory import open_model
from onepass.model.evaluations import recorded
from onepass.training.session import open_session

GUARD = 0.05


def flipped(table: pa.Table) -> pa.Table:
    """The same rows with labels of the wrong sign, as after a bug upstream."""
    return table.set_column(4, "y", pa.array(-table.column("y").to_numpy()))


def shuffled(table: pa.Table) -> pa.Table:
    """The same rows with labels of other rows, as after a join that went wrong."""
    label = np.random.default_rng(0).permutation(table.column("y").to_numpy())
    return table.set_column(4, "y", pa.array(label))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "lake", {f"p{i:02}.parquet": number_table(300, i) for i in range(3)}
    )


@pytest.fixture
def job(lake: Path, tmp_path: Path) -> dict[str, Any]:
    holdout = write_files(tmp_path / "holdout", {"h.parquet": number_table(500, 99)})
    return {
        "lake": str(lake),
        "label": "y",
        "model": str(tmp_path / "model"),
        "holdout": str(holdout),
        "order": "stored",
        "parallel": 1,
    }


@pytest.fixture
def many(tmp_path: Path) -> dict[str, Any]:
    """A job of twelve partitions without a holdout lake."""
    lake = write_files(
        tmp_path / "many", {f"p{i:02}.parquet": number_table(200, i) for i in range(12)}
    )
    fields = {"lake": str(lake), "label": "y", "model": str(tmp_path / "model")}
    return fields | {"order": "stored", "parallel": 1}


def land(job: dict[str, Any], name: str, table: pa.Table) -> None:
    write_files(Path(job["lake"]), {f"{name}.parquet": table})


def state_versions(job: dict[str, Any]) -> list[int]:
    folder = Path(job["model"]) / "state"
    return sorted(int(path.name[:8]) for path in folder.glob("*.npz"))


def current(job: dict[str, Any]) -> int:
    return Model.load(job["model"]).version


@pytest.mark.parametrize("poison", [flipped, shuffled])
def test_poisoned_partition_is_refused_on_the_holdout_and_scoring_goes_on(
    job, onepass, tmp_path, poison
):
    job["max_loss_increase"] = GUARD
    good = train(job)
    assert (good.published.outcome, good.published.current) == ("published", good.version)
    before = Model.load(job["model"]).predict(number_table(50, 7))
    land(job, "p10", poison(number_table(3000, 5)))
    with pytest.raises(VersionRefused) as refused:
        train(job)
    error, outcome = refused.value, refused.value.outcome
    assert isinstance(outcome, TrainOutcome)
    assert (error.version, error.current) == (outcome.version, good.version)
    assert outcome.published.outcome == "refused"
    assert outcome.holdout.loss > outcome.published.judgement.limit
    assert np.array_equal(Model.load(job["model"]).predict(number_table(50, 7)), before)
    # More good files land, and the poison is in the weights still; then the run refuses once more.
    predictions = tmp_path / "predictions"
    code, out, _ = onepass(
        "score", job["holdout"], "--model", job["model"], "--out", predictions, "--json"
    )
    assert (code, json.loads(out.splitlines()[-1])["version"]) == (0, good.version)
    assert verify(job["model"]).sound


def test_message_of_a_refusal_says_both_losses_and_what_to_do(job, onepass):
    job["max_loss_increase"] = GUARD
    good = train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    code, out, err = onepass("train", "--model", job["model"], "--json")
    assert code == 5
    outcome = json.loads(out.splitlines()[-1])
    judgement, model = outcome["published"]["judgement"], job["model"]
    assert err.splitlines()[-2:] == [
        f"onepass: version {outcome['version']} is kept but not published, and 'current' stays on "
        f"version {good.version}: its loss on 500 holdout rows is {judgement['loss']:.6g}, above "
        f"{judgement['limit']:.6g}, which is 5 % more than the {good.holdout.loss:.6g} of version "
        f"{good.version}",
        f"Look: onepass log {model}; accept it: onepass tag {model} current --version "
        f"{outcome['version']}; or go back, without the files that are to blame: onepass rewind "
        f"{model} --to {good.version} --exclude FILE",
    ]


def test_refused_version_stays_refused_without_evaluating_again(job, monkeypatch, onepass):
    job["max_loss_increase"] = GUARD
    good = train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    with pytest.raises(VersionRefused):
        train(job)
    n_records = len(recorded(open_model(job["model"]).store))
    monkeypatch.setattr(evaluating, "folded", None)
    monkeypatch.setattr(publishing, "by_holdout", None)
    for given in (job, job | {"max_loss_increase": None}):
        quiet = train(given)
        assert (quiet.published.outcome, quiet.partitions) == ("refused", 0)
        assert quiet.published.current == current(job) == good.version
    assert len(recorded(open_model(job["model"]).store)) == n_records == 2
    code, _, err = onepass("train", "--model", job["model"])
    assert code == 0
    assert f"predictions use version {good.version}: it was refused" in err


def test_refused_version_is_judged_again_with_a_wider_margin(job):
    good = train(job | {"max_loss_increase": GUARD})
    land(job, "p10", flipped(number_table(3000, 5)))
    with pytest.raises(VersionRefused):
        train(job | {"max_loss_increase": GUARD})
    with pytest.raises(VersionRefused):
        train(job | {"max_loss_increase": 0.06})
    accepted = train(job | {"max_loss_increase": 1000.0})
    assert accepted.published.outcome == "published"
    assert current(job) > good.version


def test_next_files_are_judged_by_the_version_that_was_good(job):
    job["max_loss_increase"] = GUARD
    good = train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    with pytest.raises(VersionRefused):
        train(job)
    land(job, "p11", number_table(300, 12))
    with pytest.raises(VersionRefused) as refused:
        train(job)
    assert refused.value.current == good.version
    # Many good rows outweigh the bad ones.
    land(job, "p12", number_table(120_000, 13))
    better = train(job)
    assert better.published.outcome == "published"
    assert (current(job), open_model(job["model"]).ledger.tags.get("refused")) == (
        better.version,
        None,
    )


def test_rewind_takes_current_with_it_and_training_goes_on(job):
    job["max_loss_increase"] = GUARD
    good = train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    with pytest.raises(VersionRefused):
        train(job)
    rewind(job["model"], good.version, exclude=["p10.parquet"])
    assert current(job) == good.version
    land(job, "p11", number_table(300, 12))
    after = train(job)
    assert (after.published.outcome, current(job)) == ("published", after.version)


def test_version_that_is_accepted_by_hand_is_what_later_ones_are_compared_with(job):
    job["max_loss_increase"] = GUARD
    train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    with pytest.raises(VersionRefused) as refused:
        train(job)
    tag(job["model"], "current", refused.value.version, reason="labels are signed from now on")
    land(job, "p11", number_table(300, 12))
    after = train(job)
    assert after.published.judgement.current == refused.value.version
    assert current(job) == after.version


def test_version_to_fall_back_to_is_kept_however_many_versions_a_run_commits(many):
    train(many)
    guarded = many | {"max_loss_increase": GUARD}
    before = current(many)
    for i in range(20, 26):
        land(many, f"p{i}", flipped(number_table(200, i)))
    with pytest.raises(VersionRefused) as refused:
        train(guarded)
    assert refused.value.current == before == current(many)
    assert before in state_versions(many)
    assert refused.value.version - before > 5


@pytest.mark.parametrize("poison", [flipped, shuffled])
def test_poisoned_partition_is_refused_by_its_progressive_loss(many, poison):
    many["max_loss_increase"] = GUARD
    good = train(many)
    # One bad partition among good ones is enough.
    land(many, "p20", number_table(200, 20))
    land(many, "p21", poison(number_table(200, 21)))
    land(many, "p22", number_table(200, 22))
    with pytest.raises(VersionRefused, match=r"its progressive loss on p21\.parquet is") as refused:
        train(many)
    judgement = refused.value.outcome.published.judgement
    assert (judgement.by, judgement.current) == ("progressive", good.version)
    assert current(many) == good.version


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
def test_partition_whose_labels_have_all_become_the_same_is_refused(many, value):
    many["max_loss_increase"] = GUARD
    good = train(many)
    table = number_table(200, 20)
    land(many, "p20", table.set_column(4, "y", pa.array([value] * 200)))
    with pytest.raises(VersionRefused, match=r"p20\.parquet is .* its labels are all the same"):
        train(many)
    assert current(many) == good.version


def test_partition_of_one_good_row_is_published(many):
    many["max_loss_increase"] = GUARD
    train(many)
    for i in range(20, 26):
        land(many, f"p{i}", number_table(200, i).slice(i, 1))
        assert train(many).published.outcome == "published"


def test_refusal_says_that_a_round_has_more_partitions_than_the_one_named(many):
    many |= {"max_loss_increase": GUARD, "interleave": 2}
    for i in range(12, 18):
        land(many, f"p{i}", number_table(200, i))
    train(many)
    land(many, "p20", flipped(number_table(200, 20)))
    land(many, "p21", number_table(200, 21))
    with pytest.raises(VersionRefused, match=r"on p2\d\.parquet and 1 more \(version \d+\) is"):
        train(many)


def test_good_partitions_are_published_by_their_progressive_loss(many):
    many["max_loss_increase"] = GUARD
    train(many)
    for i in (20, 21, 22):
        land(many, f"p{i}", number_table(200, i))
        after = train(many)
        assert after.published.outcome == "published"
        assert after.published.judgement.by == "progressive"
        assert current(many) == after.version


def test_few_partitions_are_published_because_nothing_is_expected_yet(job):
    job |= {"holdout": None, "max_loss_increase": 0.0}
    train(job)
    land(job, "p10", number_table(300, 5))
    after = train(job)
    assert after.published.judgement.by == "nothing"
    assert "too few partitions" in after.published.why
    assert current(job) == after.version


def test_evaluation_of_the_current_version_is_taken_from_its_record(job, monkeypatch):
    job["max_loss_increase"] = 0.5
    train(job)
    real, evaluated = evaluating.folded, []
    monkeypatch.setattr(evaluating, "folded", lambda *args: evaluated.append(1) or real(*args))
    land(job, "p10", number_table(300, 5))
    train(job)
    assert len(evaluated) == 1
    # The holdout lake has changed, so both versions are evaluated anew.
    write_files(Path(job["holdout"]), {"h2.parquet": number_table(400, 98)})
    land(job, "p11", number_table(300, 6))
    train(job)
    assert len(evaluated) == 3
    records = recorded(open_model(job["model"]).store)
    assert [one.rows for one in records] == [500, 500, 900, 900]


def test_unguarded_runs_publish_as_ever_and_set_no_tag(job):
    first = train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    second = train(job)
    assert [one.published.outcome for one in (first, second)] == ["unchanged", "unchanged"]
    assert current(job) == second.version
    assert not (Path(job["model"]) / "tags").exists()


def test_unguarded_run_moves_current_on_unless_it_was_set_by_hand(job):
    guarded = train(job | {"max_loss_increase": GUARD})
    land(job, "p10", number_table(300, 5))
    unguarded = train(job | {"max_loss_increase": None})
    assert (unguarded.published.outcome, current(job)) == ("published", unguarded.version)
    tag(job["model"], "current", guarded.version)
    land(job, "p11", number_table(300, 6))
    pinned = train(job | {"max_loss_increase": None})
    assert (pinned.published.outcome, pinned.published.current) == ("pinned", guarded.version)
    tag(job["model"], "current", delete=True)
    assert current(job) == pinned.version


def test_run_that_was_killed_before_it_judged_is_judged_by_the_next(job):
    job["max_loss_increase"] = GUARD
    good = train(job)
    land(job, "p10", flipped(number_table(3000, 5)))
    with open_session(job) as session:
        session.train()
    assert current(job) == good.version
    with pytest.raises(VersionRefused):
        train(job)


def test_session_publishes_before_it_ends(job):
    job["max_loss_increase"] = GUARD
    with open_session(job) as session:
        session.train()
        found = publish(session.model, session.job, newest=session.predictor())
        again = publish(session.model, session.job)
    assert [found.outcome, again.outcome] == ["published", "unchanged"]


@pytest.mark.parametrize("has_holdout", [True, False])
def test_run_that_another_has_overtaken_leaves_the_judgement_to_it(job, has_holdout):
    if not has_holdout:
        del job["holdout"]
    job["max_loss_increase"] = GUARD
    train(job)
    land(job, "p10", number_table(300, 5))
    with open_session(job) as session:
        session.train()
        predictor = session.predictor() if has_holdout else None
        model, late = session.model, session.job
    land(job, "p11", number_table(300, 6))
    other = train(job)
    assert publish(model, late, newest=predictor).outcome == "superseded"
    assert current(job) == other.version


def test_tag_that_is_moved_while_a_run_judges_is_left_where_it_was_put(job, monkeypatch):
    job["max_loss_increase"] = GUARD
    first = train(job)
    land(job, "p10", number_table(300, 5))
    real = publishing.by_holdout

    def moved(*args: Any) -> Any:
        tag(job["model"], "current", first.version, reason="by hand")
        return real(*args)

    monkeypatch.setattr(publishing, "by_holdout", moved)
    with pytest.raises(ModelConflict, match="the tag 'current' is not where it was expected"):
        train(job)
    assert current(job) == first.version


def test_refinement_is_judged_as_well(job):
    job["max_loss_increase"] = 0.5
    train(job)
    report = refine({"model": job["model"]}, n_passes=4)
    assert report.committed
    assert (report.published.outcome, current(job)) == ("published", report.version)


def test_guarded_training_gives_the_same_bytes(job, tmp_path):
    plain = train(job)
    guarded = train(job | {"model": str(tmp_path / "other"), "max_loss_increase": GUARD})
    assert plain.state_sha256 == guarded.state_sha256
