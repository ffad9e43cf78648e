"""The first screen: a good model passes, and each kind of trouble asks for a look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onepass import Model
from onepass.actions.evaluate import evaluate_version
from onepass.ledger.entries import SkipEntry
from onepass.ledger.history import History
from onepass.model.directory import open_model
from onepass.partition import Look, UnreadFile
from onepass.report.checks import Check, checks, recent_loss
from onepass.report.contents import Contents, Judged, collect
from onepass.report.points import course


def contents_of(model: Path, holdout: Path | None = None, version: int | None = None) -> Contents:
    loaded, history = Model.load(model), open_model(model).ledger.history
    found = None
    if holdout is not None:
        found = evaluate_version(loaded.predictor, str(holdout), str(model), residuals=True)
    return collect(loaded, history, evaluated=found)


@pytest.fixture(scope="module")
def contents(regression, holdout) -> Contents:
    return contents_of(regression, holdout)


def named(contents: Contents) -> dict[str, Check]:
    return {check.title: check for check in checks(contents)}


def judged(contents: Contents, *losses: float) -> Contents:
    last = contents.model.version
    found = [
        Judged(last - len(losses) + i, "days", 1000, loss, 40.0, "2026-03-02T00:00:00+00:00")
        for i, loss in enumerate(losses, 1)
    ]
    return replace(contents, judged=found)


def test_the_strange_day_is_named(contents):
    found = named(contents)["New data drifts"]
    assert found.standing == "look"
    assert "day-28.parquet is above its band" in found.text


def test_days_before_the_strange_one_show_no_drift(contents):
    early = replace(contents, course=course(contents.trained[:28]))
    assert named(early)["No drift"].standing == "good"


def test_drift_that_is_long_past_is_told_but_needs_no_look(contents):
    later = [*contents.trained, *contents.trained[:20]]
    assert "Newest partitions in their band" in named(replace(contents, course=course(later)))


def test_a_few_partitions_say_nothing_of_drift(contents):
    few = replace(contents, course=course(contents.trained[:5]))
    assert named(few)["Too few partitions to see drift"].standing == "unknown"


def test_the_newest_tenth_of_the_rows_is_held_against_the_constant(contents):
    loss, constant, rows = recent_loss(contents.trained)
    last = contents.trained[-3:]
    assert rows == 900
    assert loss == pytest.approx(sum(one.loss or 0 for one in last) / 3)
    assert constant == pytest.approx(sum(one.metrics["constant_loss"] or 0 for one in last) / 3)


def test_a_model_that_is_no_better_than_a_constant_needs_a_look(contents):
    bad = [one.model_copy(update={"loss": 1e9}) for one in contents.trained]
    assert named(replace(contents, trained=bad))["No better than a constant"].standing == "look"
    bad = judged(contents, 41.0)
    assert named(bad)["Holdout: no better than a constant"].standing == "look"


@pytest.mark.parametrize(
    ("losses", "title", "standing"),
    [
        ((8.0, 8.8), "Holdout: 10 % worse than before", "look"),
        ((8.0, 8.08), "Holdout: 1 % worse than before", "good"),
        ((8.0, 6.0), "Holdout: 25 % better than before", "good"),
        ((8.0,), "Holdout loss 8", "good"),
        ((), "Not judged on a holdout", "unknown"),
    ],
)
def test_the_holdout_is_compared_with_the_version_before(contents, losses, title, standing):
    assert named(judged(contents, *losses))[title].standing == standing


def test_losses_on_other_rows_are_not_compared(contents):
    found = judged(contents, 8.0, 8.8)
    moved = [replace(one, constant=40.0 + i) for i, one in enumerate(found.judged)]
    assert "Holdout loss 8.8" in named(replace(found, judged=moved))


def test_a_file_that_was_left_out_needs_a_look(regression, contents):
    ledger = open_model(regression).ledger
    history = History(ledger.entries)
    newest = ledger.entries[-1]
    header = {"version": newest.version + 1, "parent_sha256": "0" * 64, "attempt": "0" * 32}
    skip = SkipEntry(
        **header, time="2026-03-02", partition=UnreadFile("bad.parquet"), reason="no footer"
    )
    history.append(skip)
    found = named(replace(contents, history=history, line=history.line()))
    assert found["1 file left out"].standing == "look"
    assert "bad.parquet, is left out for good" in found["1 file left out"].text
    look = Look(size=3, modified_ns=1)
    waiting = skip.model_copy(update={"quarantine": look})
    history = History([*ledger.entries, waiting])
    found = named(replace(contents, history=history, line=history.line()))
    assert "bad.parquet, is in quarantine" in found["1 file left out"].text
    assert named(contents)["Every file was learnt"].standing == "good"


def test_a_newer_version_that_was_refused_needs_a_look(contents):
    newest = contents.model.entry.model_copy(update={"version": contents.history.version + 1})
    history = History([*contents.history.entries, newest])
    newer = replace(contents, history=history)
    assert named(newer)[f"Version {newest.version} is newer"].standing == "unknown"
    refused = replace(newer, tags={"refused": newest.version})
    assert named(refused)[f"Version {newest.version} was refused"].standing == "look"


def test_probabilities_are_held_against_the_shares(classification, holdout):
    """The strange day has made this model timid: it says 14 % where 2 % are late."""
    found = contents_of(classification, holdout)
    assert found.evaluated is not None
    assert named(found)["Probabilities are off"].standing == "look"
    right = found.evaluated.model_copy(update={"metrics": {"calibration_error": 0.01}})
    assert named(replace(found, evaluated=right))["Probabilities hold"].standing == "good"
    few = [row | {"weight": 4.0} for row in found.evaluated.tables["calibration"]]
    chance = found.evaluated.model_copy(update={"tables": {"calibration": few}})
    assert named(replace(found, evaluated=chance))["Probabilities hold"].standing == "good"
