"""How saturated rows are remembered: frozen with the model, and only for separable classes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass import train, verify
from onepass.learn.newton import block_learner
from onepass.model.directory import open_model


def test_model_of_an_earlier_version_forgets_saturated_rows_as_before(tmp_path):
    lake, new, earlier = tmp_path / "lake", tmp_path / "new", tmp_path / "earlier"
    lake.mkdir()
    for number in range(3):
        x = np.random.default_rng(number).normal(size=(4000, 3))
        label = x @ [1.0, -0.5, 0.2] > 0.3
        pq.write_table(
            pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": label}),
            lake / f"{number}.parquet",
        )
    train({"lake": str(lake), "label": "y", "model": str(new)})
    text = (new / "model.json").read_text()
    assert '"saturated": "settled"' in text
    earlier.mkdir()
    (earlier / "model.json").write_text(text.replace(',\n  "saturated": "settled"', ""))
    train({"model": str(earlier)})
    states = [
        open_model(str(one)).ledger.history.trained()[-1].state.sha256 for one in (new, earlier)
    ]
    assert states[0] != states[1]
    for model in (new, earlier):
        report = verify(str(model), retrain=True)
        assert (report.sound, report.findings) == (True, [])


def test_no_row_counts_as_saturated_because_it_has_a_large_offset(tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    x = rng.normal(size=20_000)
    y = rng.random(len(x)) < 1 / (1 + np.exp(5 - x))
    pq.write_table(
        pa.table({"x": x, "known": np.full(len(x), -5.0), "y": y}), tmp_path / "a.parquet"
    )
    found = []
    monkeypatch.setattr(block_learner, "expected", lambda *given: found.append(given) or given[3])
    train({"lake": str(tmp_path), "label": "y", "offset": "known", "model": str(tmp_path / "m")})
    assert not found
