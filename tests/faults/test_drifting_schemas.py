"""Files whose columns are not those of the first files: read alike where listed, refused else."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import ROOT
from onepass import train
from onepass.encode.reads import READS, is_readable
from onepass.errors import BadPartition
from onepass.ledger.entries import SkipEntry
from onepass.model.directory import open_model
from onepass.model.model import Model

N = 60

NUMBERS = np.arange(N) % 7
WORDS = np.array(["north", "east", "south", "west"])[np.arange(N) % 4].tolist()
DAYS = (NUMBERS * 86_400).tolist()


def decimals(dtype: pa.DataType) -> pa.Array:
    return pa.array([Decimal(int(n)) for n in NUMBERS], dtype)


FORMS = {
    "integer": [pa.array(NUMBERS).cast(t) for t in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(),
        pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    )] + [pa.array(NUMBERS, pa.int64()).dictionary_encode()],
    "real": [
        pa.array(NUMBERS.astype(np.float16)), pa.array(NUMBERS, pa.float32()),
        pa.array(NUMBERS, pa.float64()), decimals(pa.decimal128(9, 2)),
        decimals(pa.decimal256(50, 3)),
    ],
    "bool": [pa.array(NUMBERS > 3)],
    "time": [pa.array(DAYS, pa.int64()).cast(pa.timestamp("s")).cast(t) for t in (
        pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"),
        pa.timestamp("us", "Europe/Berlin"), pa.date32(), pa.date64(),
    )],
    "text": [pa.array(WORDS).cast(t) for t in (pa.string(), pa.large_string(), pa.string_view())]
    + [pa.array(WORDS).dictionary_encode()],
    "other": [
        pa.array([[1.0]] * N), pa.array([{"x": 1.0}] * N), pa.array([b"x"] * N),
        pa.array(NUMBERS, pa.int32()).cast(pa.time32("s")),
    ],
}  # fmt: skip
"""The same values of each family in all types that they are written in."""

USUAL = {"number": 2, "label": 2, "category": 3, "flag": 0, "when": 1, "word": 0}
"""Columns of the lake, each with the place in `FORMS` of its usual type."""

FAMILIES = {
    "number": "real",
    "label": "real",
    "category": "integer",
    "flag": "bool",
    "when": "time",
    "word": "text",
}

READ = {
    "number": {"integer", "real"},
    "label": {"integer", "real", "bool"},
    "category": {"integer", "real"},
    "flag": {"bool"},
    "when": {"time"},
    "word": {"text"},
}
"""What the documents promise."""

IN_TEXT = {"amount": {"text", "integer", "real"}, "stamp": {"text", "time"}}
"""The same for columns whose numbers or times were text when the model was made."""


def usual(n: int = N, **changed: Any) -> pa.Table:
    columns = {name: FORMS[FAMILIES[name]][at] for name, at in USUAL.items()}
    return pa.table(columns | changed).slice(0, n)


def write(lake: Path, name: str, table: pa.Table, **options: Any) -> None:
    (lake / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, lake / name, **options)


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Any:
    """A lake of two usual files."""
    lake = tmp_path_factory.mktemp("first")
    for i in range(2):
        write(lake, f"a{i}.parquet", usual())
    return lake


@pytest.fixture
def job(tmp_path, first) -> dict[str, Any]:
    """A model that has been trained on the usual files."""
    lake = tmp_path / "lake"
    for path in first.iterdir():
        write(lake, path.name, pq.read_table(path))
    fields = {"lake": str(lake), "label": "label", "model": str(tmp_path / "model")}
    train(fields | {"categorical": ["category"], "loss": "squared", "order": "stored"})
    return fields


def arrive(job: dict[str, Any], table: pa.Table, name: str = "b.parquet", **options: Any) -> None:
    write(Path(job["lake"]), name, table, **options)


def refused(job: dict[str, Any]) -> BadPartition:
    """The error of the next run, after which the model is what it was."""
    before = open_model(job["model"]).ledger.history.trained()
    with pytest.raises(BadPartition) as caught:
        train({"model": job["model"]})
    assert caught.value.exit_code == 3
    assert open_model(job["model"]).ledger.history.trained() == before
    return caught.value


# -- every type in place of every other ------------------------------------------------------------


def test_every_type_is_read_alike_or_refused_with_both_types(job):
    """All pairs of a column and a type: 6 times 29."""
    accepted, lake = [], Path(job["lake"])
    for (name, own), (family, forms) in product(FAMILIES.items(), FORMS.items()):
        for place, values in enumerate(forms):
            arrive(job, usual(**{name: values}))
            if family in READ[name]:
                if place == USUAL[name] and family == own:
                    continue
                (lake / "b.parquet").rename(lake / f"ok-{len(accepted):03}.parquet")
                accepted.append((name, values.type))
                continue
            error = refused(job)
            assert (error.path, error.column) == ("b.parquet", name)
            assert re.search(r"expected (a |an |text).*, found type ", error.reason)
            found = pq.read_schema(lake / "b.parquet").field(name).type
            assert error.reason.endswith(str(found))
    (lake / "b.parquet").unlink(missing_ok=True)
    report = train({"model": job["model"]})
    assert (report.partitions, report.rows) == (len(accepted), N * len(accepted))
    assert len(accepted) > 40
    for entry in open_model(job["model"]).ledger.history.trained():
        assert entry.counts == {}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "label"])
def test_types_that_are_read_alike_give_the_same_predictions(job, tmp_path, name):
    model = Model.load(job["model"])
    expected = model.predict(usual().drop_columns("label"))
    for family in READ[name] & {FAMILIES[name], "integer"}:
        for values in FORMS[family]:
            found = model.predict(usual(**{name: values}).drop_columns("label"))
            # Columns of one type are added up together; and floats of 32 bits are centred and
            # scaled in their own precision.
            exact = values.type != pa.float32()
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 if exact else 1e-6)


def test_documented_table_of_widenings_is_the_one_in_the_code():
    text = (ROOT / "docs/data.md").read_text()
    for use, reads in READS.items():
        assert f"| {use} | {reads.text} |" in text
    for name, use in {"number": "number", "flag": "truth value", "when": "time",
                      "word": "text category", "category": "whole-number category",
                      "label": "label of numbers", "amount": "number in text",
                      "stamp": "time in text"}.items():  # fmt: skip
        for family, forms in FORMS.items():
            for values in forms:
                reads = READ.get(name) or IN_TEXT[name]
                assert is_readable(use, values.type) == (family in reads)


# -- columns that are not there --------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_missing_column_is_named(job, name):
    arrive(job, usual().drop_columns(name))
    error = refused(job)
    assert (error.path, error.column, error.reason) == ("b.parquet", name, "the column is missing")


@pytest.mark.parametrize("other", ["NUMBER", "Number", "numbers", "number_", " Number "])
def test_column_that_was_renamed_is_missing_and_its_new_name_is_told(job, other):
    names = [other if name == "number" else name for name in usual().column_names]
    arrive(job, usual().rename_columns(names))
    error = refused(job)
    assert error.column == "number"
    assert error.reason == f"the column is missing; the file has {other!r}"


def test_names_that_differ_in_case_only_are_different_columns(job):
    arrive(job, usual(NUMBER=np.full(N, 1e9)))
    assert train({"model": job["model"]}).partitions == 1
    expected = Model.load(job["model"]).predict(usual())
    np.testing.assert_array_equal(Model.load(job["model"]).predict(usual(NUMBER=WORDS)), expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_column_that_is_there_twice_is_named(job, name):
    arrive(job, usual().append_column(name, usual()[name]))
    error = refused(job)
    assert (error.column, error.reason) == (name, "the column is there more than once")


def test_added_and_reordered_columns_do_not_matter(job, tmp_path):
    table = usual().append_column("new", pa.array([[1]] * N)).append_column("new", [WORDS])
    arrive(job, table.select(list(reversed(range(table.num_columns)))))
    plain = tmp_path / "plain"
    expected = train(job | {"model": str(plain)} | same_choice(job))
    found = train({"model": job["model"]})
    arrive(job, usual())
    again = train(job | {"model": str(tmp_path / "again")} | same_choice(job))
    assert found.state_sha256 == expected.state_sha256 == again.state_sha256


def same_choice(job: dict[str, Any]) -> dict[str, Any]:
    frozen = open_model(job["model"]).file.job
    return {name: getattr(frozen, name) for name in ("categorical", "loss", "order")}


# -- columns without a value -----------------------------------------------------------------------

EMPTY = [pa.null(), pa.bool_(), pa.float64(), pa.string(), pa.int64(), pa.timestamp("ms")]


@pytest.mark.parametrize("dtype", EMPTY, ids=str)
def test_column_without_a_value_is_read_as_nulls_whatever_its_type(job, dtype):
    for name in set(FAMILIES) - {"label"}:
        arrive(job, usual(**{name: pa.nulls(N, dtype)}), f"{name}.parquet", row_group_size=25)
    assert train({"model": job["model"]}).partitions == 5
    for entry in open_model(job["model"]).ledger.history.trained()[2:]:
        assert entry.counts == {"unexpected_null": N}


def test_column_of_another_type_with_one_value_is_refused(job):
    arrive(job, usual(word=pa.array([None] * (N - 1) + [1.5])))
    error = refused(job)
    assert (error.column, error.reason) == (
        "word", "expected text (string, large_string, string_view), found type double"
    )  # fmt: skip


def test_column_without_a_value_is_not_believed_where_no_statistics_tell(job):
    arrive(job, usual(word=pa.nulls(N, pa.float64())), write_statistics=False)
    assert refused(job).column == "word"


def test_label_without_a_value_is_refused_or_its_rows_dropped(job, tmp_path):
    arrive(job, usual(label=pa.nulls(N)))
    assert refused(job).reason == f"{N} of {N} labels are null or NaN"
    dropping = job | same_choice(job) | {"on_null_label": "drop", "model": str(tmp_path / "other")}
    train(dropping)
    last = open_model(dropping["model"]).ledger.history.trained()[-1]
    assert (last.rows, last.counts["null_label"]) == (0, N)


@pytest.mark.parametrize(
    "table", [pa.table({}), pa.table({"word": pa.nulls(0, pa.bool_())}), usual(0, word=NUMBERS)]
)
def test_file_without_rows_fits_whatever_its_columns(job, tmp_path, table):
    arrive(job, table.slice(0, 0))
    assert train({"model": job["model"]}).partitions == 0
    assert train(job | same_choice(job) | {"model": str(tmp_path / "new")}).partitions == 2


def test_types_of_columns_without_a_value_do_not_decide_when_the_model_is_made(tmp_path):
    lake = tmp_path / "lake"
    for i, dtype in enumerate([pa.float64(), pa.bool_(), pa.null(), pa.float64()]):
        write(lake, f"a{i}.parquet", usual(word=pa.nulls(N, dtype)))
    write(lake, "z.parquet", usual())
    model = str(tmp_path / "model")
    assert train({"lake": str(lake), "label": "label", "model": model}).partitions == 5
    assert "word = north" in open_model(model).file.encoder.feature_names()


# -- folders ---------------------------------------------------------------------------------------


def test_folder_that_is_also_a_column_is_the_one_that_is_read(tmp_path):
    lake, model = tmp_path / "lake", str(tmp_path / "model")
    for i, word in enumerate(("east", "west")):
        # The files tell another story, and of another type.
        write(lake, f"word={word}/a.parquet", usual(word=np.full(N, i)))
    fields = {"lake": str(lake), "label": "label", "model": model}
    assert train(fields).partitions == 2
    assert "word = west" in open_model(model).file.encoder.feature_names()
    write(lake, "b.parquet", usual())
    with pytest.raises(BadPartition, match="key=value folder"):
        train({"model": model})


def test_column_that_becomes_a_folder_is_missing(job):
    arrive(job, usual().drop_columns("word"), "word=east/b.parquet")
    assert refused(job).column == "word"
    arrive(job, usual(), "word=east/b.parquet")
    assert train({"model": job["model"]}).partitions == 1


# -- on the way ------------------------------------------------------------------------------------


def test_all_files_that_do_not_fit_are_told_before_one_is_trained_or_left_out_with_reasons(job):
    arrive(job, usual(), "b.parquet")
    arrive(job, usual(word=NUMBERS), "c.parquet")
    arrive(job, usual(number=WORDS), "d.parquet")
    refused(job)
    report = train({"model": job["model"], "on_bad": "skip"})
    assert (report.partitions, report.skipped) == (1, 2)
    skips = [e for e in open_model(job["model"]).ledger.entries if isinstance(e, SkipEntry)]
    assert [skip.partition.path for skip in skips] == ["c.parquet", "d.parquet"]
    assert [skip.reason.split(": ")[0] for skip in skips] == [
        "c.parquet, column 'word'",
        "d.parquet, column 'number'",
    ]


def test_ids_that_are_floats_in_a_file_have_the_levels_of_the_integers(tmp_path):
    """pandas makes floats of integers with a null."""
    models = {}
    for kind, dtype in {"integers": int, "floats": float}.items():
        for i in range(70):
            write(tmp_path / kind, f"a{i:02}.parquet", usual())
        write(tmp_path / kind, "a00b.parquet", usual(category=NUMBERS.astype(dtype)))
        models[kind] = str(tmp_path / f"model of {kind}")
        fields = {"lake": str(tmp_path / kind), "label": "label", "model": models[kind]}
        assert train(fields | {"categorical": ["category"]}).partitions == 71
    integers, floats = (Model.load(model) for model in models.values())
    assert "category = 3" in floats.file.encoder.feature_names()
    np.testing.assert_array_equal(integers.predict(usual()), floats.predict(usual()))
    found = floats.predict(usual(category=NUMBERS.astype(float)))
    np.testing.assert_array_equal(found, floats.predict(usual()))


def test_ids_that_are_floats_in_many_files_may_be_a_category(tmp_path):
    lake, model = tmp_path / "lake", tmp_path / "model"
    for i in range(4):
        write(lake, f"a{i}.parquet", usual(category=NUMBERS.astype([int, float][i % 2])))
    fields = {"lake": str(lake), "label": "label", "model": str(model)}
    assert train(fields | {"categorical": ["category"]}).partitions == 4
    for entry in open_model(model).ledger.history.trained():
        assert entry.counts == {}
    write(lake, "b.parquet", usual(category=NUMBERS + 0.5))
    train({"model": str(model)})
    assert open_model(model).ledger.history.trained()[-1].counts == {"unknown_level": N}


# -- numbers and times in text ---------------------------------------------------------------------

AMOUNTS = [f"{n}.5" for n in NUMBERS]
STAMPS = [f"2026-01-0{n + 1}T12:00:00" for n in NUMBERS]


def in_text(**changed: Any) -> pa.Table:
    columns = {"label": FORMS["real"][2], "amount": AMOUNTS, "stamp": STAMPS}
    return pa.table(columns | changed)


@pytest.fixture
def text_job(tmp_path) -> dict[str, Any]:
    """A model of two columns of text that hold numbers and times."""
    for i in range(2):
        write(tmp_path / "lake", f"a{i}.parquet", in_text())
    fields = {"lake": str(tmp_path / "lake"), "label": "label", "model": str(tmp_path / "model")}
    train(fields | {"loss": "squared", "order": "stored"})
    columns = {c.name: c.kind for c in open_model(fields["model"]).file.encoder.columns}
    assert columns == {"amount": "numeric", "stamp": "time"}
    return fields


def test_text_that_holds_numbers_or_times_may_become_these_types_and_no_other(text_job):
    accepted = 0
    for (name, reads), (family, forms) in product(IN_TEXT.items(), FORMS.items()):
        for values in forms:
            arrive(text_job, in_text(**{name: values}), f"b{accepted}.parquet")
            if family in reads:
                assert train({"model": text_job["model"]}).partitions == 1
                accepted += 1
            else:
                error = refused(text_job)
                assert (error.path, error.column) == (f"b{accepted}.parquet", name)
                assert "that holds one" in error.reason
                found = pq.read_schema(Path(text_job["lake"]) / error.path).field(name).type
                assert error.reason.endswith(f"found type {found}")
        (Path(text_job["lake"]) / f"b{accepted}.parquet").unlink(missing_ok=True)
    assert accepted == 9 + 5 + 4 + 6 + 4


@pytest.mark.parametrize("dtype", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_numbers_and_times_predict_alike_in_text_and_in_their_types(text_job, dtype):
    model = Model.load(text_job["model"])
    amounts, stamps = np.array(AMOUNTS, float), pa.array(STAMPS).cast(pa.timestamp("ms"))
    wanted = model.predict(pa.table({"amount": amounts, "stamp": stamps}))
    assert np.ptp(wanted) > 1
    for form in (
        lambda values: values,
        lambda values: values.cast(pa.string()).dictionary_encode(),
    ):
        columns = {"amount": form(pa.array(AMOUNTS).cast(dtype)),
                   "stamp": form(pa.array(STAMPS).cast(dtype))}  # fmt: skip
        np.testing.assert_allclose(model.predict(pa.table(columns)), wanted, rtol=0, atol=1e-13)


def test_text_that_cannot_be_read_is_imputed_and_counted_as_such_and_missing_text_as_null(text_job):
    amounts = ["oops", "1,5", *AMOUNTS[2:]]
    stamps = ["?", "", "null", *STAMPS[3:-1], "yesterday"]
    arrive(text_job, in_text(amount=amounts, stamp=stamps))
    train({"model": text_job["model"]})
    entry = open_model(text_job["model"]).ledger.history.trained()[-1]
    assert entry.counts == {"unreadable_text": 3, "unexpected_null": 3}
    model = Model.load(text_job["model"])
    null = pa.table({"amount": [None, *AMOUNTS[1:]], "stamp": [None, *STAMPS[1:]]})
    for bad in ("oops", "?", "", "inf"):
        found = model.predict(
            pa.table({"amount": [bad, *AMOUNTS[1:]], "stamp": [bad, *STAMPS[1:]]})
        )
        np.testing.assert_array_equal(found, model.predict(null))


def test_files_of_which_most_hold_numbers_and_times_as_text_make_one_model(tmp_path):
    states = set()
    for kind in ("mixed", "text"):
        others: dict[str, Any] = {}
        if kind == "mixed":
            moments = pa.array(STAMPS).cast(pa.timestamp("us"))
            others["amount"] = np.array(AMOUNTS, float)
            others["stamp"] = moments.cast(pa.timestamp("us", "UTC"))
        for i in range(3):
            write(tmp_path / kind, f"a{i}.parquet", in_text())
        write(tmp_path / kind, "b.parquet", in_text(**others))
        fields = {
            "lake": str(tmp_path / kind),
            "label": "label",
            "model": str(tmp_path / f"m{kind}"),
        }
        report = train(fields | {"order": "stored"})
        assert report.partitions == 4
        states.add(report.state_sha256)
    assert len(states) == 1


@pytest.mark.parametrize("odd", [{"word": NUMBERS}, {"label": WORDS}, {"number": WORDS}])
def test_words_among_numbers_and_numbers_among_words_are_refused_when_the_model_is_made(
    tmp_path, odd
):
    for i in range(3):
        write(tmp_path / "lake", f"a{i}.parquet", usual())
    write(tmp_path / "lake", "b.parquet", usual(**odd))
    fields = {"lake": str(tmp_path / "lake"), "label": "label", "model": str(tmp_path / "model")}
    with pytest.raises(BadPartition) as caught:
        train(fields)
    assert (caught.value.path, [caught.value.column]) == ("b.parquet", list(odd))
    assert train(fields | {"on_bad": "skip"}).skipped == 1
