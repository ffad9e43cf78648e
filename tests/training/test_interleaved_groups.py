"""Interleaved partitions, epochs and candidates: each row as often as promised, and no more."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from onepass import Model, evaluate, plan, train, train_pending
from onepass.errors import BadPartition, JobError
from onepass.lake.limits import ReadLimits
from onepass.ledger.entries import TrainEntry
from onepass.ledger.npz import load_state
from onepass.model.directory import open_model
from onepass.training.limits import Limits

N_FILES = 12


def rows(n_rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3))
    z = x @ [1.5, -1.0, 0.5]
    y = (rng.logistic(size=n_rows) < z).astype(np.int64)
    return pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


def write(folder: Path, table: pa.Table, n_files: int = N_FILES) -> str:
    folder.mkdir()
    edges = np.linspace(0, len(table), n_files + 1).astype(int)
    for i, (start, stop) in enumerate(pairwise(edges)):
        part = table.slice(start, stop - start)
        pq.write_table(part, folder / f"part-{i:02}.parquet", row_group_size=300)
    return str(folder)


@pytest.fixture
def job(tmp_path) -> dict:
    return {
        "lake": write(tmp_path / "lake", rows(6000, 1).sort_by("y")),
        "label": "y",
        "model": str(tmp_path / "model"),
    }


@pytest.fixture
def holdout(tmp_path) -> str:
    return write(tmp_path / "holdout", rows(6000, 2), 1)


def trained(job: dict) -> list[TrainEntry]:
    return open_model(job["model"]).ledger.history.trained()


def times_trained(job: dict) -> Counter[tuple[str, int]]:
    return Counter((p.path, e.epoch) for e in trained(job) for p in e.partitions)


def all_files(*epochs: int) -> Counter[tuple[str, int]]:
    return Counter({(f"part-{i:02}.parquet", e): 1 for i in range(N_FILES) for e in epochs})


def test_interleaved_partitions_are_learnt_and_committed_together(job):
    report = train(job | {"interleave": 5})
    assert [len(e.partitions) for e in trained(job)] == [4, 4, 4]
    assert times_trained(job) == all_files(1)
    assert (report.partitions, report.rows) == (12, 6000)
    # Evenly spaced files: each group has both kinds of labels in the lake's proportion.
    for entry in trained(job):
        assert entry.metrics["positive"] == pytest.approx(0.5, abs=0.1)


def test_interleaving_a_sorted_lake_leads_to_the_model_of_a_shuffled_one(job, holdout, tmp_path):
    shuffled = write(tmp_path / "shuffled", rows(6000, 1))
    losses = {}
    sgd = {"solver": "sgd", "learning_rate": 0.05}
    calm = sgd | {"averaging": "polynomial"}
    for name, more in {
        "sorted": sgd | {"order": "stored"},
        "interleaved": calm | {"interleave": 12},
        "shuffled": calm | {"lake": shuffled},
        "newton": {"interleave": 6},
        "newton shuffled": {"lake": shuffled},
    }.items():
        model = str(tmp_path / name)
        train(job | {"model": model} | more)
        losses[name] = evaluate(holdout, model).loss
    assert losses["sorted"] > 1.2 * losses["shuffled"]
    assert losses["interleaved"] == pytest.approx(losses["shuffled"], rel=0.02)
    assert losses["newton"] == pytest.approx(losses["newton shuffled"], rel=0.005)


def test_inspect_proposes_interleave_by_name_for_a_sorted_lake(job, onepass):
    code, out, _ = onepass("inspect", job["lake"], "--label", "y")
    assert code == 0
    assert f"--interleave {N_FILES}" in out
    code, _, err = onepass("train", *_flags(job), "--interleave", 12)
    assert code == 0
    assert "--interleave" not in err


def _flags(job: dict) -> list[str]:
    return [job["lake"], "--label", job["label"], "--model", job["model"]]


def spoil(path: Path, row_group: int) -> None:
    """Overwrite the first page of a row group."""
    data = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(row_group).column(0).data_page_offset
    data[start : start + 400] = bytes(400)
    path.write_bytes(data)


def test_bad_member_is_left_out_and_the_rest_of_its_group_is_trained(job, tmp_path):
    plan(job | {"interleave": 4})
    spoil(Path(job["lake"], "part-03.parquet"), 1)
    with pytest.raises(BadPartition, match="part-03"):
        train({"model": job["model"]})
    report = train({"model": job["model"], "on_bad": "skip"})
    assert report.skipped == 1
    expected = all_files(1)
    del expected["part-03.parquet", 1]
    assert times_trained(job) == expected
    assert train({"model": job["model"], "on_bad": "skip"}).partitions == 0


def test_bad_range_of_a_file_does_not_take_the_others_with_it(job):
    limits = Limits(read=ReadLimits(split_bytes=1))
    planned = small.plan(job | {"interleave": 8}, limits=limits).partitions
    spoil(Path(job["lake"], "part-03.parquet"), 1)
    report = small.train({"model": job["model"], "on_bad": "skip"}, limits=limits)
    assert (report.skipped, report.partitions) == (1, planned - 1)
    (left_out,) = (e for e in open_model(job["model"]).ledger.entries if e.action == "skip")
    assert left_out.partition.first_row_group == 1


def test_partition_that_is_bad_in_the_first_epoch_is_not_tried_again(job, tmp_path):
    """The log is the same whether one process trains all epochs or each commit has its own."""
    stepwise = job | {"model": str(tmp_path / "steps")}
    for one in (job, stepwise):
        plan(one | {"epochs": 3, "interleave": 2})
    spoil(Path(job["lake"], "part-03.parquet"), 1)
    assert train({"model": job["model"], "on_bad": "skip"}).skipped == 1
    step = {"model": stepwise["model"], "on_bad": "skip"}
    while train_pending(step, max_seconds=0).pending:
        pass
    ours, theirs = (open_model(one["model"]).ledger for one in (job, stepwise))
    assert [e.action for e in ours.entries] == [e.action for e in theirs.entries]
    assert [e.state.sha256 for e in ours.history.trained()] == [
        e.state.sha256 for e in theirs.history.trained()
    ]


def test_each_epoch_has_each_partition_once_in_an_order_of_its_own(job):
    report = train(job | {"epochs": 3, "solver": "nag"})
    assert times_trained(job) == all_files(1, 2, 3)
    assert report.rows == 18_000
    orders = [[e.partitions[0].path for e in trained(job) if e.epoch == n] for n in (1, 2, 3)]
    assert orders[0] != orders[1] != orders[2]
    pq.write_table(rows(300, 7), Path(job["lake"], "part-99.parquet"))
    assert train({"model": job["model"]}).rows == 900
    assert {e.epoch for e in trained(job)[-3:]} == {1, 2, 3}


def test_more_epochs_bring_plain_sgd_nearer_to_the_optimum(job, holdout, tmp_path):
    losses = []
    for epochs in (1, 8):
        model = str(tmp_path / f"epochs-{epochs}")
        train(job | {"model": model, "epochs": epochs, "solver": "sgd", "learning_rate": 0.002})
        losses.append(evaluate(holdout, model).loss)
    train(job)
    best = evaluate(holdout, job["model"]).loss
    assert losses[1] - best < 0.2 * (losses[0] - best)


def test_linear_rate_falls_to_zero_over_all_epochs_of_a_plan(job):
    linear = job | {"epochs": 2, "solver": "sgd", "schedule": "linear"}
    train(linear)
    opened = open_model(job["model"])
    assert opened.ledger.history.planned_rows() == (0, 12_000)
    constant = train(linear | {"model": job["model"] + "-constant", "schedule": "constant"})
    moves = {}
    for model in (job["model"], constant.model):
        (first, *_, before, after) = _dense_weights(model)
        moves[model] = np.abs(after - before).max() / np.abs(before - first).max()
    # The last of 24 partitions is learnt at a fiftieth of the first rate, on the average.
    assert moves[job["model"]] < 0.5 * moves[constant.model]


def _dense_weights(model: str) -> list[np.ndarray]:
    """Weights of the first partition's features after each of the newest versions, from zero."""
    opened = open_model(model)
    states = [load_state(opened.ledger.read_state(e)) for e in opened.ledger.history.learnt()[-3:]]
    return [np.zeros(4), *(state["0.dense"][0, 0] for state in states)]


def test_left_out_partition_is_left_out_of_all_epochs(job):
    Path(job["lake"], "part-05.parquet").write_bytes(b"PAR1 not a file at all")
    report = train(job | {"epochs": 2, "on_bad": "skip"})
    expected = all_files(1, 2)
    for epoch in (1, 2):
        del expected["part-05.parquet", epoch]
    assert times_trained(job) == expected
    assert report.skipped == 1


RATES = [1e-5, 0.05, 1e6]


def test_candidates_are_chosen_on_rows_that_none_has_learnt(job, holdout):
    report = train(job | {"solver": "sgd", "learning_rate": RATES, "interleave": 12})
    held = sum(e.counts["held_out"] for e in trained(job))
    assert report.rows + held == 6000
    assert held == pytest.approx(6000 / 32, rel=0.3)
    assert [one.chosen for one in report.candidates] == [False, True, False]
    assert report.candidates[2].loss > 2 * report.candidates[1].loss
    chosen = evaluate(holdout, job["model"]).loss
    assert chosen == pytest.approx(evaluate_alone(job, holdout), rel=0.02)
    assert trained(job)[-1].candidates == report.candidates


def evaluate_alone(job: dict, holdout: str) -> float:
    alone = job | {"model": job["model"] + "-alone", "interleave": 12}
    train(alone | {"solver": "sgd", "learning_rate": RATES[1]})
    return evaluate(holdout, alone["model"]).loss


def test_same_rows_are_held_out_in_every_epoch(job):
    train(job | {"l2": [0.0, 0.01], "epochs": 2, "parallel": 1})
    held = {
        epoch: {
            e.partitions[0].path: e.counts.get("held_out", 0)
            for e in trained(job)
            if e.epoch == epoch
        }
        for epoch in (1, 2)
    }
    assert held[1] == held[2]


def test_command_prints_the_table_of_candidates(job, onepass):
    code, out, _ = onepass("train", *_flags(job), "--l2", "0,1e-3,10")
    assert code == 0
    assert "on held-out rows" in out
    (chosen,) = [line for line in out.splitlines() if line.startswith("*")]
    assert chosen.split()[2] in {"0", "0.001"}
    code, out, _ = onepass("log", job["model"], "--json")
    assert '"candidates"' in out


def test_model_follows_a_drifting_lake_with_a_half_life(tmp_path):
    before, after = rows(6000, 3), rows(6000, 4)
    flipped = after.set_column(3, "y", pa.array(1 - after["y"].to_numpy()))
    lake = write(tmp_path / "lake", pa.concat_tables([before, flipped]))
    newest = write(tmp_path / "newest", flipped.slice(5000), 1)
    losses = {}
    for half_life in (None, "1 partitions", "1000 rows"):
        model = str(tmp_path / f"m {half_life}")
        job = {"lake": lake, "label": "y", "model": model, "order": "stored"}
        train(job | ({"half_life": half_life} if half_life else {}))
        losses[half_life] = evaluate(newest, model).loss
    assert losses["1 partitions"] < 0.55 < losses[None]
    assert losses["1000 rows"] < 0.55


CLASHES = {
    "rate of newton": {"solver": "newton", "learning_rate": 0.1},
    "half-life of sgd": {"solver": "sgd", "half_life": "9 rows"},
    "l1 of sgd": {"solver": "sgd", "l1": 0.1},
    "schedule of ftrl": {"solver": "ftrl", "schedule": "linear"},
    "rate of dog": {"solver": "dog", "learning_rate": 1.0},
    "quantile of huber": {"loss": "huber", "quantile": 0.9},
    "delta of squared": {"loss": "squared", "delta": 1.0},
}


@pytest.mark.parametrize("more", CLASHES.values(), ids=CLASHES)
def test_settings_that_do_not_go_together_are_refused_by_name(job, more):
    with pytest.raises(JobError, match=r"--(learning-rate|half-life|l1|schedule|quantile|delta)"):
        train(job | more)
    assert not Path(job["model"]).exists()


def test_design_too_wide_for_newton_is_refused_or_goes_to_the_first_order_rule(tmp_path):
    n_columns = 600
    table = {f"x{i}": np.random.default_rng(i).normal(size=400) for i in range(n_columns)}
    table["y"] = np.digitize(table["x0"], [-1, 0, 1]).astype(str)
    (tmp_path / "lake").mkdir()
    pq.write_table(pa.table(table), tmp_path / "lake/0.parquet")
    job = {"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "m")}
    with pytest.raises(JobError, match="at most 2048"):
        train(job | {"solver": "newton"})
    train(job)
    assert Model.load(job["model"]).file.job.solver == "nag"
