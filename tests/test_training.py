"""Training as a whole: what one run, and the next, leave behind."""

from __future__ import annotations

from pipeline import evaluate, train


def test_second_run_trains_nothing_and_says_so(make_lake, tmp_path):
    job = {"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model")}
    first = train(job)
    second = train({"model": job["model"]})
    assert (first.partitions, first.pending) == (6, 0)
    assert (second.partitions, second.rows, second.version) == (0, 0, first.version)
    assert second.state_sha256 == first.state_sha256
    assert evaluate(job["lake"], job["model"]).metrics["r2"] > 0.5
