"""The order in which newton's pass sums is frozen: models of earlier versions keep theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import Model, train, verify
from onepass.actions.train import plan, train_pending
from onepass.model.directory import open_model


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    """Two files, of which the second is learnt in single precision."""
    folder = tmp_path_factory.mktemp("lakes") / "lake"
    folder.mkdir()
    for number, n_rows in enumerate([140_000, 60_000]):
        rng = np.random.default_rng(number)
        x = rng.normal(size=(n_rows, 3)).astype(np.float32)
        label = rng.random(n_rows) < 1 / (1 + np.exp(-x @ [1.0, -0.5, 0.2]))
        columns = {f"x{j}": x[:, j] for j in range(3)} | {"y": label}
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet", row_group_size=70_000)
    return folder


def job(lake: Path, model: Path, **given):
    return {"lake": str(lake), "label": "y", "model": str(model), **given}


def states(model: Path) -> list[str]:
    return [one.state.sha256 for one in open_model(str(model)).ledger.history.trained()]


def test_model_of_an_earlier_version_sums_row_by_row(lake, tmp_path):
    new, earlier = tmp_path / "new", tmp_path / "earlier"
    train(job(lake, new))
    text = (new / "model.json").read_text()
    assert '"pass_over": "columns"' in text
    earlier.mkdir()
    (earlier / "model.json").write_text(text.replace(',\n  "pass_over": "columns"', ""))
    train({"model": str(earlier)})
    assert states(earlier) != states(new)
    for model in (new, earlier):
        report = verify(str(model), retrain=True)
        assert (report.sound, report.findings) == (True, [])
    rows = pq.read_table(lake / "part-1.parquet")
    found, expected = (np.asarray(Model.load(str(one)).predict(rows)) for one in (new, earlier))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bytes_depend_neither_on_memory_nor_on_where_a_run_stopped(lake, tmp_path):
    whole, little, parts = tmp_path / "whole", tmp_path / "little", tmp_path / "parts"
    train(job(lake, whole))
    train(job(lake, little, memory_limit="600MB"))
    plan(job(lake, parts))
    while train_pending({"model": str(parts)}, max_seconds=0).pending:
        pass
    assert states(little) == states(parts) == states(whole)
