"""Labels of a class that the model does not know, and labels that are empty texts."""

from __future__ import annotations

import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import Model, evaluate, refine, verify
from onepass.encode.classes import class_counts
from onepass.encode.encoder import Encoder
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition, DataError, JobError
from onepass.model.directory import open_model
from onepass.survey.survey import survey
from onepass.text import visible
from small import plan, train

N = 300


def table(seed, classes=("no", "yes", "maybe"), spoilt=()):
    """Rows whose classes can be told by `x`; the first rows have the labels in `spoilt`."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, len(classes), N)
    x = place + 0.3 * rng.normal(size=N)
    labels = [*spoilt, *(classes[i] for i in place[len(spoilt) :])]
    return pa.table({"x": x, "y": pa.array(labels)})


@pytest.fixture
def lake(tmp_path):
    folder = tmp_path / "lake"
    folder.mkdir()
    for i in range(3):
        pq.write_table(table(i), folder / f"p{i}.parquet")
    return folder


def job(lake, **fields):
    return {"lake": str(lake), "label": "y", "model": str(lake.with_name("model"))} | fields


def counts(given):
    return [entry.counts for entry in open_model(given["model"]).ledger.history.trained()]


STRANGE = ["never", "yes", "never", None, "perhaps"]


def test_error_names_every_unknown_class_of_the_rows_at_once(lake):
    given = job(lake)
    train(given)
    pq.write_table(table(9, spoilt=[*STRANGE[:3], "perhaps"]), lake / "p9.parquet")
    says = r"one of the 3 classes, found never \(2 rows\), perhaps\n.*--unknown-class drop"
    with pytest.raises(BadPartition, match=says) as caught:
        train(given)
    assert (caught.value.path, caught.value.column) == ("p9.parquet", "y")


def test_error_names_the_unknown_classes_of_the_whole_file(lake):
    given = job(lake)
    train(given)
    late = pa.concat_tables([table(i, spoilt=[f"c{i}"] * 2) for i in range(5)])
    pq.write_table(late, lake / "p9.parquet", row_group_size=200)
    says = r"found c0 \(2 rows\), c1 \(2 rows\), c2 .* c3 .* c4 \(2 rows\)\n"
    with pytest.raises(BadPartition, match=says):
        train(given)


def test_classes_depend_on_neither_memory_nor_threads(lake, monkeypatch):
    found = []
    for i, (limit, threads) in enumerate([("700MB", 1), ("2GiB", 8)]):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        given = job(lake, memory_limit=limit, model=str(lake.with_name(f"m{i}")))
        plan(given)
        found.append(open_model(given["model"]).file.encoder)
    assert found[0] == found[1]


@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_unknown_classes_are_dropped_and_counted_beside_null_labels(lake, solver):
    given = job(lake, unknown_class="drop", on_null_label="drop", solver=solver)
    train(given)
    pq.write_table(table(9, spoilt=STRANGE), lake / "p9.parquet")
    grown = train(given)
    assert grown.rows == N - 4
    assert counts(given)[-1] == {"unknown_class": 3, "null_label": 1}
    assert verify(given["model"], retrain=True).sound
    refine({"model": given["model"]}, n_passes=2)
    assert verify(given["model"]).sound
    alone = lake.with_name("alone")
    alone.mkdir()
    pq.write_table(table(9, spoilt=STRANGE), alone / "p9.parquet")
    found = evaluate(str(alone), given["model"])
    assert (found.rows, found.counts) == (N - 4, {"unknown_class": 3, "null_label": 1})


def test_unknown_classes_are_learnt_as_the_class_other(lake):
    given = job(lake, unknown_class="other")
    train(given)
    assert Model.load(given["model"]).classes == ["maybe", "no", "other", "yes"]
    far = table(9, spoilt=["never"] * 100 + ["ever"] * 50)
    far = far.set_column(0, "x", pa.array(np.r_[np.full(150, 9.0), far["x"].to_numpy()[150:]]))
    pq.write_table(far, lake / "p9.parquet")
    assert train(given).rows == N
    assert counts(given)[-1] == {"learnt_as_other": 150}
    model = Model.load(given["model"])
    assert set(model.predict({"x": np.full(3, 9.0)})) == {"other"}
    assert verify(given["model"], retrain=True).sound
    # Rows that a lake itself calls "other" are of the same class.
    pq.write_table(pa.table({"x": [9.0] * 5, "y": ["other"] * 5}), lake / "p10.parquet")
    assert train(given).rows == 5
    assert counts(given)[-1] == {}


def test_named_classes_with_drop_learn_a_part_of_the_lake(lake):
    given = job(lake, classes=["no", "yes"], unknown_class="drop")
    outcome = train(given)
    n_dropped = sum(one["unknown_class"] for one in counts(given))
    assert n_dropped == sum(table(i)["y"].to_pylist().count("maybe") for i in range(3))
    assert outcome.rows == 3 * N - n_dropped
    assert open_model(given["model"]).file.job.loss == "logistic"


REFUSED = [
    ({"loss": "logistic", "classes": ["no", "yes"], "unknown_class": "other"},
     "not among the two classes of logistic loss, no and yes; take --loss softmax, or name it: "
     "--classes other,yes"),
    ({"label": "n", "loss": "softmax", "unknown_class": "other"}, "needs a label of text"),
    ({"label": "x", "unknown_class": "drop"}, "--unknown-class belongs to logistic, probit"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "says"), REFUSED)
def test_treatment_that_the_label_cannot_have_is_refused(lake, fields, says):
    for path in lake.iterdir():
        read = pq.read_table(path)
        n = pa.array(np.arange(len(read)) % 3)
        pq.write_table(read.append_column("n", n), path)
    with pytest.raises(JobError, match=says):
        train(job(lake, **fields))


def test_one_class_against_all_others_is_named_other(lake):
    given = job(lake, classes=["other", "yes"], unknown_class="other")
    train(given)
    model = Model.load(given["model"])
    assert model.file.job.loss == "logistic"
    assert sum(one["learnt_as_other"] for one in counts(given)) == sum(
        N - table(i)["y"].to_pylist().count("yes") for i in range(3)
    )


def test_treatment_is_frozen_with_the_model(lake):
    train(job(lake))
    with pytest.raises(JobError, match=r"unknown_class: the model has 'error', this run .*'drop'"):
        train(job(lake, unknown_class="drop"))


# -- empty texts ---------------------------------------------------------------------------------


def blank(lake, spoilt=("", "  ", None, "yes")):
    for i in range(3):
        pq.write_table(table(i, spoilt=spoilt), lake / f"p{i}.parquet")
    return job(lake)


def test_empty_text_is_a_missing_label(lake):
    given = blank(lake)
    with pytest.raises(DataError, match=r"1\.0% of the labels \('y'\) are null or empty"):
        train(given)
    train(given | {"on_null_label": "drop"})
    assert Model.load(given["model"]).classes == ["maybe", "no", "yes"]
    assert counts(given) == [{"null_label": 3}] * 3


def test_each_way_out_that_the_error_of_a_later_null_label_names_can_be_gone(lake):
    given = job(lake)
    train(given)
    pq.write_table(table(9, spoilt=[""]), lake / "p9.parquet")
    says = (
        r"1 of \d+ labels are null or empty\n.*go on without it: --on-bad skip\. "
        r".*create a new model with --on-null-label drop\."
    )
    with pytest.raises(BadPartition) as caught:
        train(given)
    assert re.search(says, str(caught.value))
    drops = given | {"on_null_label": "drop"}
    with pytest.raises(JobError, match="the model has 'error', this run asks for 'drop'"):
        train(drops)
    assert train(given | {"on_bad": "skip"}).skipped == 1
    new = drops | {"model": str(lake.with_name("new"))}
    train(new)
    assert sum(one.get("null_label", 0) for one in counts(new)) == 1


def test_empty_text_that_the_job_names_is_a_class(lake):
    given = blank(lake, ["", ""]) | {"classes": ["", "no", "maybe", "yes"]}
    train(given)
    assert Model.load(given["model"]).classes == ["", "no", "maybe", "yes"]
    assert counts(given) == [{}] * 3


def test_models_of_earlier_versions_keep_their_empty_class():
    old = Label(name="y", family="text", classes=["", "b"])
    values = pa.array(["b", "", None])
    encoder = Encoder(
        Schema(columns=[], label=old, weight=None, hash_bits=1, hive={}), drop_null_label=True
    )
    encoded = encoder.encode(pa.table({"y": values}), {})
    assert encoded.block.label.tolist() == [1, 0]
    assert encoded.counts == {"null_label": 1}
    assert class_counts(values, "text") == {"": 1, "b": 1}


@pytest.mark.parametrize("text", ["?", "NA", " n/a ", "null"])
def test_word_for_a_missing_value_is_no_label_unless_the_job_names_it(lake, text):
    blank(lake, [text, text])
    found = survey(str(lake), label="y")
    assert text not in found.label.label.classes
    assert found.label.null_share > 0
    assert any("null or empty or " + visible(text) in one for one in found.warnings)
    named = survey(str(lake), label="y", classes=["no", "yes", "maybe", text])
    assert text in named.label.label.classes
    assert named.label.null_share == 0
