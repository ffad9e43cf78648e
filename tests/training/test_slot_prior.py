"""How the prior of hashed weights is found is frozen: models of earlier versions keep theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import Model, train, verify
from onepass.actions.summary import summarise
from onepass.actions.train import plan, train_pending
from onepass.model.directory import open_model


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    """Six files of rows with two columns of ids."""
    folder, rng = tmp_path_factory.mktemp("lakes") / "lake", np.random.default_rng(1)
    folder.mkdir()
    effects = 1.5 * rng.normal(size=(2, 900))
    for number in range(6):
        level = (900 ** rng.random((2, 2500))).astype(int) - 1
        z = np.take_along_axis(effects, level, axis=1).sum(axis=0)
        columns = {
            "user": pa.array([f"u{i}" for i in level[0]]),
            "film": pa.array([f"f{i}" for i in level[1]]),
            "y": (rng.logistic(size=2500) < z).astype(np.int64),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")
    return folder


def job(lake: Path, model: Path, **given):
    return {"lake": str(lake), "label": "y", "model": str(model), "categorical": IDS, **given}


IDS = ["user", "film"]


def states(model: Path) -> list[str]:
    return [one.state.sha256 for one in open_model(str(model)).ledger.history.trained()]


def test_model_of_an_earlier_version_believes_its_weights(lake, tmp_path):
    new, earlier = tmp_path / "new", tmp_path / "earlier"
    train(job(lake, new))
    text = (new / "model.json").read_text()
    assert '"slot_prior": "bounded"' in text
    earlier.mkdir()
    (earlier / "model.json").write_text(text.replace(',\n  "slot_prior": "bounded"', ""))
    train({"model": str(earlier)})
    assert states(earlier) != states(new)
    for model in (new, earlier):
        report = verify(str(model), retrain=True)
        assert (report.sound, report.findings) == (True, [])


def test_dense_weights_of_an_earlier_version_take_hashed_ones_for_known(lake, tmp_path):
    new, earlier = tmp_path / "new", tmp_path / "earlier"
    train(job(lake, new))
    text = (new / "model.json").read_text()
    assert '"slot_margins": "uncertain"' in text
    earlier.mkdir()
    (earlier / "model.json").write_text(text.replace(',\n  "slot_margins": "uncertain"', ""))
    train({"model": str(earlier)})
    assert states(earlier) != states(new)
    assert verify(str(earlier), retrain=True).sound


def test_model_of_an_earlier_version_repeats_the_rows_of_weighted_classes(lake, tmp_path):
    new, earlier = tmp_path / "new", tmp_path / "earlier"
    train(job(lake, new, class_weight="0=1,1=5"))
    text = (new / "model.json").read_text()
    assert '"weighted_slots": "once"' in text
    earlier.mkdir()
    (earlier / "model.json").write_text(text.replace(',\n  "weighted_slots": "once"', ""))
    train({"model": str(earlier)})
    assert states(earlier) != states(new)
    for model, told in ((new, False), (earlier, True)):
        assert verify(str(model), retrain=True).sound
        found = summarise(Model.load(str(model))).warnings
        assert any("the prior of hashed weights" in text for text in found) == told


def test_a_model_of_several_epochs_believes_its_weights(lake, tmp_path):
    plan(job(lake, tmp_path / "model", epochs=2))
    assert '"slot_prior": "believed"' in (tmp_path / "model" / "model.json").read_text()


def test_the_prior_is_bounded_for_losses_of_probabilities_alone(lake, tmp_path):
    for loss, told in {"probit": "bounded", "softmax": "bounded", "poisson": "widened"}.items():
        plan(job(lake, tmp_path / loss, loss=loss))
        assert f'"slot_prior": "{told}"' in (tmp_path / loss / "model.json").read_text()


@pytest.mark.parametrize("parallel", ["1", "2"])
def test_bytes_do_not_depend_on_where_a_run_stopped(lake, tmp_path, parallel):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(job(lake, whole, parallel=parallel))
    plan(job(lake, parts, parallel=parallel))
    while train_pending({"model": str(parts)}, max_seconds=0).pending:
        pass
    assert states(parts) == states(whole)
